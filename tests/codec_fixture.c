/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/codec_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

/* Failing here means that the test itself cannot be done. */
static void *must(void *p, const char *what)
{
        if (!p) {
                perror(what);
                abort();
        }
        return p;
}

void bytes_free(struct bytes *b)
{
        free(b->data);
        *b = (struct bytes){0};
}

void bytes_append(struct bytes *b, const void *data, size_t len)
{
        if (!b->data || len > b->room - b->len) {
                size_t room = b->room + max_u64(b->room, len) + 1;
                unsigned char *bigger = must(malloc(room), "malloc");

                if (b->len > 0)
                        memcpy(bigger, b->data, b->len);
                if (len > 0)
                        memcpy(bigger + b->len, data, len);
                free(b->data);
                b->data = bigger;
                b->room = room;
        } else if (len > 0) {
                memcpy(b->data + b->len, data, len);
        }
        b->len += len;
}

struct bytes bytes_copy(const void *data, size_t len)
{
        struct bytes b = {must(malloc(len + !len), "malloc"), len, len};

        if (len > 0)
                memcpy(b.data, data, len);
        return b;
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * UINT64_C(0x2545f4914f6cdd1d);
}

struct bytes bytes_random(size_t len, uint64_t seed)
{
        struct bytes b = {must(malloc(len + 1), "malloc"), len, len + 1};
        uint64_t state = seed * 2 + 1;

        for (size_t i = 0; i < len; i++)
                b.data[i] = (unsigned char)(next_random(&state) >> 56);
        return b;
}

struct bytes bytes_text(size_t len, uint64_t seed)
{
        struct bytes b = {must(malloc(len + 32), "malloc"), len, len + 32};
        uint64_t state = seed * 2 + 1;
        size_t i = 0;

        while (i < len) {
                uint64_t r = next_random(&state);

                i += (size_t)snprintf((char *)b.data + i, 32, "%s %u\n", r & 1 ? "vm" : "backup of",
                                      (unsigned)(r >> 52));
        }
        return b;
}

struct bytes bytes_mixed(size_t len, uint64_t seed)
{
        struct bytes b = {0};

        for (uint64_t i = 0; b.len < len; i++) {
                size_t n = (size_t)min_u64(len - b.len, 50000 + i * 7919 % 200000);
                struct bytes part =
                    i % 3 == 1 ? bytes_random(n, seed + i) : bytes_text(n, seed + i);

                if (i % 3 == 2)
                        memset(part.data, 0, part.len);
                bytes_append(&b, part.data, part.len);
                bytes_free(&part);
        }
        return b;
}

struct bytes bytes_of_file(const char *path)
{
        cleanup_fclose FILE *f = fopen(path, "rb");
        struct bytes b = {0};
        char buf[65536];
        size_t n;

        if (!f)
                return b;
        bytes_append(&b, NULL, 0);
        while ((n = fread(buf, 1, sizeof buf, f)) > 0)
                bytes_append(&b, buf, n);
        return b;
}

struct bytes bytes_through(const struct bytes *in, const char *command)
{
        char in_path[] = "/tmp/vmafs-test-XXXXXX";
        cleanup_close int fd = mkstemp(in_path);
        char line[512];
        struct bytes out = {0};
        char buf[65536];
        FILE *pipe;
        size_t n;

        if (fd < 0 || write(fd, in->data, in->len) != (ssize_t)in->len)
                must(NULL, in_path);
        snprintf(line, sizeof line, "(%s) < %s", command, in_path);
        pipe = must(popen(line, "r"), line);
        bytes_append(&out, NULL, 0);
        while ((n = fread(buf, 1, sizeof buf, pipe)) > 0)
                bytes_append(&out, buf, n);
        unlink(in_path);
        if (pclose(pipe) != 0)
                must(NULL, line);
        return out;
}

struct memory {
        struct source base;
        const unsigned char *data;
};

static ssize_t memory_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct memory *m = (const struct memory *)s;

        memcpy(buf, m->data + offset, len);
        return (ssize_t)len;
}

static void memory_close(struct source *s)
{
        free(s);
}

static const struct source_ops memory_ops = {
    .name = "file",
    .pread = memory_pread,
    .close = memory_close,
};

struct source *memory_source(const void *data, size_t len)
{
        struct memory *m = must(calloc(1, sizeof *m), "calloc");

        m->base.ops = &memory_ops;
        m->base.size = len;
        m->data = data;
        return &m->base;
}

/* The builder that a codec sees. */
struct restart_builder {
        struct record *r;
};

static uint64_t last_out(const struct record *r)
{
        return r->points[r->count - 1].point.out;
}

static void add_point(struct record *r, uint64_t in_bit, uint64_t aux, const void *history,
                      size_t history_len)
{
        struct recorded *p;

        r->points = must(realloc(r->points, (r->count + 1) * sizeof *r->points), "realloc");
        p = &r->points[r->count++];
        *p = (struct recorded){
            .point = {
                .in_bit = in_bit, .out = r->out, .aux = aux, .history_len = (uint32_t)history_len}};
        /* Of its exact size, so that reading behind it is seen. */
        if (history_len > 0) {
                p->history = must(malloc(history_len), "malloc");
                memcpy(p->history, history, history_len);
        }
}

bool restart_wanted(struct restart_builder *b)
{
        return b->r->out - last_out(b->r) >= b->r->spacing;
}

int restart_here(struct restart_builder *b, uint64_t in_bit, uint64_t aux, const void *history,
                 size_t history_len)
{
        const struct restart_point *last = &b->r->points[b->r->count - 1].point;

        /* What a codec must never do, whatever it reads. */
        if (in_bit <= last->in_bit || b->r->out <= last->out || history_len > b->r->out)
                abort();
        add_point(b->r, in_bit, aux, history, history_len);
        return 0;
}

void restart_sums(struct restart_builder *b, const void *sums, size_t sums_len, uint64_t out_len)
{
        (void)b;
        (void)sums;
        (void)sums_len;
        (void)out_len;
}

void restart_pass_over(struct restart_builder *b, uint64_t len)
{
        b->r->out += len;
}

static void run(struct record *r, const struct codec_ops *codec, void *pass, void *buf, size_t step,
                size_t max)
{
        struct restart_builder b = {r};

        for (;;) {
                ssize_t n = codec->pass(pass, buf, step, r->spacing ? &b : NULL, &r->err);

                if (n <= 0) {
                        r->rc = (int)n;
                        return;
                }
                if ((size_t)n > step)
                        abort();
                bytes_append(&r->output, buf, (size_t)n);
                r->out += (uint64_t)n;
                if (r->output.len > max) {
                        r->rc = -EFBIG;
                        return;
                }
        }
}

void record_pass(struct record *r, const struct codec_ops *codec, struct source *in,
                 uint64_t spacing, size_t step, size_t max)
{
        record_pass_helped(r, codec, in, NULL, spacing, step, max);
}

void record_pass_helped(struct record *r, const struct codec_ops *codec, struct source *in,
                        struct workers *workers, uint64_t spacing, size_t step, size_t max)
{
        const struct codec_limits limits = {.window = UINT64_C(1) << 27, .workers = workers};
        cleanup_free void *buf = must(malloc(step), "malloc");
        void *pass = NULL;

        *r = (struct record){.spacing = spacing};
        add_point(r, 0, 0, NULL, 0);
        r->rc = codec->pass_open(in, &limits, &pass, &r->err);
        if (r->rc == 0)
                run(r, codec, pass, buf, step, max);
        codec->pass_close(pass);
}

void record_free(struct record *r)
{
        for (size_t i = 0; i < r->count; i++)
                free(r->points[i].history);
        free(r->points);
        bytes_free(&r->output);
}

size_t record_segment_len(const struct record *r, size_t i)
{
        uint64_t end = i + 1 < r->count ? r->points[i + 1].point.out : r->output.len;

        return (size_t)(end - r->points[i].point.out);
}

int codec_segment(const struct codec_ops *codec, struct source *in,
                  const struct restart_point *point, const void *history, uint64_t in_end,
                  void *out, size_t len, struct error *err)
{
        uint64_t start = point->in_bit / 8, end = in_end / 8 + (in_end % 8 != 0);
        cleanup_free uint8_t *memory = NULL;
        int rc;

        if (end < start || end > in->size)
                return -EIO;
        memory = calloc(1, (size_t)(end - start) + 2 * (size_t)CODEC_MARGIN);
        if (!memory)
                return -ENOMEM;
        rc = source_pread_all(in, memory + CODEC_MARGIN, (size_t)(end - start), start);
        return rc < 0 ? rc
                      : codec->decode(point, history, memory + CODEC_MARGIN, (size_t)(end - start),
                                      out, len, err);
}

int record_segment(const struct record *r, const struct codec_ops *codec, struct source *in,
                   size_t i, void *out, struct error *err)
{
        uint64_t in_end = i + 1 < r->count ? r->points[i + 1].point.in_bit : in->size * 8;

        return codec_segment(codec, in, &r->points[i].point, r->points[i].history, in_end, out,
                             record_segment_len(r, i), err);
}
