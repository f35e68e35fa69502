/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files that an OVF names, as far as they are not stored as they are.
 *
 *   <File ovf:href="disk1.vmdk" ovf:compression="gzip" ovf:chunkSize="7516192768"/>
 *
 * The specification is DSP0243 of the DMTF, 7.1: a compressed file is compressed before it is cut
 * into chunks, which are disk1.vmdk.000000000, disk1.vmdk.000000001 and so on, all but the last of
 * the same size.
 */
#ifndef VMAFS_OVF_H
#define VMAFS_OVF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"

enum { OVF_FILES_MAX = 256, OVF_NAME_MAX = 1024 };

struct ovf_file {
        char name[OVF_NAME_MAX];
        bool compressed;
        bool has_size;
        uint64_t size;  /* bytes of the file; of a compressed one nobody agrees which */
        uint64_t chunk; /* bytes; 0: it is not cut into chunks */
};

struct ovf {
        ARRAY(struct ovf_file) files;
};

/* Parse the LEN bytes at TEXT, which may be any. 0 or -ENOMEM; ovf_fini in any case. */
int ovf_parse(const char *text, size_t len, struct ovf *out);
void ovf_fini(struct ovf *ovf);

#endif
