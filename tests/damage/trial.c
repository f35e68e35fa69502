/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "index/index.h"

enum { PIECE = 65536, CACHE = 8 << 20, STRANGER_LOOKS = 64 };

const char *const trial_names[TRIAL_WAYS] = {"without an index",
                                             "with the index of that",
                                             "with the sound archive's index",
                                             "while it was scanned",
                                             "extracted",
                                             "mounted"};

/* ---- files ---- */

static void write_file(const char *path, struct bytes b)
{
        cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        sound_require(fd >= 0, path);
        for (size_t at = 0; at < b.len;) {
                ssize_t n = write(fd, b.data + at, b.len - at);

                sound_require(n > 0, path);
                at += (size_t)n;
        }
}

void trial_path(const struct trial *t, const char *name, char out[TRIAL_PATH])
{
        snprintf(out, TRIAL_PATH, "%s/%s", t->dir, name);
}

static void write_archive(const struct trial *t, const struct bytes *files)
{
        char path[TRIAL_PATH];

        write_file(t->archive, files[0]);
        for (unsigned i = 1; i < t->sound->file_count; i++) {
                trial_path(t, t->sound->files[i].name, path);
                write_file(path, files[i]);
        }
}

/* All that is in the folder PATH, and it too. */
void trial_remove(char *path)
{
        FTS *fts = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        FTSENT *e;

        while (fts && (e = fts_read(fts))) {
                if (e->fts_info == FTS_DP)
                        rmdir(e->fts_path);
                else if (e->fts_info != FTS_D)
                        unlink(e->fts_path);
        }
        if (fts)
                fts_close(fts);
}

/* ---- reading an index ---- */

struct serving serving_new(size_t size, size_t expected)
{
        struct serving s = {.present = true, .size = size};

        s.bytes.len = (size_t)min_u64(size, expected);
        s.bytes.data = calloc(s.bytes.len + PIECE + 1, 1);
        s.failed = calloc(s.bytes.len / JUDGE_BLOCK + 1, 1);
        sound_require(s.bytes.data && s.failed, "out of memory");
        return s;
}

void serving_free(struct serving *s)
{
        free(s->bytes.data);
        free(s->failed);
}

static void read_disk(struct disk *d, struct serving *s)
{
        for (size_t at = 0; at < s->bytes.len;) {
                size_t len = (size_t)min_u64(PIECE, s->bytes.len - at);
                ssize_t n = disk_read(d, s->bytes.data + at, len, at);

                if (n > 0) {
                        at += (size_t)n;
                        continue;
                }
                s->failed[at / JUDGE_BLOCK] = 1;
                at = (at / JUDGE_BLOCK + 1) * JUDGE_BLOCK;
        }
}

static void read_file(const struct index *index, const struct index_file *f, struct serving *s)
{
        for (size_t at = 0; at < s->bytes.len; at += JUDGE_BLOCK) {
                size_t len = (size_t)min_u64(JUDGE_BLOCK, s->bytes.len - at);

                if (index_file_read(index, f, s->bytes.data + at, len, at) < 0)
                        s->failed[at / JUDGE_BLOCK] = 1;
        }
}

static struct disk *find_disk(struct index *index, const char *name)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                if (strcmp(index_disk(index, i)->name, name) == 0)
                        return index_disk(index, i);
        return NULL;
}

static struct serving serve(struct index *index, const struct content *c)
{
        struct disk *d = find_disk(index, c->name);
        struct serving s = {0};

        if (d) {
                s = serving_new((size_t)d->size, c->bytes.len);
                read_disk(d, &s);
                return s;
        }
        for (size_t i = 0; i < index_file_count(index); i++) {
                const struct index_file *f = index_file(index, i);

                if (strcmp(f->name, c->name) != 0)
                        continue;
                s = serving_new(f->volume->size, c->bytes.len);
                read_file(index, f, &s);
                return s;
        }
        return s;
}

static bool is_expected(const struct sound *s, const char *name)
{
        for (unsigned i = 0; i < s->content_count; i++)
                if (strcmp(s->contents[i].name, name) == 0)
                        return true;
        return false;
}

/* Can anything be read of it? Its size may be any: some places of it are tried. */
static bool can_be_read(struct disk *d)
{
        uint64_t size = d->size, step = max_u64(size / STRANGER_LOOKS, 1);
        uint8_t byte;

        for (uint64_t at = 0; at < size; at += step)
                if (disk_read(d, &byte, 1, at) > 0)
                        return true;
        return false;
}

/*
 * What the sound archive does not have must not be read. A name alone does no harm, nor does what a
 * piece that is there twice holds: its name has a number.
 */
static void count_stranger(const struct sound *s, const char *name, bool readable,
                           struct verdict *v)
{
        if (is_expected(s, name) || strchr(name, '~'))
                return;
        v->strangers++;
        if (readable && !v->first[0])
                snprintf(v->first, sizeof v->first, "%.80s: is not in the sound archive", name);
}

static void judge_index(struct harmed *h, struct index *index, bool kept, struct verdict *v)
{
        v->hidden = harmed_seems_to_end(h);
        for (unsigned i = 0; i < h->sound->content_count; i++) {
                struct serving s = serve(index, &h->sound->contents[i]);

                judge_content(h, i, &s, kept, v);
                serving_free(&s);
        }
        for (size_t i = 0; i < index_disk_count(index); i++) {
                struct disk *d = index_disk(index, i);

                count_stranger(h->sound, d->name, can_be_read(d), v);
        }
        for (size_t i = 0; i < index_file_count(index); i++) {
                const struct index_file *f = index_file(index, i);

                count_stranger(h->sound, f->name, f->volume->size > 0, v);
        }
}

static struct index *open_index(const struct trial *t, enum index_sidecar sidecar, const char *path)
{
        struct index_options o = {.sidecar = sidecar,
                                  .sidecar_path = path,
                                  .threads = 2,
                                  .cache_bytes = CACHE,
                                  .unwatched = true};
        struct error err = {0};
        struct index *index = NULL;

        return index_open(t->archive, &o, &index, &err) < 0 ? NULL : index;
}

/* As a mount: open, scan unless there is an index at PATH, read all of it. */
static void use(const struct trial *t, struct harmed *h, const char *path, bool kept,
                struct verdict *v)
{
        struct index *index = open_index(t, INDEX_SIDECAR_USE, path);
        struct error err = {0};

        if (!index) {
                v->refused = true;
                for (unsigned i = 0; i < h->sound->content_count; i++)
                        judge_content(h, i, &(struct serving){0}, kept, v);
                return;
        }
        kept = kept && index_sidecar_state(index).loaded;
        index_scan(index, NULL, &err);
        judge_index(h, index, kept, v);
        index_close(index);
}

/* ---- reading while it is scanned ---- */

static void *scan(void *arg)
{
        struct error err = {0};

        index_scan(arg, NULL, &err);
        return NULL;
}

/* Read what can be had of D already; what can not is an error like any other. */
static void read_live(struct harmed *h, unsigned content, struct disk *d, struct verdict *v)
{
        const struct content *c = &h->sound->contents[content];
        struct serving s = serving_new((size_t)d->size, c->bytes.len);

        /* A provisional size is right when it is known. */
        if (d->provisional_size)
                s.size = c->bytes.len;
        read_disk(d, &s);
        judge_content(h, content, &s, false, v);
        serving_free(&s);
}

static void use_live(const struct trial *t, struct harmed *h, struct verdict *v)
{
        struct index *index = open_index(t, INDEX_SIDECAR_NONE, NULL);
        pthread_t thread;
        bool sealed;

        if (!index) {
                v->refused = true;
                return;
        }
        sound_require(pthread_create(&thread, NULL, scan, index) == 0, "a thread");
        do {
                sealed = index_sealed(index);
                for (unsigned i = 0; i < h->sound->content_count; i++) {
                        struct disk *d = find_disk(index, h->sound->contents[i].name);

                        if (d)
                                read_live(h, i, d, v);
                }
        } while (!sealed);
        pthread_join(thread, NULL);
        index_close(index);
}

/* ---- all of it ---- */

void trial_init(struct trial *t, const struct sound *sound, const struct sound_codec *codec,
                const char *dir)
{
        char name[64], path[TRIAL_PATH];
        struct error err = {0};
        struct index *index;

        *t = (struct trial){.sound = sound, .codec = codec};
        snprintf(t->dir, sizeof t->dir, "%s", dir);
        sound_require(mkdir(dir, 0700) == 0, dir);
        snprintf(name, sizeof name, "%s%s", sound->files[0].name, codec->suffix);
        trial_path(t, name, t->archive);
        for (unsigned i = 0; i < sound->file_count; i++)
                t->files[i] = codec->pack ? codec->pack(sound->files[i].bytes)
                                          : sound_copy(sound->files[i].bytes);
        write_archive(t, t->files);
        trial_path(t, "sound.index", path);
        index = open_index(t, INDEX_SIDECAR_BUILD, path);
        sound_require(index != NULL, t->archive);
        sound_require(index_scan(index, NULL, &err) == 0, err.text);
        index_close(index);
}

void trial_fini(struct trial *t)
{
        for (unsigned i = 0; i < t->sound->file_count; i++)
                free(t->files[i].data);
        trial_remove(t->dir);
}

static void copy_file(const char *from, const char *to)
{
        struct bytes b = fixture_file(from);

        unlink(to);
        if (b.data)
                write_file(to, b);
        free(b.data);
}

static void read_in_each_way(const struct trial *t, struct harmed *h, struct outcome_of *out)
{
        char index[TRIAL_PATH], sound_index[TRIAL_PATH];

        trial_path(t, "index", index);
        trial_path(t, "sound.index", sound_index);
        unlink(index);
        use(t, h, index, false, &out->ways[TRIAL_FRESH]);
        use(t, h, index, false, &out->ways[TRIAL_AGAIN]);
        copy_file(sound_index, index);
        use(t, h, index, true, &out->ways[TRIAL_KEPT]);
        unlink(index);
}

/* From which byte on does a checksum come too late, or not at all? */
static size_t unproven_from(const struct trial *t, const struct bytes *files)
{
        if (t->codec->single && t->sound->files[0].bytes.len > JUDGE_LARGE)
                return 0;
        return t->codec->pack ? codec_unproven_from(files[0]) : SIZE_MAX;
}

void trial_read(struct trial *t, const struct bytes *files, struct outcome_of *out)
{
        struct harmed h;

        *out = (struct outcome_of){.verify = TRIAL_DAMAGED};
        harmed_init(&h, t->sound, files, t->codec->pack != NULL);
        h.moved = t->moved;
        h.unproven_from = unproven_from(t, files);
        write_archive(t, files);
        read_in_each_way(t, &h, out);
        harmed_fini(&h);
}

void trial_run(struct trial *t, const struct bytes *files, bool live, struct outcome_of *out)
{
        struct harmed h;

        *out = (struct outcome_of){0};
        harmed_init(&h, t->sound, files, t->codec->pack != NULL);
        h.moved = t->moved;
        h.unproven_from = unproven_from(t, files);
        write_archive(t, files);
        read_in_each_way(t, &h, out);
        if (live)
                use_live(t, &h, &out->ways[TRIAL_LIVE]);
        trial_extract(t, &h, &out->ways[TRIAL_EXTRACT]);
        if (t->program)
                trial_mount(t, &h, &out->ways[TRIAL_MOUNT]);
        out->verify = trial_verify(t);
        harmed_fini(&h);
}

/* Does the archive lack anything, or is anything in it that verify could have seen? */
bool trial_must_be_seen(const struct trial *t, const struct verdict *v)
{
        bool wrong = false;

        for (int i = 0; i < JUDGE_CLASSES; i++)
                wrong |= v->wrong[i] > 0;
        return v->refused || (!v->hidden && (v->missing || v->errors)) || v->strangers ||
               v->early || verdict_is_silent(v) ||
               (wrong && (t->sound->has_digests || t->codec->pack));
}

bool trial_objects(const struct trial *t, const struct outcome_of *out, char *text, size_t size)
{
        for (int i = 0; i < TRIAL_WAYS; i++) {
                if (!verdict_is_silent(&out->ways[i]))
                        continue;
                snprintf(text, size, "%s, %s", trial_names[i], out->ways[i].first);
                return true;
        }
        if (out->verify == TRIAL_DIED) {
                snprintf(text, size, "verify was killed");
                return true;
        }
        if (out->verify != TRIAL_SOUND || !trial_must_be_seen(t, &out->ways[TRIAL_FRESH]))
                return false;
        snprintf(text, size, "verify says sound, though %s",
                 out->ways[TRIAL_FRESH].missing  ? "something is missing"
                 : out->ways[TRIAL_FRESH].errors ? "some of it cannot be read"
                 : out->ways[TRIAL_FRESH].early  ? "it ends too early"
                                                 : "a checksum does not agree");
        return true;
}
