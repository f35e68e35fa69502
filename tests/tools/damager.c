/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * damager [--seed N] [--count N] [--seconds N] [--format NAME] [--codec NAME] [--kinds NAME,NAME]
 *         [--size BYTES] [--jobs N] [--show N] [--keep DIR] [--program VMAFS]
 *
 * Archives of every format in every compression, each damaged in COUNT (4) ways, seeds SEED (1) and
 * up, or as many as there is time for: every byte that vmafs serves of them is right, or an error,
 * or wrong where no checksum covers it. Ends with a table, which the file FAULT_LOG gets, too, and
 * with status 1 if anything was not so. --keep leaves what failed in DIR; --program runs that
 * instead of what is linked, and mounts each file, too. A file can be had again by its format,
 * codec and seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "tests/damage/damage.h"
#include "tests/damage/tally.h"
#include "tests/damage/trial.h"

enum {
        FORMATS_MAX = 32,
        CODECS_MAX = 16,
        PATIENCE = 120, /* seconds for one file */
        LIVE_EACH = 4,
        JOBS_MAX = 64,
        ROUND = 20, /* files of a pair, until it is the next one's turn, where time is the limit */
};

struct wishes {
        uint64_t seed, count;
        time_t end; /* 0: COUNT decides */
        const char *format, *codec, *keep, *program;
        unsigned kinds, jobs, show;
        size_t size;
        char dir[100];
};

/* What all processes see. */
struct shared {
        atomic_uint next;     /* pair of format and codec, of all rounds */
        atomic_uint shown;    /* objections */
        atomic_flag counting; /* held by who adds to the tallies */
        struct tally tallies[FORMATS_MAX][CODECS_MAX];
        struct tally kinds[DAMAGE_KINDS + 1]; /* of files with one damage, or with more */
        char doing[JOBS_MAX][128];
};

static time_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/* ---- one file ---- */

static void keep_files(const struct wishes *w, const struct trial *t, const struct bytes *files,
                       uint64_t seed)
{
        for (unsigned i = 0; w->keep && i < t->sound->file_count; i++) {
                char path[400];
                FILE *f;

                snprintf(path, sizeof path, "%s/%s.%s.%" PRIu64 ".%s%s", w->keep, t->sound->format,
                         t->codec->name, seed, t->sound->files[i].name, t->codec->suffix);
                f = fopen(path, "w");
                if (!f || fwrite(files[i].data, 1, files[i].len, f) != files[i].len ||
                    fclose(f) != 0)
                        perror(path);
        }
}

static void show(const struct wishes *w, struct shared *shared, const struct trial *t,
                 const struct outcome_of *out, const struct damage_plan *plan, unsigned victim,
                 uint64_t seed)
{
        char text[300], done[300];

        if (!trial_objects(t, out, text, sizeof text) || shared->shown++ >= w->show)
                return;
        printf("%s, %s, seed %" PRIu64 " (%s of %s): %s\n", t->sound->format, t->codec->name, seed,
               damage_describe(plan, done, sizeof done), t->sound->files[victim].name, text);
        fflush(stdout);
}

/* Which file is damaged: the large ones more often. */
static unsigned choose_victim(const struct trial *t, uint64_t *random)
{
        size_t total = 0, at;

        for (unsigned i = 0; i < t->sound->file_count; i++)
                total += t->files[i].len;
        at = (size_t)(fixture_random(random) % max_u64(total, 1));
        for (unsigned i = 0;; i++) {
                if (at < t->files[i].len)
                        return i;
                at -= t->files[i].len;
        }
}

static void try_one(const struct wishes *w, struct shared *shared, struct trial *t, uint64_t seed,
                    struct tally *tally)
{
        uint64_t random = seed ^ XXH3_64bits(t->sound->format, strlen(t->sound->format)) ^
                          XXH3_64bits(t->codec->name, strlen(t->codec->name));
        struct bytes files[SOUND_FILES];
        struct damage_plan plan;
        struct outcome_of out;
        unsigned victim;

        memcpy(files, t->files, sizeof files);
        victim = choose_victim(t, &random);
        files[victim] = damage_apply(t->files[victim], fixture_random(&random), w->kinds, &plan);
        t->moved = damage_moves(&plan);
        alarm(PATIENCE);
        trial_run(t, files, seed % LIVE_EACH == 0, &out);
        alarm(0);
        while (atomic_flag_test_and_set(&shared->counting))
                ;
        tally_add(tally, t, &out);
        tally_add(&shared->kinds[plan.count == 1 ? plan.steps[0].kind : DAMAGE_KINDS], t, &out);
        atomic_flag_clear(&shared->counting);
        show(w, shared, t, &out, &plan, victim, seed);
        if (trial_objects(t, &out, (char[300]){0}, 300))
                keep_files(w, t, files, seed);
        free(files[victim].data);
}

/* ---- a format in a compression ---- */

/* A sound archive must be all right in every way, or the test itself is wrong. */
static void try_sound(struct trial *t)
{
        struct outcome_of out;

        trial_run(t, t->files, true, &out);
        for (int i = 0; i < TRIAL_WAYS; i++)
                sound_require(i == TRIAL_LIVE || verdict_is_right(&out.ways[i]),
                              out.ways[i].first[0] ? out.ways[i].first : trial_names[i]);
        sound_require(out.verify == TRIAL_SOUND, "verify does not call it sound");
}

static bool is_wished(const char *wished, const char *name)
{
        size_t len = strlen(name);

        if (!wished)
                return true;
        for (const char *at = wished; (at = strstr(at, name)); at += len)
                if ((at == wished || at[-1] == ',') && (at[len] == ',' || !at[len]))
                        return true;
        return false;
}

static bool is_over(const struct wishes *w)
{
        return w->end && now() >= w->end;
}

/* COUNT files, of seed FIRST and up. */
static void try_pair(const struct wishes *w, struct shared *shared, unsigned job, size_t format,
                     size_t codec, uint64_t first)
{
        struct sound sound = sound_make(&sound_formats[format], w->size);
        struct trial t;
        char dir[100];

        snprintf(dir, sizeof dir, "%.90s/%u", w->dir, job);
        trial_init(&t, &sound, &sound_codecs[codec], dir);
        t.program = w->program;
        try_sound(&t);
        for (uint64_t seed = first; seed < first + w->count && !is_over(w); seed++) {
                snprintf(shared->doing[job], sizeof shared->doing[job], "%s, %s, seed %" PRIu64,
                         sound.format, t.codec->name, seed);
                try_one(w, shared, &t, seed, &shared->tallies[format][codec]);
        }
        shared->doing[job][0] = '\0';
        trial_fini(&t);
        sound_free(&sound);
}

static void work(const struct wishes *w, struct shared *shared, unsigned job)
{
        size_t pairs = sound_format_count * sound_codec_count, rounds = w->end ? 1000 : 1;

        for (size_t n; (n = shared->next++) < rounds * pairs && !is_over(w);) {
                size_t format = n % pairs / sound_codec_count, codec = n % sound_codec_count;
                const struct sound_format *f = &sound_formats[format];

                if (!is_wished(w->format, f->name) ||
                    !is_wished(w->codec, sound_codecs[codec].name) ||
                    (f->alone && sound_codecs[codec].pack))
                        continue;
                try_pair(w, shared, job, format, codec, w->seed + n / pairs * w->count);
        }
}

/* ---- all of them ---- */

/* The line for the table of all faults. */
static void log_format(FILE *out, const struct wishes *w, const char *format,
                       const struct tally *sum)
{
        char what[64];

        snprintf(what, sizeof what, "%s%s", format, w->size > JUDGE_LARGE ? ", long members" : "");
        tally_log(out, what, sum);
}

static void print_tables(const struct wishes *w, const struct shared *shared)
{
        const char *log = getenv("FAULT_LOG");
        FILE *out = log ? fopen(log, "a") : NULL;
        struct tally codecs[CODECS_MAX] = {0}, all = {0};

        printf("\n");
        tally_print_head(stdout);
        for (size_t f = 0; f < sound_format_count; f++) {
                struct tally sum = {0};

                for (size_t c = 0; c < sound_codec_count; c++) {
                        tally_sum(&sum, &shared->tallies[f][c]);
                        tally_sum(&codecs[c], &shared->tallies[f][c]);
                }
                if (!sum.files)
                        continue;
                tally_print(stdout, sound_formats[f].name, &sum);
                tally_sum(&all, &sum);
                if (out)
                        log_format(out, w, sound_formats[f].name, &sum);
        }
        printf("\n");
        for (size_t c = 0; c < sound_codec_count; c++)
                if (codecs[c].files)
                        tally_print(stdout, sound_codecs[c].name, &codecs[c]);
        printf("\n");
        for (int k = 0; k <= DAMAGE_KINDS; k++)
                if (shared->kinds[k].files)
                        tally_print(stdout, k < DAMAGE_KINDS ? damage_names[k] : "two or three",
                                    &shared->kinds[k]);
        printf("\n");
        tally_print(stdout, "all", &all);
        printf("%" PRIu64 " files, %" PRIu64 " with what must not be\n", all.files, all.objections);
        if (out)
                fclose(out);
}

/* Start the workers, and wait for them. Returns whether all ended well. */
static bool run_all(const struct wishes *w, struct shared *shared)
{
        pid_t children[JOBS_MAX];
        bool well = true;

        fflush(stdout);
        for (unsigned i = 0; i < w->jobs; i++) {
                children[i] = fork();
                sound_require(children[i] >= 0, "fork");
                if (children[i] == 0) {
                        work(w, shared, i);
                        fflush(stdout);
                        _exit(0);
                }
        }
        for (unsigned i = 0; i < w->jobs; i++) {
                int status;

                while (waitpid(children[i], &status, 0) < 0)
                        sound_require(errno == EINTR, "waitpid");
                if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        continue;
                well = false;
                printf("%s: a process ended with %s %d\n", shared->doing[i],
                       WIFSIGNALED(status) ? "signal" : "status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        return well;
}

/* What root keeps goes to /var/cache: to one of our own, not to the machine's. */
static void hide_cache(const char *dir)
{
        setenv("XDG_CACHE_HOME", dir, 1);
        if (geteuid() != 0)
                return;
        sound_require(unshare(CLONE_NEWNS) == 0 &&
                          mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                          mount("damager", "/var/cache", "tmpfs", 0, NULL) == 0,
                      "a /var/cache of our own");
}

static unsigned parse_kinds(const char *words)
{
        unsigned kinds = 0;

        for (int i = 0; i < DAMAGE_KINDS; i++)
                if (is_wished(words, damage_names[i]))
                        kinds |= 1u << i;
        return kinds;
}

static int usage(void)
{
        fprintf(stderr, "usage: damager [--seed N] [--count N] [--seconds N] [--format NAMES] "
                        "[--codec NAMES] [--kinds NAMES] [--size BYTES] [--jobs N] [--show N] "
                        "[--keep DIR] [--program VMAFS]\n");
        return 2;
}

static int parse(int argc, char **argv, struct wishes *w)
{
        static const struct option options[] = {
            {"seed", required_argument, NULL, 's'},    {"count", required_argument, NULL, 'n'},
            {"seconds", required_argument, NULL, 't'}, {"format", required_argument, NULL, 'f'},
            {"codec", required_argument, NULL, 'c'},   {"kinds", required_argument, NULL, 'k'},
            {"size", required_argument, NULL, 'b'},    {"jobs", required_argument, NULL, 'j'},
            {"show", required_argument, NULL, 'v'},    {"keep", required_argument, NULL, 'd'},
            {"program", required_argument, NULL, 'p'}, {0}};
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                uint64_t n = c != '?' ? strtoull(optarg, NULL, 10) : 0;

                switch (c) {
                case 's':
                        w->seed = n;
                        break;
                case 'n':
                        w->count = n;
                        break;
                case 't':
                        w->end = now() + (time_t)n;
                        w->count = ROUND;
                        break;
                case 'f':
                        w->format = optarg;
                        break;
                case 'c':
                        w->codec = optarg;
                        break;
                case 'k':
                        w->kinds = parse_kinds(optarg);
                        break;
                case 'b':
                        w->size = (size_t)n / SOUND_SECTOR * SOUND_SECTOR;
                        break;
                case 'j':
                        w->jobs = (unsigned)n;
                        break;
                case 'v':
                        w->show = (unsigned)n;
                        break;
                case 'd':
                        w->keep = optarg;
                        break;
                case 'p':
                        w->program = optarg;
                        break;
                default:
                        return usage();
                }
        }
        return optind == argc && w->jobs > 0 && w->jobs <= JOBS_MAX && w->kinds ? 0 : usage();
}

int main(int argc, char **argv)
{
        struct wishes w = {.seed = 1,
                           .count = 4,
                           .kinds = (1u << DAMAGE_KINDS) - 1,
                           .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
                           .show = 20,
                           .size = 1536 << 10};
        struct shared *shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        uint64_t objections = 0;
        bool well;

        if (parse(argc, argv, &w) != 0)
                return 2;
        snprintf(w.dir, sizeof w.dir, "%.80s/damager-XXXXXX",
                 getenv("TMPDIR") ? getenv("TMPDIR") : "/dev/shm");
        sound_require(shared != MAP_FAILED && mkdtemp(w.dir) != NULL, w.dir);
        hide_cache(w.dir);
        well = run_all(&w, shared);
        print_tables(&w, shared);
        for (size_t f = 0; f < sound_format_count; f++)
                for (size_t c = 0; c < sound_codec_count; c++)
                        objections += shared->tallies[f][c].objections;
        trial_remove(w.dir);
        return well && objections == 0 ? 0 : 1;
}
