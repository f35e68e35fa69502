/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of a snapshot that is a blob, a configuration or a log, as a volume of its plain content.
 * What is small stays in memory; what is larger is decoded again by each read, so that a snapshot
 * of a thousand large files takes no memory.
 */
#ifndef VMAFS_PBS_CONTENT_H
#define VMAFS_PBS_CONTENT_H

struct error;
struct pbs_files;
struct pbs_key;
struct pbs_manifest_file;
struct volume;

/*
 * The blob NAME in the folder PATH, opened through FILES, which outlives the volume, as does KEY,
 * which may be NULL. F is what the manifest says of it, which is compared; or NULL. Sets *OUT;
 * volume_ops.close frees it. -EIO where it is damaged or has more than 16 MiB, -EACCES where it is
 * encrypted and there is no key; otherwise as pbs_files_open.
 */
int pbs_content_open(struct pbs_files *files, const char *path, const char *name,
                     const struct pbs_manifest_file *f, const struct pbs_key *key,
                     struct volume **out, struct error *err);

#endif
