/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/codec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"

enum { FRAME = 300000 };

static struct bytes pack_gzip(struct bytes plain)
{
        return fixture_pipe(plain, "gzip --rsyncable -n");
}

static struct bytes pack_bgzip(struct bytes plain)
{
        return fixture_pipe(plain, "bgzip -c");
}

/* As vzdump does it. */
static struct bytes pack_zstd(struct bytes plain)
{
        return fixture_pipe(plain, "zstd -q -c --rsyncable --threads=2");
}

static struct bytes pack_zstd_1(struct bytes plain)
{
        return fixture_compress(plain, 1, 0, 0, 1);
}

static struct bytes pack_zstd_frames(struct bytes plain)
{
        struct bytes out = {0};

        for (size_t at = 0; at < plain.len; at += FRAME) {
                struct bytes piece = {plain.data + at, (size_t)min_u64(FRAME, plain.len - at)};

                out = fixture_join(out, fixture_compress(piece, 3, 0, 0, 1));
        }
        return out;
}

static struct bytes pack_pzstd(struct bytes plain)
{
        return fixture_pipe(plain, "pzstd -q -c -p 2");
}

static struct bytes pack_lzop(struct bytes plain)
{
        return fixture_pipe(plain, "lzop -c");
}

#ifdef VMAFS_XZ
static struct bytes pack_xz(struct bytes plain)
{
        return fixture_pipe(plain, "xz -0 -T2 --block-size=256KiB -c");
}

static struct bytes pack_xz_one(struct bytes plain)
{
        return fixture_pipe(plain, "xz -0 -T1 -c");
}

#endif
#ifdef VMAFS_BZIP2
static struct bytes pack_bzip2(struct bytes plain)
{
        return fixture_pipe(plain, "bzip2 -1 -c");
}

#endif
#ifdef VMAFS_LZ4
static struct bytes pack_lz4(struct bytes plain)
{
        return fixture_pipe(plain, "lz4 -q -B4 -BD -c");
}

static struct bytes pack_lz4_blocks(struct bytes plain)
{
        return fixture_pipe(plain, "lz4 -q -B4 -BX -c");
}

#endif

static size_t zstd_unproven_from(struct bytes packed)
{
        ZSTD_inBuffer in = {.src = packed.data, .size = packed.len};
        ZSTD_DCtx *d = ZSTD_createDCtx();
        static uint8_t out[FRAME];
        size_t rc = 0, total = 0, frame = 0;

        sound_require(d != NULL, "ZSTD_createDCtx");
        while (in.pos < in.size && !ZSTD_isError(rc)) {
                ZSTD_outBuffer to = {.dst = out, .size = sizeof out};

                rc = ZSTD_decompressStream(d, &to, &in);
                total += to.pos;
                if (rc == 0)
                        frame = total;
        }
        ZSTD_freeDCtx(d);
        return rc > 0 && !ZSTD_isError(rc) ? frame : SIZE_MAX;
}

static size_t gzip_unproven_from(struct bytes packed)
{
        static uint8_t out[FRAME];
        z_stream z = {.next_in = packed.data, .avail_in = (uInt)packed.len};
        size_t total = 0, member = 0;
        int rc = Z_OK;

        sound_require(inflateInit2(&z, 15 + 16) == Z_OK, "inflateInit2");
        while (rc == Z_OK) {
                z.next_out = out;
                z.avail_out = sizeof out;
                rc = inflate(&z, Z_NO_FLUSH);
                total += sizeof out - z.avail_out;
                if (rc != Z_STREAM_END || z.avail_in == 0)
                        continue;
                member = total;
                rc = inflateReset(&z);
        }
        inflateEnd(&z);
        return rc == Z_BUF_ERROR ? member : SIZE_MAX;
}

size_t codec_unproven_from(struct bytes packed)
{
        if (packed.len < 4)
                return SIZE_MAX;
        if (load_le32(packed.data) == ZSTD_MAGICNUMBER ||
            (load_le32(packed.data) & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
                return zstd_unproven_from(packed);
        return load_be16(packed.data) == 0x1f8b ? gzip_unproven_from(packed) : SIZE_MAX;
}

const struct sound_codec sound_codecs[] = {
    {"none", false, "", NULL},
    {"gz", true, ".gz", pack_gzip},
    {"bgzf", false, ".gz", pack_bgzip},
    {"zst", true, ".zst", pack_zstd},
    {"zst-1", true, ".zst", pack_zstd_1},
    {"zst-frames", false, ".zst", pack_zstd_frames},
    {"pzstd", false, ".zst", pack_pzstd},
    {"lzo", false, ".lzo", pack_lzop},
#ifdef VMAFS_XZ
    {"xz", false, ".xz", pack_xz},
    {"xz-one", true, ".xz", pack_xz_one},
#endif
#ifdef VMAFS_BZIP2
    {"bz2", false, ".bz2", pack_bzip2},
#endif
#ifdef VMAFS_LZ4
    {"lz4", true, ".lz4", pack_lz4},
    {"lz4-blocks", false, ".lz4", pack_lz4_blocks},
#endif
};
const size_t sound_codec_count = sizeof sound_codecs / sizeof *sound_codecs;
