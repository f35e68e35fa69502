/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fixture_stream.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"

/* A fixture that cannot be made is no test result: stop. */
static void require(int ok, const char *what)
{
        if (ok)
                return;
        fprintf(stderr, "fixture: %s failed\n", what);
        abort();
}

static struct bytes bytes_new(size_t len)
{
        struct bytes b = {.data = malloc(len + 8), .len = len};

        require(b.data != NULL, "malloc");
        return b;
}

uint64_t fixture_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

struct bytes fixture_noise(size_t len, uint64_t seed)
{
        struct bytes b = bytes_new(len);

        for (size_t i = 0; i < len; i += 8) {
                uint64_t r = fixture_random(&seed);

                memcpy(b.data + i, &r, 8);
        }
        return b;
}

/* Rows of one length, alike but for a key, and nothing repeats within one: every match has the
 * distance of a row. */
static void put_record(uint8_t *to, size_t room, uint64_t *state)
{
        uint64_t words[16], row = 42;

        for (size_t i = 0; i < 14; i++)
                words[i] = fixture_random(&row);
        words[14] = fixture_random(state);
        words[15] = fixture_random(&row);
        memcpy(to, words, room < sizeof words ? room : sizeof words);
}

struct bytes fixture_records(size_t len, uint64_t seed)
{
        struct bytes b = bytes_new(len);

        for (size_t i = 0; i < len; i += 128)
                put_record(b.data + i, len - i, &seed);
        return b;
}

static size_t put_word(uint8_t *to, size_t room, uint64_t *state)
{
        static const char *const words[] = {
            "the ",    "error ",   "connection ", "from ", "daemon[", "]: ",
            "status=", "200 ",     "GET /",       "index", ".html ",  "kernel: ",
            "\n",      "started ", "session ",    "user ",
        };
        uint64_t r = fixture_random(state);
        char word[32];
        size_t n;

        if (r % 4 == 0)
                snprintf(word, sizeof word, "%u", (unsigned)(r >> 40));
        else
                snprintf(word, sizeof word, "%s", words[r >> 8 & 15]);
        n = strlen(word);
        n = n < room ? n : room;
        memcpy(to, word, n);
        return n;
}

struct bytes fixture_mixture(size_t len, uint64_t seed)
{
        struct bytes b = bytes_new(len);

        for (size_t at = 0; at < len;) {
                size_t piece = min_u64(65536, len - at), kind = fixture_random(&seed) % 4, done = 0;

                while (done < piece) {
                        if (kind < 2) {
                                done += put_word(b.data + at + done, piece - done, &seed);
                        } else if (kind == 2) {
                                put_record(b.data + at + done, piece - done, &seed);
                                done += min_u64(128, piece - done);
                        } else {
                                b.data[at + done++] = (uint8_t)fixture_random(&seed);
                        }
                }
                at += piece;
        }
        return b;
}

struct bytes fixture_join(struct bytes a, struct bytes b)
{
        struct bytes joined = bytes_new(a.len + b.len);

        if (a.len)
                memcpy(joined.data, a.data, a.len);
        memcpy(joined.data + a.len, b.data, b.len);
        free(a.data);
        free(b.data);
        return joined;
}

struct bytes fixture_compress(struct bytes plain, int level, int window_log, int workers,
                              int checksum)
{
        struct bytes out = bytes_new(ZSTD_compressBound(plain.len));
        ZSTD_CCtx *c = ZSTD_createCCtx();
        ZSTD_outBuffer to = {.dst = out.data, .size = out.len};
        ZSTD_inBuffer from = {.src = plain.data, .size = plain.len};
        size_t rc;

        require(c != NULL, "ZSTD_createCCtx");
        ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
        ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
        if (window_log)
                ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
        if (workers) {
                ZSTD_CCtx_setParameter(c, ZSTD_c_nbWorkers, workers);
                ZSTD_CCtx_setParameter(c, ZSTD_c_jobSize, 1 << 20);
        }
        do
                rc = ZSTD_compressStream2(c, &to, &from, ZSTD_e_end);
        while (rc > 0 && !ZSTD_isError(rc));
        require(rc == 0, "ZSTD_compressStream2");
        ZSTD_freeCCtx(c);
        out.len = to.pos;
        return out;
}

struct bytes fixture_interrupt(struct bytes z, size_t blocks)
{
        const size_t size = ZSTD_PARSE_BLOCK_MAX;
        struct bytes out = bytes_new(z.len + blocks * (size + ZSTD_BLOCK_HEADER_SIZE));
        struct bytes noise = fixture_noise(blocks * size, 77);
        struct zstd_frame frame;
        uint8_t *to = out.data;
        size_t cut;

        require(zstd_frame_parse(z.data, z.len, &frame) == ZSTD_FRAME_DATA, "zstd_frame_parse");
        cut = frame.header_size + ZSTD_BLOCK_HEADER_SIZE;
        cut += zstd_block_header(z.data + frame.header_size).content;
        memcpy(to, z.data, cut);
        to += cut;
        for (size_t i = 0; i < blocks; i++) {
                const uint8_t header[] = {size << 3 & 0xFF, size >> 5 & 0xFF, size >> 13 & 0xFF};

                memcpy(to, header, sizeof header);
                memcpy(to + sizeof header, noise.data + i * size, size);
                to += sizeof header + size;
        }
        memcpy(to, z.data + cut, z.len - cut);
        free(noise.data);
        free(z.data);
        return out;
}

struct bytes fixture_decompress(struct bytes z)
{
        size_t capacity = 64 * MIB;
        struct bytes out = bytes_new(capacity);
        ZSTD_DCtx *d = ZSTD_createDCtx();
        ZSTD_inBuffer from = {.src = z.data, .size = z.len};
        ZSTD_outBuffer to = {.dst = out.data, .size = capacity};
        size_t rc = 1;

        ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, 31);
        while (from.pos < from.size && !ZSTD_isError(rc) && to.pos < to.size)
                rc = ZSTD_decompressStream(d, &to, &from);
        require(rc == 0, "ZSTD_decompressStream");
        ZSTD_freeDCtx(d);
        out.len = to.pos;
        return out;
}

struct bytes fixture_file(const char *path)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct bytes b = {0};
        struct stat st;
        size_t at = 0;

        if (fd < 0)
                return b;
        require(fstat(fd, &st) == 0, "fstat");
        b = bytes_new((size_t)st.st_size);
        while (at < b.len) {
                ssize_t n = read(fd, b.data + at, b.len - at);

                require(n > 0, "read");
                at += (size_t)n;
        }
        return b;
}

struct bytes fixture_pipe(struct bytes plain, const char *command)
{
        char in[] = "/tmp/vmafs-in-XXXXXX", out[] = "/tmp/vmafs-out-XXXXXX", line[512];
        int fd_in = mkstemp(in), fd_out = mkstemp(out);
        struct bytes result;
        size_t at = 0;

        require(fd_in >= 0 && fd_out >= 0, "mkstemp");
        while (at < plain.len) {
                ssize_t n = write(fd_in, plain.data + at, plain.len - at);

                require(n > 0, "write");
                at += (size_t)n;
        }
        close(fd_in);
        close(fd_out);
        /* Through a pipe, as backups come: the content's size must stay unknown. */
        snprintf(line, sizeof line, "cat %s | %s > %s", in, command, out);
        require(system(line) == 0, command);
        result = fixture_file(out);
        unlink(in);
        unlink(out);
        return result;
}

size_t fixture_lzop_block(struct bytes z, size_t i)
{
        size_t at = 9 + 2 + 2 + 2 + 1 + 1 + 4 + 4 + 4 + 4;
        uint32_t flags = load_be32(z.data + 17);
        /* Of the data, and of what it is compressed to; the latter not where it is stored. */
        uint32_t sum = flags & 0x101 ? 4 : 0, both = sum + (flags & 0x202 ? 4 : 0);

        at += 1 + (size_t)z.data[at] + 4;
        while (i-- > 0) {
                uint32_t out = load_be32(z.data + at), in = load_be32(z.data + at + 4);

                at += 8 + (size_t)(in == out ? sum : both) + in;
        }
        return at;
}

struct memory_source {
        struct source base;
        const uint8_t *data;
};

static ssize_t memory_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        memcpy(buf, ((struct memory_source *)s)->data + offset, len);
        return (ssize_t)len;
}

static void memory_close(struct source *s)
{
        free(s);
}

static const struct source_ops memory_ops = {
    .name = "memory",
    .pread = memory_pread,
    .close = memory_close,
};

struct source *fixture_source(const void *data, size_t len)
{
        struct memory_source *m = calloc(1, sizeof *m);

        require(m != NULL, "calloc");
        m->base.ops = &memory_ops;
        m->base.size = len;
        m->data = data;
        return &m->base;
}
