/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"

#define PROBE_SIZE 64

/* All codecs. The first bytes decide which one is used. */
static const struct codec_ops *const codecs[] = {
    &zstd_codec,  &gzip_codec, &lzop_codec,
#ifdef VMAFS_XZ
    &xz_codec,
#endif
#ifdef VMAFS_BZIP2
    &bzip2_codec,
#endif
#ifdef VMAFS_LZ4
    &lz4_codec,
#endif
};

/* Also of those that vmafs was built without: they are refused by their contents. */
const char *const stream_suffixes[] = {".zst", ".gz", ".lzo", ".xz", ".bz2", ".lz4", NULL};

const struct codec_ops *stream_codec(const void *head, size_t len)
{
        for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
                if (codecs[i]->probe(head, len))
                        return codecs[i];
        }
        return NULL;
}

const char *stream_name(struct source *in)
{
        char head[PROBE_SIZE];
        ssize_t n = source_pread(in, head, sizeof head, 0);
        const struct codec_ops *codec = n > 0 ? stream_codec(head, (size_t)n) : NULL;

        return codec ? codec->name : NULL;
}

int stream_probe(struct source *take_in, const struct stream_options *o, struct source **out,
                 struct error *err)
{
        char head[PROBE_SIZE];
        const struct codec_ops *codec;
        ssize_t n = source_pread(take_in, head, sizeof head, 0);

        if (n < 0) {
                source_close(take_in);
                restart_table_free(o->take_table);
                return error_set(err, (int)-n, "cannot be read: %s", strerror((int)-n));
        }
        codec = stream_codec(head, (size_t)n);
        if (codec)
                return stream_open(codec, take_in, o, out, err);
        restart_table_free(o->take_table);
        *out = take_in;
        return 0;
}
