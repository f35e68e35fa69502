/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/tarfile/tar_extra.h"
#include "archive/tarfile/tar_member.h"
#include "archive/tarfile/tar_resync.h"
#include "archive/tarfile/tar_window.h"

enum {
        EXTRA_MAX = 16 << 20, /* bytes of a pax header or a long name */
        REACH = 16 << 20,
};

static void extra_fini(struct tar_extra *x)
{
        free(x->path);
        free(x->sparse_name);
        array_free(&x->runs);
        tar_meta_fini(&x->meta);
}

void tar_member_fini(struct tar_member *m)
{
        free(m->name);
        array_free(&m->runs);
        tar_meta_fini(&m->meta);
}

/* ---- the stream ---- */

int tar_add_fault(struct tar_faults *faults, uint64_t at, const char *text)
{
        struct tar_fault fault = {.at = at};

        if (faults->count == TAR_FAULTS_MAX)
                return 0;
        snprintf(fault.text, sizeof fault.text, "%.*s", (int)sizeof fault.text - 1, text);
        return array_add(faults, fault);
}

/* The header at r->pos cannot be used, because of a fault at byte OFFSET. 0 or -ENOMEM. */
static int give_up(struct tar_reader *r, uint64_t offset, const char *text)
{
        r->broken = true;
        return r->follows ? 0 : tar_add_fault(&r->faults, offset, text);
}

int tar_reach(struct tar_reader *r, uint64_t offset, struct error *err)
{
        int rc = 0;

        while (rc == 0 && r->end < offset && r->end < r->source->size)
                rc = source_reach(r->source, min_u64(offset, r->end + REACH), &r->end, err);
        return rc;
}

/* The bytes at OFFSET cannot be read; a compressed stream says why. */
static int give_up_unread(struct tar_reader *r, uint64_t offset)
{
        struct error why;
        char text[sizeof why.text + 64];

        if (source_damage(r->source, &why) == 0)
                return give_up(r, offset, "a part of the archive cannot be read");
        snprintf(text, sizeof text, "a part of the archive cannot be read: %s", why.text);
        return give_up(r, offset, text);
}

int tar_fetch(struct tar_reader *r, void *buf, size_t len, uint64_t offset, struct error *err)
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
                return give_up_unread(r, offset);
        if (n < 0)
                return error_set_at(err, (int)-n, offset, "cannot be read: %s", strerror((int)-n));
        return (size_t)n == len;
}

/* The header at r->pos, which can be reached. As tar_fetch. */
static int fetch_header(struct tar_reader *r, unsigned char *block, struct error *err)
{
        if (r->window && tar_window_get(r->window, r->pos, block))
                return 1;
        return tar_fetch(r, block, TAR_BLOCK, r->pos, err);
}

/* ---- headers before a member ---- */

static int replace(char **at, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*at);
        *at = copy;
        return 0;
}

static int take_sparse_record(struct tar_reader *r, struct tar_extra *x, const char *key,
                              const char *value)
{
        uint64_t len;

        x->sparse = true;
        if (strcmp(key, "name") == 0)
                return replace(&x->sparse_name, value);
        if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0)
                x->has_real_size = tar_parse_decimal(value, &x->real_size);
        else if (strcmp(key, "major") == 0)
                x->has_major = tar_parse_decimal(value, &x->major);
        else if (strcmp(key, "offset") == 0)
                x->broken |= !tar_parse_decimal(value, &x->start);
        else if (strcmp(key, "map") == 0)
                return tar_take_list(r, x, value);
        else if (strcmp(key, "numbytes") == 0 && tar_parse_decimal(value, &len))
                return tar_add_run(r, x, x->start, len);
        return 0;
}

/* VALUE has LEN bytes before its NUL. */
static int take_record(struct tar_reader *r, struct tar_extra *x, const char *key,
                       const char *value, size_t len)
{
        static const char sparse[] = "GNU.sparse.";
        uint64_t seconds;

        if (r->all && tar_meta_is_record(key))
                return tar_meta_take_record(&x->meta, key, value, len);
        if (strcmp(key, "path") == 0)
                return replace(&x->path, value);
        if (strncmp(key, sparse, sizeof sparse - 1) == 0)
                return take_sparse_record(r, x, key + sizeof sparse - 1, value);
        if (strcmp(key, "size") == 0) {
                x->has_size = tar_parse_decimal(value, &x->size) && x->size <= TAR_FAR;
                x->malformed |= !x->has_size;
        } else if (strcmp(key, "mtime") == 0 && tar_parse_decimal(value, &seconds)) {
                x->has_mtime = true;
                x->mtime = (int64_t)seconds;
        }
        return 0;
}

/* "LENGTH KEY=VALUE\n", one after another; a malformed record makes all of them doubtful. */
static int take_records(struct tar_reader *r, struct tar_extra *x, char *text, size_t len)
{
        int rc = 0;

        while (len && rc == 0) {
                char *after, *equals;
                size_t n;

                x->malformed = true;
                if (!isdigit((unsigned char)text[0]))
                        return 0;
                n = strtoul(text, &after, 10);
                if (n > len || *after != ' ' || n <= (size_t)(after - text) + 1 ||
                    text[n - 1] != '\n')
                        return 0;
                text[n - 1] = '\0';
                equals = strchr(after + 1, '=');
                if (!equals)
                        return 0;
                *equals = '\0';
                x->malformed = false;
                rc =
                    take_record(r, x, after + 1, equals + 1, (size_t)(text + n - 1 - (equals + 1)));
                text += n;
                len -= n;
        }
        return rc;
}

/* A pax header or a long name, of SIZE bytes at byte DATA. 1, 0, -errno. */
static int take_extra(struct tar_reader *r, struct tar_extra *x, char type, uint64_t data,
                      uint64_t size, struct error *err)
{
        cleanup_free char *text = NULL;
        int rc;

        if (size > EXTRA_MAX)
                return give_up(r, data, "a header before a member is absurdly long");
        text = calloc(1, (size_t)size + 1);
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = tar_fetch(r, text, (size_t)size, data, err);
        if (rc == 0 && !r->broken)
                return give_up(r, data, "the archive ends inside a header: it was cut off");
        if (rc <= 0)
                return rc;
        if (type == 'K')
                rc = replace(&x->meta.link, text);
        else
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
                for (name += 2; *name == '/'; name++)
                        ;
        return name;
}

static int name_member(struct tar_member *m, const struct tar_extra *x, const unsigned char *header,
                       struct error *err)
{
        const char *said = x->sparse_name ? x->sparse_name : x->path;
        cleanup_free char *raw = said ? strdup(said) : header_name(header);

        m->name = raw ? strdup(skip_dot(raw)) : NULL;
        return m->name ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* Is it named as only a sparse member with a pax header is, which it lacks? */
static bool needs_extra(const struct tar_extra *x, const struct tar_member *m)
{
        return x->doubted && !x->sparse && strstr(m->name, "GNUSparseFile.");
}

/* The member with this HEADER and DATA after it. 1, 0, -errno. */
static int make_member(struct tar_reader *r, struct tar_extra *x, const unsigned char *header,
                       uint64_t size, struct tar_member *m, struct error *err)
{
        uint64_t seconds = 0;
        int rc = 1;

        *m = (struct tar_member){
            .header = r->pos,
            .data = r->pos + TAR_BLOCK,
            .stored = tar_data_size((char)header[AT_TYPE], x->has_size ? x->size : size)};
        if (tar_parse_number(header + AT_MTIME, NUMBER_LEN, &seconds))
                m->mtime = (int64_t)seconds;
        if (x->has_mtime)
                m->mtime = x->mtime;
        if (header[AT_TYPE] == 'S')
                rc = tar_read_gnu_map(r, x, header, &m->data, err);
        r->data = m->data;
        r->pos = m->data + round_up(m->stored, TAR_BLOCK);
        if (rc > 0 && x->sparse && x->has_major && x->major == 1)
                rc = tar_read_pax_map(r, x, &m->data, &m->stored, err);
        if (rc == 0 && !r->broken)
                rc = give_up(r, m->header, "the archive ends inside a header: it was cut off");
        if (rc > 0)
                rc = name_member(m, x, header, err) < 0 ? -ENOMEM : 1;
        if (rc <= 0)
                return rc;
        if (r->all && tar_meta_take_header(&x->meta, header) < 0)
                return error_set(err, ENOMEM, "out of memory");
        m->meta = x->meta;
        x->meta = (struct tar_meta){0};
        m->sparse = x->sparse;
        m->size = x->sparse && x->has_real_size ? x->real_size : m->stored;
        m->runs = x->runs;
        x->runs = (struct tar_runs){0};
        m->broken = m->sparse && (x->broken || !x->has_real_size || !tar_place_runs(m));
        if (x->malformed || needs_extra(x, m))
                m->lost = "a header before this file, which says more of it, is damaged";
        return 1;
}

/* ---- from one header to the next ---- */

/* The result of examining r->pos, unless it is -errno. */
enum step {
        STEP_END,
        STEP_MEMBER,
        STEP_ON,     /* no member yet: r->pos has moved on */
        STEP_DAMAGE, /* the header there cannot be used: r->broken */
};

/* Was a part of the stream lost since the last header, so that AT may be another place? */
static bool is_displaced(const struct tar_reader *r, uint64_t at)
{
        return source_straight(r->source, r->data) < at;
}

static const char moved[] =
    "what follows this file is not where it should be: something was cut out of it, or inserted";

/* Continue at the header that was FOUND. */
static int go_on(struct tar_reader *r, struct tar_extra *x, const struct tar_found *found)
{
        /* Before a gap in the member nothing is displaced, and what follows is lost anyway. */
        if (found->shifted && r->data < r->pos && !is_displaced(r, found->at))
                r->lost_before = moved;
        extra_fini(x);
        *x = (struct tar_extra){.doubted = found->doubted};
        r->pos = r->data = found->at;
        /* If this one is of no use either, it must not be found again, and again. */
        r->resumed = found->at + 1;
        r->broken = false;
        return STEP_ON;
}

/* BLOCK, at r->pos, is no usable header: skip to the next one. */
static int pass_damage(struct tar_reader *r, struct tar_extra *x, const unsigned char *block,
                       struct error *err)
{
        struct tar_found found = {0};
        int rc = r->follows ? 0 : tar_resync(r, block, &found, err);

        if (rc != 0)
                return rc < 0 ? rc : go_on(r, x, &found);
        found.at = r->pos;
        if (!r->follows)
                go_on(r, x, &found);
        r->broken = true;
        return STEP_END;
}

/* Zeros at r->pos: the end mark, or a header that was overwritten. */
static int pass_zeros(struct tar_reader *r, struct tar_extra *x, struct error *err)
{
        struct tar_found found = {0};
        int rc = r->follows ? 0 : tar_pass_zeros(r, &found, err);

        if (rc < 0 || (rc == 0 && !found.unended))
                return rc < 0 ? rc : STEP_END;
        if (rc > 0) {
                rc = give_up(r, r->pos, "zeros are here where a member's header should be");
                return rc < 0 ? rc : go_on(r, x, &found);
        }
        rc = give_up(r, r->pos, "zeros and something else are here where the archive should end");
        if (r->data < r->pos)
                r->lost_before = moved;
        return rc < 0 ? rc : STEP_END;
}

/* Process the header at r->pos. */
static int take_header(struct tar_reader *r, struct tar_extra *x, const unsigned char *header,
                       uint64_t size, struct tar_member *out, struct error *err)
{
        char type = (char)header[AT_TYPE];
        int rc = 1;

        if (tar_is_file(type) || (r->all && tar_meta_is_other(type))) {
                rc = make_member(r, x, header, size, out, err);
                return rc > 0 ? STEP_MEMBER : rc < 0 ? rc : STEP_DAMAGE;
        }
        if (type == 'x' || type == 'L' || (r->all && type == 'K'))
                rc = take_extra(r, x, type, r->pos + TAR_BLOCK, size, err);
        if (rc <= 0)
                return rc < 0 ? rc : STEP_DAMAGE;
        r->pos += TAR_BLOCK + round_up(size, TAR_BLOCK);
        r->data = r->pos;
        if (type != 'x' && type != 'L' && type != 'K') {
                extra_fini(x);
                *x = (struct tar_extra){0};
        }
        return STEP_ON;
}

/* Note the fault at byte OFFSET. STEP_DAMAGE or -errno. */
static int damage_at(struct tar_reader *r, uint64_t offset, const char *text)
{
        int rc = give_up(r, offset, text);

        return rc < 0 ? rc : STEP_DAMAGE;
}

/* The archive ends at or before r->pos, without an end mark; some programs omit it. */
static int end_without_mark(struct tar_reader *r, const struct tar_extra *x)
{
        bool pending = x->path || x->sparse || x->has_size || x->has_mtime;

        if (r->end <= r->pos && !pending)
                return STEP_END;
        return damage_at(r, r->end, "the archive ends inside a header: it was cut off");
}

/* Examine the block at r->pos, which is copied to BLOCK. */
static int look(struct tar_reader *r, struct tar_extra *x, unsigned char *block,
                struct tar_member *out, struct error *err)
{
        uint64_t size;
        int rc;

        memset(block, 0, TAR_BLOCK);
        rc = tar_reach(r, r->pos + TAR_BLOCK, err);
        if (rc == 0 && is_displaced(r, r->pos)) {
                memset(block, 0xff, TAR_BLOCK);
                return damage_at(r, r->data, "a part of the archive is lost after this");
        }
        if (rc == 0)
                rc = fetch_header(r, block, err);
        if (rc < 0 || r->broken)
                return rc < 0 ? rc : STEP_DAMAGE;
        if (rc == 0)
                return end_without_mark(r, x);
        if (tar_is_zero(block))
                return pass_zeros(r, x, err);
        if (!tar_is_header(block, TAR_BLOCK))
                return damage_at(r, r->pos,
                                 tar_was_header(block)
                                     ? "a member's header is damaged: its checksum is wrong"
                                     : "something else is here where a member's header should be");
        if (!tar_parse_number(block + AT_SIZE, NUMBER_LEN, &size))
                return damage_at(r, r->pos, "a member's header is damaged: its size is no number");
        size = tar_data_size((char)block[AT_TYPE], size);
        if (size > TAR_FAR || r->pos > TAR_FAR)
                return damage_at(r, r->pos, "a member is absurdly large");
        return take_header(r, x, block, size, out, err);
}

int tar_next(struct tar_reader *r, struct tar_member *out, struct error *err)
{
        __attribute__((cleanup(extra_fini))) struct tar_extra x = {0};
        unsigned char block[TAR_BLOCK];
        int step;

        r->broken = false;
        r->lost_before = NULL;
        do {
                step = look(r, &x, block, out, err);
                if (step == STEP_DAMAGE)
                        step = pass_damage(r, &x, block, err);
        } while (step == STEP_ON);
        /* While the caller processes this one. */
        if (step == STEP_MEMBER && r->window)
                tar_window_expect(r->window, r->pos);
        return step;
}
