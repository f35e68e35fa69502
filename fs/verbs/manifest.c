/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/format.h"
#include "archive/tar/manifest.h"
#include "fs/print/json.h"
#include "index/index.h"
#include "index/names.h"

enum {
        ITEMS_MAX = 8192, /* many times the members of any OVA */
        READ_SIZE = 256 * 1024,
};

/* The result for a line. */
enum result {
        PENDING, /* not hashed yet */
        AGREES,
        MISMATCH,
        MISSING,
        UNREADABLE,
        UNKNOWN,
        DUPLICATE,
        MALFORMED,
};

/* How each result is printed for people and in JSON, and whether it makes the archive unsound. */
static const struct {
        const char *text, *word;
        bool unsound;
} results[] = {
    [PENDING] = {"was not checked", "not-checked", true},
    [AGREES] = {"agrees", "agrees", false},
    [MISMATCH] = {"DIFFERS from its digest", "mismatch", true},
    [MISSING] = {"is MISSING from the archive", "missing", true},
    [UNREADABLE] = {"cannot be checked: parts of it cannot be read", "unreadable", true},
    [UNKNOWN] = {"is not checked: its digest is of a kind that vmafs does not know",
                 "unknown-algorithm", false},
    [DUPLICATE] = {"is named a second time, which is not looked at", "duplicate", true},
    [MALFORMED] = {"the line is not understood", "malformed", true},
};

/* A line of a manifest. */
struct item {
        size_t manifest;
        size_t line;
        enum result result;
        char *name;                    /* made safe; NULL: MALFORMED */
        struct disk *disk;             /* the member, one of the two … */
        const struct index_file *file; /* … or neither */
        const char *algorithm;
        uint8_t digest[MANIFEST_DIGEST_MAX];
        size_t digest_len;
        EVP_MD_CTX *hash; /* of the bytes so far; NULL: none yet */
        uint64_t done;    /* bytes of the member that were hashed */
};

struct manifest {
        const char *name; /* owned by the index */
        bool too_large;
        bool unreadable;
        size_t first, count; /* items */
        size_t left_out;     /* lines beyond ITEMS_MAX */
};

struct manifests {
        struct index *index;
        ARRAY(struct manifest) list;
        ARRAY(struct item) items;
        struct item **of_disk; /* by disk number; NULL: not in a manifest */
};

/* ---- parsing ---- */

static bool ends_with(const char *name, const char *end)
{
        size_t n = strlen(name), m = strlen(end);

        return n > m && strcasecmp(name + n - m, end) == 0;
}

/*
 * A member is a file or a disk. A disk inside a member has another name, or another device.
 */
static void find_member(struct manifests *m, struct item *item)
{
        const struct node *n = index_find(m->index, item->name);
        struct disk *d = n ? index_disk_of(n) : NULL;

        item->file = n ? index_file_of(n) : NULL;
        if (d && strcmp(d->device, item->name) == 0) {
                item->disk = d;
                m->of_disk[d->number] = item;
        } else if (!item->file) {
                item->result = MISSING;
        }
}

static bool is_duplicate(const struct manifests *m, const struct item *item)
{
        for (size_t i = 0; i < m->items.count; i++) {
                const struct item *other = array_at(&m->items, i);

                if (other->name && strcmp(other->name, item->name) == 0)
                        return true;
        }
        return false;
}

/* The length of the folder part of the safe name NAME, with its slash. */
static size_t folder_len(const char *name)
{
        size_t len = 0;

        for (const char *p = name; (p = strstr(p, "%2F")) != NULL; p += 3)
                len = (size_t)(p + 3 - name);
        return len;
}

/* The safe name of the member that LINE means, which is in the folder of the manifest MANIFEST. */
static char *member_name(const char *manifest, const struct manifest_line *line)
{
        cleanup_free char *raw = strndup(line->name, line->name_len), *safe = NULL;
        const char *name = raw;
        char *out;

        while (name && strncmp(name, "./", 2) == 0)
                name += 2;
        if (name)
                safe = name_make_safe(name);
        if (!safe || asprintf(&out, "%.*s%s", (int)folder_len(manifest), manifest, safe) < 0)
                return NULL;
        return out;
}

static int add_item(struct manifests *m, const struct manifest_line *line)
{
        struct manifest *manifest = array_last(&m->list);
        struct item item = {.manifest = m->list.count - 1, .line = line->number};

        if (m->items.count == ITEMS_MAX) {
                manifest->left_out++;
                return 0;
        }
        if (array_reserve(&m->items, 1) < 0)
                return -ENOMEM;
        if (line->kind == MANIFEST_MALFORMED) {
                item.result = MALFORMED;
        } else {
                item.name = member_name(manifest->name, line);
                if (!item.name)
                        return -ENOMEM;
                item.algorithm = line->algorithm;
                item.digest_len = line->digest_len;
                memcpy(item.digest, line->digest, sizeof item.digest);
                if (line->kind == MANIFEST_UNKNOWN)
                        item.result = UNKNOWN;
                if (is_duplicate(m, &item))
                        item.result = DUPLICATE;
        }
        manifest->count++;
        return array_add(&m->items, item);
}

static int add_manifest(struct manifests *m, const char *name, const struct index_file *f)
{
        struct manifest manifest = {.name = name, .too_large = !f, .first = m->items.count};
        cleanup_free char *text = f ? index_file_load(m->index, f, f->volume->size) : NULL;
        struct manifest_reader reader = {0};
        struct manifest_line line;
        int rc;

        if (f && !text && errno == ENOMEM)
                return -ENOMEM;
        manifest.unreadable = f && !text;
        rc = array_add(&m->list, manifest);
        if (text)
                reader = (struct manifest_reader){.text = text, .len = f->volume->size};
        while (rc == 0 && manifest_next(&reader, &line))
                rc = add_item(m, &line);
        return rc;
}

static int add_manifests(struct manifests *m)
{
        int rc = 0;

        for (size_t i = 0; i < index_file_count(m->index) && rc == 0; i++)
                if (ends_with(index_file(m->index, i)->name, ".mf"))
                        rc =
                            add_manifest(m, index_file(m->index, i)->name, index_file(m->index, i));
        for (size_t i = 0; i < index_disk_count(m->index) && rc == 0; i++)
                if (ends_with(index_disk(m->index, i)->name, ".mf"))
                        rc = add_manifest(m, index_disk(m->index, i)->name, NULL);
        if (rc < 0)
                return rc;
        m->of_disk = calloc(index_disk_count(m->index) + 1, sizeof(*m->of_disk));
        if (!m->of_disk)
                return -ENOMEM;
        for (size_t i = 0; i < m->items.count; i++)
                if (array_at(&m->items, i)->result == PENDING)
                        find_member(m, array_at(&m->items, i));
        return 0;
}

/* Only an OVA's .mf files are manifests. */
static bool is_ova(const struct index *index)
{
        if (strcmp(index_format(index), tar_format.name) != 0)
                return false;
        for (size_t i = 0; i < index_file_count(index); i++)
                if (ends_with(index_file(index, i)->name, ".ovf"))
                        return true;
        return false;
}

int manifests_load(struct index *index, struct manifests **out)
{
        struct manifests *m;
        int rc;

        *out = NULL;
        if (!is_ova(index))
                return 0;
        m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->index = index;
        rc = add_manifests(m);
        if (rc < 0 || m->list.count == 0) {
                manifests_free(m);
                return rc;
        }
        *out = m;
        return 0;
}

void manifests_free(struct manifests *m)
{
        if (!m)
                return;
        for (size_t i = 0; i < m->items.count; i++) {
                EVP_MD_CTX_free(array_at(&m->items, i)->hash);
                free(array_at(&m->items, i)->name);
        }
        array_free(&m->items);
        free(m->of_disk);
        array_free(&m->list);
        free(m);
}

/* ---- checking ---- */

static int start(struct item *item)
{
        item->done = 0;
        EVP_MD_CTX_free(item->hash);
        item->hash = EVP_MD_CTX_new();
        if (!item->hash)
                return -ENOMEM;
        if (EVP_DigestInit_ex(item->hash, EVP_get_digestbyname(item->algorithm), NULL) == 1)
                return 0;
        EVP_MD_CTX_free(steal_ptr(&item->hash));
        return -ENOTSUP;
}

static int update(struct item *item, const void *buf, size_t len)
{
        item->done += len;
        return EVP_DigestUpdate(item->hash, buf, len) == 1 ? 0 : -ENOTSUP;
}

/* The whole member has been hashed. */
static int settle(struct item *item)
{
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        bool done = EVP_DigestFinal_ex(item->hash, digest, &len) == 1;

        EVP_MD_CTX_free(steal_ptr(&item->hash));
        if (!done)
                return -ENOTSUP;
        item->result =
            len == item->digest_len && memcmp(digest, item->digest, len) == 0 ? AGREES : MISMATCH;
        return 0;
}

void manifests_take(struct manifests *m, const struct disk *disk, uint64_t start_at,
                    const void *buf, size_t len)
{
        struct item *item = m->of_disk[disk->number];

        if (!item || item->result != PENDING || (start_at && start_at != item->done))
                return;
        /* If this fails, it is tried again after the pass, and reported then. */
        if (start_at == 0 && start(item) < 0)
                return;
        if (!item->hash || update(item, buf, len) < 0 || item->done < disk->size)
                return;
        settle(item);
}

static int check_disk(struct item *item, char *buf)
{
        int rc = item->hash ? 0 : start(item);

        while (rc == 0 && item->done < item->disk->size) {
                size_t n = (size_t)min_u64(READ_SIZE, item->disk->size - item->done);

                if (disk_read(item->disk, buf, n, item->done) != (ssize_t)n) {
                        item->result = UNREADABLE;
                        return 0;
                }
                rc = update(item, buf, n);
        }
        return rc < 0 ? rc : settle(item);
}

static int check_file(const struct manifests *m, struct item *item)
{
        cleanup_free char *text = index_file_load(m->index, item->file, item->file->volume->size);
        int rc;

        if (!text && errno == ENOMEM)
                return -ENOMEM;
        if (!text) {
                item->result = UNREADABLE;
                return 0;
        }
        rc = start(item);
        if (rc == 0)
                rc = update(item, text, item->file->volume->size);
        return rc < 0 ? rc : settle(item);
}

int manifests_finish(struct manifests *m)
{
        cleanup_free char *buf = malloc(READ_SIZE);
        int rc = buf ? 0 : -ENOMEM;

        for (size_t i = 0; i < m->items.count && rc == 0; i++) {
                struct item *item = array_at(&m->items, i);

                if (item->result == PENDING)
                        rc = item->file ? check_file(m, item) : check_disk(item, buf);
        }
        return rc;
}

static bool manifest_agrees(const struct manifests *m, const struct manifest *one)
{
        if (one->too_large || one->unreadable || one->left_out)
                return false;
        for (size_t i = 0; i < one->count; i++)
                if (results[array_at(&m->items, one->first + i)->result].unsound)
                        return false;
        return true;
}

bool manifests_agree(const struct manifests *m)
{
        for (size_t i = 0; m && i < m->list.count; i++)
                if (!manifest_agrees(m, array_at(&m->list, i)))
                        return false;
        return true;
}

/* ---- printing ---- */

static size_t count_result(const struct manifests *m, const struct manifest *one, enum result what)
{
        size_t n = 0;

        for (size_t i = 0; i < one->count; i++)
                n += array_at(&m->items, one->first + i)->result == what;
        return n;
}

/* How many lines name a file. */
static size_t count_files(const struct manifests *m, const struct manifest *one)
{
        return one->count - count_result(m, one, MALFORMED);
}

void manifests_print_names(const struct manifests *m)
{
        for (size_t i = 0; m && i < m->list.count; i++)
                printf("manifest:     %s, of %zu files; vmafs verify checks it\n",
                       array_at(&m->list, i)->name, count_files(m, array_at(&m->list, i)));
}

json_t *manifests_names_json(const struct manifests *m)
{
        json_t *out = json_array();

        for (size_t i = 0; m && i < m->list.count; i++)
                json_array_append_new(
                    out, json_pack("{s:s, s:I}", "name", array_at(&m->list, i)->name, "files",
                                   (json_int_t)count_files(m, array_at(&m->list, i))));
        return out;
}

static void print_item(const struct manifest *one, const struct item *item)
{
        if (item->result == AGREES)
                return;
        printf("manifest %s, line %zu: ", one->name, item->line);
        if (item->name)
                printf("%s ", item->name);
        puts(results[item->result].text);
}

void manifests_print(const struct manifests *m)
{
        for (size_t i = 0; m && i < m->list.count; i++) {
                const struct manifest *one = array_at(&m->list, i);

                for (size_t k = 0; k < one->count; k++)
                        print_item(one, array_at(&m->items, one->first + k));
                if (one->left_out)
                        printf("manifest %s: %zu more lines are not looked at\n", one->name,
                               one->left_out);
                if (one->too_large)
                        printf("manifest %s: is too large to be a manifest\n", one->name);
                else if (one->unreadable)
                        printf("manifest %s: cannot be read\n", one->name);
                else
                        printf("manifest %s: %zu of %zu files agree\n", one->name,
                               count_result(m, one, AGREES), count_files(m, one));
        }
}

static json_t *items_json(const struct manifests *m, const struct manifest *one)
{
        json_t *out = json_array();

        for (size_t i = 0; i < one->count; i++) {
                const struct item *item = array_at(&m->items, one->first + i);

                json_array_append_new(out, json_pack("{s:I, s:s, s:o, s:o}", "line",
                                                     (json_int_t)item->line, "result",
                                                     results[item->result].word, "name",
                                                     json_text_or_null(item->name), "algorithm",
                                                     json_text_or_null(item->algorithm)));
        }
        return out;
}

json_t *manifests_json(const struct manifests *m)
{
        json_t *out = json_array();

        for (size_t i = 0; m && i < m->list.count; i++) {
                const struct manifest *one = array_at(&m->list, i);

                json_array_append_new(out, json_pack("{s:s, s:b, s:b, s:I, s:o}", "name", one->name,
                                                     "agrees", manifest_agrees(m, one), "too-large",
                                                     one->too_large, "lines-left-out",
                                                     (json_int_t)one->left_out, "files",
                                                     items_json(m, one)));
        }
        return out;
}
