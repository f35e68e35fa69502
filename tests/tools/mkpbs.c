/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a datastore from files, for tests: mkpbs [--encrypt] FOLDER
 *
 *   ns/a/vm/100  2026-02-01T00:00:00Z   drive-scsi0: the file IMAGE of the environment; qemu-server.conf
 *   vm/100       two snapshots; the second is of the file LATER, if that is set
 *   ct/101       a tree, root, in one stream
 *   host/h       the same in two
 *
 * With DEEP=N there is ct/102, too: a tree of N folders, each in the one before it.
 * With MANY=GROUPSxSNAPSHOTS there are copies of vm/100's snapshot, too: vm/1000 and so on.
 * A disk's chunks have CHUNK bytes, or 65536. The key of an encrypted one is in FOLDER/../key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fixtures/pbs_writer.h"
#include "tests/fixtures/pxar_writer.h"

enum { CHUNK = 65536 };

/* Bytes of a disk's chunks. */
static size_t chunk_size(void)
{
        const char *size = getenv("CHUNK");

        return size ? strtoul(size, NULL, 10) : CHUNK;
}

static void write_vm(struct pbs_writer *w, const char *path, struct bytes image)
{
        static const char conf[] =
            "name: web01\ncores: 2\n#qmdump#map:scsi0:drive-scsi0:local:raw:\n";

        pbsw_snapshot(w, path);
        pbsw_fixed(w, "drive-scsi0.img.fidx", image.data, image.len, chunk_size());
        pbsw_file(w, "qemu-server.conf.blob", conf, sizeof conf - 1);
        pbsw_manifest(w);
}

static void write_tree(struct pbs_writer *w, const char *path, bool split)
{
        struct pxar_writer p;
        struct bytes big = fixture_mixture(200000, 5);
        uint64_t ends[2], file;

        pxarw_start(&p, split);
        pxarw_folder(&p, "etc", 0700);
        file = pxarw_file(&p, "passwd", "root:x:0:0\n", 11);
        pxarw_leave(&p);
        pxarw_file_with_acl(&p, "acl");
        pxarw_file(&p, "big", big.data, big.len);
        pxarw_fifo(&p, "fifo");
        pxarw_link(&p, "link", "etc/passwd");
        pxarw_hard_link(&p, "other", file);
        pxarw_folder(&p, "shared", 0770);
        pxarw_default_acl(&p);
        pxarw_leave(&p);
        pxarw_file_with_xattr(&p, "x", "user.a\0value", 12);
        pxarw_leave(&p);
        pbsw_snapshot(w, path);
        ends[0] = p.meta.len / 2;
        ends[1] = p.meta.len;
        pbsw_dynamic(w, split ? "root.mpxar.didx" : "root.pxar.didx", p.meta.data, ends, 2);
        ends[0] = p.payload.len / 2;
        ends[1] = p.payload.len;
        if (split)
                pbsw_dynamic(w, "root.ppxar.didx", p.payload.data, ends, 2);
        pbsw_manifest(w);
        pxarw_free(&p);
        free(big.data);
}

/* A tree of DEPTH folders, each in the one before it. */
static void write_deep(struct pbs_writer *w, const char *path, size_t depth)
{
        enum { CHUNK_LEN = 4 << 20 };
        struct pxar_writer p;
        uint64_t *ends;
        size_t count = 0;

        pxarw_deep(&p, depth);
        ends = calloc(p.meta.len / CHUNK_LEN + 1, sizeof *ends);
        if (!ends)
                abort();
        for (uint64_t at = 0; at < p.meta.len; ends[count++] = at)
                at = p.meta.len - at > CHUNK_LEN ? at + CHUNK_LEN : p.meta.len;
        pbsw_snapshot(w, path);
        pbsw_dynamic(w, "root.pxar.didx", p.meta.data, ends, count);
        pbsw_manifest(w);
        pxarw_free(&p);
        free(ends);
}

static void write_key(const struct pbs_writer *w, const char *path)
{
        char *text = pbsw_key_file(w);
        FILE *f = fopen(path, "w");

        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                abort();
        free(text);
}

/*
 * Copies of the snapshot at hand: MANY=GROUPSxSNAPSHOTS of the environment. A snapshot every hour;
 * what their manifests say of group and time is the first one's.
 */
static void write_many(const struct pbs_writer *w, const char *many)
{
        static const char *const names[] = {"index.json.blob", "drive-scsi0.img.fidx",
                                            "qemu-server.conf.blob"};
        struct bytes files[3];
        char *rest;
        unsigned groups = (unsigned)strtoul(many, &rest, 10);
        unsigned snapshots = *rest ? (unsigned)strtoul(rest + 1, NULL, 10) : 1;

        for (size_t i = 0; i < 3; i++)
                files[i] = fixture_file(pbsw_path(w, names[i]));
        for (unsigned n = 0; n < groups * snapshots; n++) {
                time_t at = 1735689600 + (time_t)(n % snapshots) * 3600;
                struct pbs_writer copy = *w;
                char path[128], time[32];

                copy.manifest = NULL;
                strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", gmtime(&at));
                snprintf(path, sizeof path, "vm/%u/%s", 1000 + n / snapshots, time);
                pbsw_snapshot(&copy, path);
                for (size_t i = 0; i < 3; i++) {
                        FILE *f = fopen(pbsw_path(&copy, names[i]), "w");

                        if (!f || fwrite(files[i].data, 1, files[i].len, f) != files[i].len ||
                            fclose(f) != 0)
                                abort();
                }
                free(copy.manifest);
        }
        for (size_t i = 0; i < 3; i++)
                free(files[i].data);
}

int main(int argc, char **argv)
{
        bool encrypted = argc == 3 && strcmp(argv[1], "--encrypt") == 0;
        const char *image = getenv("IMAGE"), *target = argv[argc - 1];
        const char *later = getenv("LATER");
        struct bytes disk = image ? fixture_file(image) : fixture_mixture(300000, 4);
        struct bytes second = later ? fixture_file(later) : disk;
        char key[4096];
        struct pbs_writer w;

        if (argc != 2 + encrypted || !disk.data || !second.data) {
                fprintf(stderr, "usage: [IMAGE=FILE] [LATER=FILE] mkpbs [--encrypt] FOLDER\n");
                return 2;
        }
        pbsw_start(&w, 42);
        w.encrypted = encrypted;
        w.compressed = true;
        write_vm(&w, "vm/100/2026-02-01T00:00:00Z", disk);
        write_vm(&w, "vm/100/2026-02-02T00:00:00Z", second);
        if (getenv("MANY"))
                write_many(&w, getenv("MANY"));
        write_vm(&w, "ns/a/vm/100/2026-02-01T00:00:00Z", disk);
        write_tree(&w, "ct/101/2026-02-01T00:00:00Z", false);
        write_tree(&w, "host/h/2026-02-01T00:00:00Z", true);
        if (getenv("DEEP"))
                write_deep(&w, "ct/102/2026-02-01T00:00:00Z", strtoul(getenv("DEEP"), NULL, 10));
        snprintf(key, sizeof key, "%s/../key", target);
        if (rename(w.root, target) != 0) {
                perror(target);
                return 1;
        }
        if (encrypted)
                write_key(&w, key);
        free(w.manifest);
        if (later)
                free(second.data);
        free(disk.data);
        return 0;
}
