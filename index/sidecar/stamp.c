/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/stamp.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/error.h"

/* Offsets of the fields. */
enum {
        AT_OWNER = 0,
        AT_KNOWN = 4,
        AT_INODE = 8,
        AT_MTIME = 16,
        AT_CTIME = 24,
        AT_HASH = 32,
};

struct stamp stamp_of(struct source *file)
{
        struct stamp stamp = {.owner = source_owner(file)};

        stamp.known = source_stamp(file, &stamp.file);
        return stamp;
}

void stamp_store(const struct stamp *stamp, uint8_t out[STAMP_LEN])
{
        store_le32(out + AT_OWNER, stamp->owner);
        store_le32(out + AT_KNOWN, stamp->known);
        store_le64(out + AT_INODE, stamp->file.inode);
        store_le64(out + AT_MTIME, (uint64_t)stamp->file.mtime);
        store_le64(out + AT_CTIME, (uint64_t)stamp->file.ctime);
        store_le64(out + AT_HASH, XXH3_64bits(out, AT_HASH));
}

bool stamp_load(const uint8_t in[STAMP_LEN], struct stamp *out)
{
        *out = (struct stamp){
            .owner = load_le32(in + AT_OWNER),
            .known = load_le32(in + AT_KNOWN) == 1,
            .file = {.inode = load_le64(in + AT_INODE),
                     .mtime = (int64_t)load_le64(in + AT_MTIME),
                     .ctime = (int64_t)load_le64(in + AT_CTIME)},
        };
        return load_le64(in + AT_HASH) == XXH3_64bits(in, AT_HASH);
}

int stamp_check(const struct stamp *was, bool compressed, struct source *file, struct error *err)
{
        struct stamp now = stamp_of(file);

        if (was && source_has_owner(file) && was->owner != now.owner)
                return error_set(err, ESTALE,
                                 "the archive belonged to user %" PRIu32 " when it was made",
                                 was->owner);
        if (compressed)
                return 0;
        if (!was || !was->known || !now.known)
                return -ENOENT;
        if (was->file.inode == now.file.inode && was->file.mtime == now.file.mtime &&
            was->file.ctime == now.file.ctime)
                return 0;
        return error_set(err, ESTALE,
                         "the archive was written to, copied, renamed or given other attributes "
                         "since; vmafs index makes a new one");
}
