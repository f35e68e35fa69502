/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/tar/tar_member.h"

enum {
        AT_NAME = 0,
        NAME_LEN = 100,
        AT_SIZE = 124,
        AT_MTIME = 136,
        NUMBER_LEN = 12,
        AT_SUM = 148,
        SUM_LEN = 8,
        AT_TYPE = 156,
        AT_MAGIC = 257,
        AT_PREFIX = 345,
        PREFIX_LEN = 155,

        /* GNU, type S */
        AT_RUNS = 386,
        RUNS = 4,
        AT_EXTENDED = 482,
        AT_REAL_SIZE = 483,
        MORE_RUNS = 21,
        AT_MORE_EXTENDED = 504,

        EXTRA_MAX = 16 << 20, /* bytes of a pax header or a long name */
        REACH = 16 << 20,
};

#define FAR (UINT64_C(1) << 60) /* sums of such numbers do not overflow */

/* What headers in front of a member say of it. */
struct extra {
        char *path;        /* pax, or GNU's long name */
        char *sparse_name; /* pax: path is then made up */
        bool has_size, has_real_size, has_major;
        uint64_t size, real_size, major;
        uint64_t start; /* of a run whose length is to come */
        int64_t mtime;
        bool has_mtime;
        bool sparse, broken;
        struct tar_run *runs;
        size_t run_count;
};

static void extra_fini(struct extra *x)
{
        free(x->path);
        free(x->sparse_name);
        free(x->runs);
}

void tar_member_fini(struct tar_member *m)
{
        free(m->name);
        free(m->runs);
}

/* ---- numbers ---- */

/* Octal, or base 256 where the top bit is set. */
static bool parse_number(const unsigned char *p, size_t len, uint64_t *out)
{
        size_t i = 0;
        uint64_t v = 0;

        if (p[0] & 0x80) {
                for (i = 0; i < len - 8; i++)
                        if (p[i] != (i ? 0 : 0x80))
                                return false;
                *out = load_be64(p + len - 8);
                return true;
        }
        while (i < len && p[i] == ' ')
                i++;
        for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
                v = v << 3 | (uint64_t)(p[i] - '0');
        if (i < len && p[i] != ' ' && p[i] != '\0')
                return false;
        *out = v;
        return true;
}

static bool parse_decimal(const char *s, uint64_t *out)
{
        char *end;

        if (!isdigit((unsigned char)*s))
                return false;
        errno = 0;
        *out = strtoull(s, &end, 10);
        return errno == 0 && (*end == '\0' || *end == '.' || *end == ',');
}

static bool sum_is_right(const unsigned char *block)
{
        uint64_t said, sum = 0;

        if (!parse_number(block + AT_SUM, SUM_LEN, &said))
                return false;
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += i >= AT_SUM && i < AT_SUM + SUM_LEN ? ' ' : block[i];
        return sum == said;
}

bool tar_is_header(const void *block, size_t len)
{
        return len >= TAR_BLOCK && memcmp((const char *)block + AT_MAGIC, "ustar", 5) == 0 &&
               sum_is_right(block);
}

/* ---- the stream ---- */

/* The archive ends at byte OFFSET, as far as can be told. */
static int end_with(struct tar_reader *r, uint64_t offset, const char *text)
{
        r->fault_at = offset;
        snprintf(r->fault, sizeof r->fault, "%.*s", (int)sizeof r->fault - 1, text);
        return 0;
}

int tar_reach(struct tar_reader *r, uint64_t offset, struct error *err)
{
        struct error why = {0};
        int rc = 0;

        while (rc == 0 && r->end < offset && r->end < r->source->size && !r->fault[0]) {
                rc = source_reach(r->source, min_u64(offset, r->end + REACH), &r->end, &why);
                if (rc == -EIO)
                        return end_with(r, why.has_offset ? why.offset : r->end, why.text);
        }
        if (rc < 0 && err)
                *err = why;
        return rc;
}

/* LEN bytes at OFFSET. 1; 0 where they are not all there; -errno. */
static int fetch(struct tar_reader *r, void *buf, size_t len, uint64_t offset, struct error *err)
{
        ssize_t n;
        int rc = 0;

        if (offset > UINT64_MAX - len)
                return 0;
        rc = tar_reach(r, offset + len, err);
        if (rc < 0)
                return rc;
        n = source_pread(r->source, buf, len, offset);
        if (n == -EIO)
                return end_with(r, offset, "a part of the archive cannot be read");
        if (n < 0)
                return error_set_at(err, (int)-n, offset, "cannot be read: %s", strerror((int)-n));
        return (size_t)n == len;
}

/* ---- sparse maps ---- */

static int add_run(struct tar_reader *r, struct extra *x, uint64_t start, uint64_t len)
{
        struct tar_run *runs;
        size_t room = x->run_count & (x->run_count - 1) ? 0 : x->run_count * 2;

        if (len == 0)
                return 0;
        if (r->runs >= TAR_RUNS_MAX) {
                x->broken = true;
                return 0;
        }
        if (x->run_count == 0)
                room = 1;
        if (room) {
                runs = reallocarray(x->runs, room, sizeof *runs);
                if (!runs)
                        return -ENOMEM;
                x->runs = runs;
        }
        r->runs++;
        x->runs[x->run_count++] = (struct tar_run){.start = start, .len = len};
        return 0;
}

/* N pairs of numbers as GNU's own headers have them; the first one that is empty ends them. */
static int add_pairs(struct tar_reader *r, struct extra *x, const unsigned char *p, size_t n)
{
        int rc = 0;

        for (size_t i = 0; i < n && rc == 0; i++, p += 2 * (size_t)NUMBER_LEN) {
                uint64_t start = 0, len = 0;

                if (p[0] == '\0')
                        return 0;
                if (!parse_number(p, NUMBER_LEN, &start) ||
                    !parse_number(p + NUMBER_LEN, NUMBER_LEN, &len))
                        x->broken = true;
                rc = add_run(r, x, start, len);
        }
        return rc;
}

/* GNU's map: in the header, and in blocks behind it, by which *DATA is moved on. 1, 0, -errno. */
static int read_gnu_map(struct tar_reader *r, struct extra *x, const unsigned char *header,
                        uint64_t *data, struct error *err)
{
        unsigned char block[TAR_BLOCK];
        bool more = header[AT_EXTENDED] != 0;
        int rc = add_pairs(r, x, header + AT_RUNS, RUNS);

        x->sparse = true;
        if (parse_number(header + AT_REAL_SIZE, NUMBER_LEN, &x->real_size))
                x->has_real_size = true;
        while (more && rc == 0) {
                rc = fetch(r, block, sizeof block, *data, err);
                if (rc <= 0)
                        return rc;
                *data += TAR_BLOCK;
                rc = add_pairs(r, x, block, MORE_RUNS);
                more = block[AT_MORE_EXTENDED] != 0;
        }
        return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 1;
}

/* Decimal numbers, a line each, from blocks of the stream. */
struct lines {
        unsigned char block[TAR_BLOCK];
        size_t at;     /* TAR_BLOCK: the next block is needed */
        uint64_t next; /* of the next block */
        uint64_t end;  /* of the member's data */
};

/* 1; 0 where no number is there, or not all of it; -errno. */
static int next_number(struct tar_reader *r, struct lines *l, uint64_t *out, struct error *err)
{
        char digits[24];

        for (size_t n = 0; n < sizeof digits; n++) {
                if (l->at == TAR_BLOCK) {
                        int rc = l->next < l->end
                                     ? fetch(r, l->block, sizeof l->block, l->next, err)
                                     : 0;

                        if (rc <= 0)
                                return rc;
                        l->next += TAR_BLOCK;
                        l->at = 0;
                }
                digits[n] = (char)l->block[l->at++];
                if (digits[n] != '\n')
                        continue;
                digits[n] = '\0';
                return parse_decimal(digits, out);
        }
        return 0;
}

/* pax 1.0: the map stands in front of the data. 1, 0, -errno. */
static int read_pax_map(struct tar_reader *r, struct extra *x, uint64_t *data, uint64_t *stored,
                        struct error *err)
{
        struct lines l = {.at = TAR_BLOCK, .next = *data, .end = *data + *stored};
        uint64_t count, start, len;
        int rc = next_number(r, &l, &count, err);

        for (uint64_t i = 0; rc > 0 && i < count && !x->broken; i++) {
                rc = next_number(r, &l, &start, err);
                if (rc > 0)
                        rc = next_number(r, &l, &len, err);
                if (rc > 0 && add_run(r, x, start, len) < 0)
                        return error_set(err, ENOMEM, "out of memory");
        }
        if (rc < 0)
                return rc;
        x->broken |= rc == 0;
        *stored -= min_u64(*stored, l.next - *data);
        *data = l.next;
        return 1;
}

/* pax 0.1: "start,length,start,length". */
static int take_list(struct tar_reader *r, struct extra *x, const char *s)
{
        int rc = 0;

        while (*s && rc == 0) {
                uint64_t start, len;
                const char *comma = strchr(s, ',');

                if (!comma || !parse_decimal(s, &start) || !parse_decimal(comma + 1, &len)) {
                        x->broken = true;
                        return 0;
                }
                rc = add_run(r, x, start, len);
                s = comma + 1 + strcspn(comma + 1, ",");
                s += *s == ',';
        }
        return rc;
}

/* In order, within the file, and as much as is stored? Then each run learns where it is. */
static bool place_runs(struct tar_member *m)
{
        uint64_t at = 0, offset = 0;

        for (size_t i = 0; i < m->run_count; i++) {
                struct tar_run *run = &m->runs[i];

                if (run->start < at || !range_within(run->start, run->len, m->size) ||
                    !range_within(offset, run->len, m->stored))
                        return false;
                run->offset = m->data + offset;
                at = run->start + run->len;
                offset += run->len;
        }
        return true;
}

/* ---- headers in front of a member ---- */

static int replace(char **at, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*at);
        *at = copy;
        return 0;
}

static int take_sparse_record(struct tar_reader *r, struct extra *x, const char *key,
                              const char *value)
{
        uint64_t len;

        x->sparse = true;
        if (strcmp(key, "name") == 0)
                return replace(&x->sparse_name, value);
        if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0)
                x->has_real_size = parse_decimal(value, &x->real_size);
        else if (strcmp(key, "major") == 0)
                x->has_major = parse_decimal(value, &x->major);
        else if (strcmp(key, "offset") == 0)
                x->broken |= !parse_decimal(value, &x->start);
        else if (strcmp(key, "map") == 0)
                return take_list(r, x, value);
        else if (strcmp(key, "numbytes") == 0 && parse_decimal(value, &len))
                return add_run(r, x, x->start, len);
        return 0;
}

static int take_record(struct tar_reader *r, struct extra *x, const char *key, const char *value)
{
        static const char sparse[] = "GNU.sparse.";
        uint64_t seconds;

        if (strcmp(key, "path") == 0)
                return replace(&x->path, value);
        if (strncmp(key, sparse, sizeof sparse - 1) == 0)
                return take_sparse_record(r, x, key + sizeof sparse - 1, value);
        if (strcmp(key, "size") == 0) {
                x->has_size = parse_decimal(value, &x->size) && x->size <= FAR;
        } else if (strcmp(key, "mtime") == 0 && parse_decimal(value, &seconds)) {
                x->has_mtime = true;
                x->mtime = (int64_t)seconds;
        }
        return 0;
}

/* "LENGTH KEY=VALUE\n", one behind the other; a record that is none ends them. */
static int take_records(struct tar_reader *r, struct extra *x, char *text, size_t len)
{
        int rc = 0;

        while (len && rc == 0) {
                char *behind, *equals;
                size_t n;

                if (!isdigit((unsigned char)text[0]))
                        return 0;
                n = strtoul(text, &behind, 10);
                if (n > len || *behind != ' ' || n <= (size_t)(behind - text) + 1 ||
                    text[n - 1] != '\n')
                        return 0;
                text[n - 1] = '\0';
                equals = strchr(behind + 1, '=');
                if (!equals)
                        return 0;
                *equals = '\0';
                rc = take_record(r, x, behind + 1, equals + 1);
                text += n;
                len -= n;
        }
        return rc;
}

/* A pax header or a long name, of SIZE bytes at byte DATA. 1, 0, -errno. */
static int take_extra(struct tar_reader *r, struct extra *x, char type, uint64_t data,
                      uint64_t size, struct error *err)
{
        cleanup_free char *text = NULL;
        int rc;

        if (size > EXTRA_MAX)
                return end_with(r, data, "a header in front of a member is absurdly long");
        text = calloc(1, (size_t)size + 1);
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = fetch(r, text, (size_t)size, data, err);
        if (rc == 0 && !r->fault[0])
                return end_with(r, data, "the archive ends inside a header: it was cut off");
        if (rc <= 0)
                return rc;
        rc = type == 'L' ? replace(&x->path, text) : take_records(r, x, text, (size_t)size);
        return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 1;
}

/* ---- members ---- */

static char *header_name(const unsigned char *h)
{
        const char *name = (const char *)h + AT_NAME, *prefix = (const char *)h + AT_PREFIX;
        char *out;

        if (memcmp(h + AT_MAGIC, "ustar\0", 6) != 0 || prefix[0] == '\0')
                return strndup(name, NAME_LEN);
        return asprintf(&out, "%.*s/%.*s", PREFIX_LEN, prefix, NAME_LEN, name) < 0 ? NULL : out;
}

static const char *skip_dot(const char *name)
{
        while (name[0] == '.' && name[1] == '/')
                name += 2 + strspn(name + 2, "/");
        return name;
}

static int name_member(struct tar_member *m, const struct extra *x, const unsigned char *header,
                       struct error *err)
{
        const char *said = x->sparse_name ? x->sparse_name : x->path;
        cleanup_free char *raw = said ? strdup(said) : header_name(header);

        m->name = raw ? strdup(skip_dot(raw)) : NULL;
        return m->name ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* The member with this HEADER and DATA behind it. 1, 0, -errno. */
static int make_member(struct tar_reader *r, struct extra *x, const unsigned char *header,
                       uint64_t size, struct tar_member *m, struct error *err)
{
        uint64_t seconds = 0;
        int rc = 1;

        *m = (struct tar_member){
            .header = r->pos, .data = r->pos + TAR_BLOCK, .stored = x->has_size ? x->size : size};
        if (parse_number(header + AT_MTIME, NUMBER_LEN, &seconds))
                m->mtime = (int64_t)seconds;
        if (x->has_mtime)
                m->mtime = x->mtime;
        if (header[AT_TYPE] == 'S')
                rc = read_gnu_map(r, x, header, &m->data, err);
        r->pos = m->data + round_up(m->stored, TAR_BLOCK);
        if (rc > 0 && x->sparse && x->has_major && x->major == 1)
                rc = read_pax_map(r, x, &m->data, &m->stored, err);
        if (rc == 0 && !r->fault[0])
                rc = end_with(r, m->header, "the archive ends inside a header: it was cut off");
        if (rc > 0)
                rc = name_member(m, x, header, err) < 0 ? -ENOMEM : 1;
        if (rc <= 0)
                return rc;
        m->sparse = x->sparse;
        m->size = x->sparse && x->has_real_size ? x->real_size : m->stored;
        m->runs = steal_ptr(&x->runs);
        m->run_count = x->run_count;
        m->broken = m->sparse && (x->broken || !x->has_real_size || !place_runs(m));
        return 1;
}

/* Are there no more than zeros in BLOCK? */
static bool is_end(const unsigned char *block)
{
        for (size_t i = 0; i < TAR_BLOCK; i++)
                if (block[i])
                        return false;
        return true;
}

/* The header at r->pos, and of how many bytes it speaks. 1, 0 at the end, -errno. */
static int next_header(struct tar_reader *r, unsigned char *header, uint64_t *size,
                       struct error *err)
{
        int rc = fetch(r, header, TAR_BLOCK, r->pos, err);

        if (rc < 0 || r->fault[0])
                return rc < 0 ? rc : 0;
        if (rc == 0)
                return end_with(r, r->end, "the archive ends without an end mark: it was cut off");
        if (is_end(header))
                return 0;
        if (!tar_is_header(header, TAR_BLOCK))
                return end_with(r, r->pos, "a member's header is damaged: its checksum is wrong");
        if (!parse_number(header + AT_SIZE, NUMBER_LEN, size))
                return end_with(r, r->pos, "a member's header is damaged: its size is no number");
        if (header[AT_TYPE] >= '1' && header[AT_TYPE] <= '6')
                *size = 0; /* links and folders have no data */
        if (*size > FAR || r->pos > FAR)
                return end_with(r, r->pos, "a member is absurdly large");
        return 1;
}

int tar_next(struct tar_reader *r, struct tar_member *out, struct error *err)
{
        __attribute__((cleanup(extra_fini))) struct extra x = {0};
        unsigned char header[TAR_BLOCK];
        uint64_t size = 0;
        int rc;

        while ((rc = next_header(r, header, &size, err)) > 0) {
                char type = (char)header[AT_TYPE];

                if (type == '0' || type == '\0' || type == '7' || type == 'S')
                        return make_member(r, &x, header, size, out, err);
                if (type == 'x' || type == 'L')
                        rc = take_extra(r, &x, type, r->pos + TAR_BLOCK, size, err);
                if (rc <= 0)
                        return rc;
                r->pos += TAR_BLOCK + round_up(size, TAR_BLOCK);
                if (type == 'x' || type == 'L' || type == 'K')
                        continue;
                extra_fini(&x);
                x = (struct extra){0};
        }
        return rc;
}
