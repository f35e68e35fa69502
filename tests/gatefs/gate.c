/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 312

#include "tests/gatefs/gate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

#define EVERYTHING UINT64_MAX
#define READ_MAX   (4u << 20)

/* A read that waits. */
struct parked {
        struct parked *next;
        fuse_req_t req;
        size_t len;
        uint64_t offset;
        uint64_t due; /* milliseconds of the monotonic clock, before which it is not answered */
        size_t give;  /* bytes of the answer, once it is to be served */
};

enum verdict { VERDICT_SERVE, VERDICT_FAIL, VERDICT_INTERRUPTED, VERDICT_WAIT };

static uint64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* How many bytes a read can give. Caller holds the lock. */
static size_t readable(const struct gate *g, const struct parked *p)
{
        uint64_t end = min_u64(g->end, g->size);

        return p->offset >= end ? 0 : (size_t)min_u64(p->len, end - p->offset);
}

/* Does the gate, whatever the delay, keep a read waiting? Caller holds the lock. */
static bool is_blocked(const struct gate *g, const struct parked *p)
{
        size_t len = readable(g, p);

        return len > 0 && (p->offset + len > g->open ||
                           (p->offset < g->hold_end && p->offset + len > g->hold_start));
}

/*
 * What is to be done with a read now. One that is to be served is counted here already: who has
 * its answer may look at the counters at once. Caller holds the lock.
 */
static enum verdict judge(struct gate *g, struct parked *p)
{
        p->give = readable(g, p);
        if (g->ended)
                return VERDICT_FAIL;
        if (now_ms() < p->due || is_blocked(g, p))
                return VERDICT_WAIT;
        if (p->offset < g->fail_end && p->offset + p->give > g->fail_start)
                return VERDICT_FAIL;
        g->served++;
        g->bytes += p->give;
        return VERDICT_SERVE;
}

static void serve(const struct gate *g, const struct parked *p)
{
        cleanup_free char *buf = malloc(p->give + 1);
        ssize_t n;

        if (!buf) {
                fuse_reply_err(p->req, ENOMEM);
                return;
        }
        n = pread(g->fd, buf, p->give, (off_t)p->offset);
        if (n < 0)
                fuse_reply_err(p->req, errno);
        else
                fuse_reply_buf(p->req, buf, (size_t)n);
}

/* Answer a read that is on no list (any more). The lock is not held. */
static void answer(const struct gate *g, struct parked *take_p, enum verdict verdict)
{
        if (verdict == VERDICT_SERVE)
                serve(g, take_p);
        else
                fuse_reply_err(take_p->req, verdict == VERDICT_INTERRUPTED ? EINTR : EIO);
        free(take_p);
}

/* Take the first parked read that need not wait off the list, or NULL. Caller holds the lock. */
static struct parked *take_ready(struct gate *g, enum verdict *verdict)
{
        for (struct parked **at = &g->parked; *at; at = &(*at)->next) {
                struct parked *p = *at;

                *verdict = judge(g, p);
                if (*verdict == VERDICT_WAIT)
                        continue;
                *at = p->next;
                g->parked_count--;
                return p;
        }
        return NULL;
}

/* Wait until the gate moves or a parked read's delay ends. Caller holds the lock. */
static void wait_for_change(struct gate *g)
{
        uint64_t now = now_ms();
        uint64_t due = EVERYTHING;
        struct timespec until;

        for (const struct parked *p = g->parked; p; p = p->next)
                if (p->due > now)
                        due = min_u64(due, p->due);
        if (due == EVERYTHING) {
                pthread_cond_wait(&g->moved, &g->lock);
                return;
        }
        until.tv_sec = (time_t)(due / 1000);
        until.tv_nsec = (long)(due % 1000 * 1000000);
        pthread_cond_timedwait(&g->moved, &g->lock, &until);
}

/* Answers parked reads; ends when gatefs does and none is left. */
static void *work(void *ctx)
{
        struct gate *g = ctx;

        pthread_mutex_lock(&g->lock);
        while (!g->ended || g->parked) {
                enum verdict verdict;
                struct parked *p = take_ready(g, &verdict);

                if (!p) {
                        wait_for_change(g);
                        continue;
                }
                pthread_mutex_unlock(&g->lock);
                answer(g, p, verdict);
                pthread_mutex_lock(&g->lock);
        }
        pthread_mutex_unlock(&g->lock);
        return NULL;
}

/* The reader of REQ is gone: libfuse calls this with its own lock of REQ held. */
static void interrupted(fuse_req_t req, void *ctx)
{
        struct gate *g = ctx;
        struct parked **at;
        struct parked *p;

        pthread_mutex_lock(&g->lock);
        at = &g->parked;
        while (*at && (*at)->req != req)
                at = &(*at)->next;
        p = *at;
        if (p) {
                *at = p->next;
                g->parked_count--;
        }
        pthread_mutex_unlock(&g->lock);
        /* Where it is not on the list, somebody else is answering it. */
        if (p)
                fuse_reply_err(req, EINTR);
        free(p);
}

/* Put P at the end of the list if it has to wait: otherwise it stays the caller's. */
static enum verdict judge_or_park(struct gate *g, struct parked *p)
{
        scoped_lock(&g->lock);
        struct parked **at = &g->parked;
        enum verdict verdict;

        /* One more, since the millisecond that it is now has begun already. */
        p->due = g->delay_ms ? now_ms() + g->delay_ms + 1 : 0;
        verdict = judge(g, p);
        if (verdict != VERDICT_WAIT)
                return verdict;
        /* interrupted() did not find it before now, and will find it from now on. */
        if (fuse_req_interrupted(p->req))
                return VERDICT_INTERRUPTED;
        while (*at)
                at = &(*at)->next;
        *at = p;
        g->parked_count++;
        g->most = max_u64(g->most, g->parked_count);
        pthread_cond_signal(&g->moved);
        return VERDICT_WAIT;
}

/* Has the thread PID given up its capabilities, and a filter of system calls? */
static bool is_confined(pid_t pid)
{
        bool filtered = false;
        bool powerless = false;
        char path[32];
        char line[128];
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
                if (strncmp(line, "Seccomp:", 8) == 0)
                        filtered = strtol(line + 8, NULL, 10) == 2;
                if (strncmp(line, "CapEff:", 7) == 0)
                        powerless = strtoull(line + 7, NULL, 16) == 0;
        }
        if (f)
                fclose(f);
        return filtered && powerless;
}

static void note_reader(struct gate *g, fuse_req_t req)
{
        bool confined = is_confined(fuse_req_ctx(req)->pid);
        scoped_lock(&g->lock);

        g->unconfined += !confined;
}

void gate_read(struct gate *g, fuse_req_t req, size_t len, off_t offset)
{
        struct parked *p = calloc(1, sizeof *p);
        enum verdict verdict;

        if (!p) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        note_reader(g, req);
        p->req = req;
        p->len = (size_t)min_u64(len, READ_MAX);
        p->offset = (uint64_t)offset;
        /* Not under our lock: libfuse may call it at once, holding its own. */
        fuse_req_interrupt_func(req, interrupted, g);
        verdict = judge_or_park(g, p);
        if (verdict != VERDICT_WAIT)
                answer(g, p, verdict);
}

/* A number, or EVERYTHING for WORD. Moves *TEXT after it. */
static bool parse_position(char **text, const char *word, uint64_t *out)
{
        char *token = strsep(text, " ");
        char *end;

        if (!token || !*token)
                return false;
        if (word && strcmp(token, word) == 0) {
                *out = EVERYTHING;
                return true;
        }
        *out = strtoull(token, &end, 10);
        return token[0] >= '0' && token[0] <= '9' && !*end;
}

/* Set [*FROM, *TO) to "N M" or to "none". Caller holds the lock. */
static bool set_range(uint64_t *from, uint64_t *to, char *args)
{
        uint64_t start = 0;
        uint64_t end = 0;

        if (!args)
                return false;
        if (strcmp(args, "none") != 0 &&
            (!parse_position(&args, NULL, &start) || !parse_position(&args, NULL, &end) || args))
                return false;
        *from = start;
        *to = end;
        return true;
}

/* Set *FIELD to the one number, or WORD, of ARGS. Caller holds the lock. */
static bool set_one(uint64_t *field, char *args, const char *word)
{
        uint64_t value;

        if (!parse_position(&args, word, &value) || args)
                return false;
        *field = value;
        return true;
}

/* Caller holds the lock. */
static bool obey(struct gate *g, char *line)
{
        const char *command = strsep(&line, " ");

        if (strcmp(command, "open") == 0)
                return set_one(&g->open, line, "all");
        if (strcmp(command, "short") == 0)
                return set_one(&g->end, line, "off");
        if (strcmp(command, "delay") == 0)
                return set_one(&g->delay_ms, line, NULL);
        if (strcmp(command, "fail") == 0)
                return set_range(&g->fail_start, &g->fail_end, line);
        if (strcmp(command, "hold") == 0)
                return set_range(&g->hold_start, &g->hold_end, line);
        return false;
}

int gate_move(struct gate *g, char *text)
{
        scoped_lock(&g->lock);
        bool good = true;
        char *line;

        while (good && (line = strsep(&text, "\n")))
                good = !*line || obey(g, line);
        pthread_cond_signal(&g->moved);
        return good ? 0 : -EINVAL;
}

static void print_range(FILE *f, const char *name, uint64_t start, uint64_t end)
{
        if (end > start)
                fprintf(f, "%s %" PRIu64 " %" PRIu64 "\n", name, start, end);
        else
                fprintf(f, "%s none\n", name);
}

static void print_position(FILE *f, const char *name, uint64_t value, const char *word)
{
        if (value == EVERYTHING)
                fprintf(f, "%s %s\n", name, word);
        else
                fprintf(f, "%s %" PRIu64 "\n", name, value);
}

char *gate_describe(struct gate *g)
{
        scoped_lock(&g->lock);
        uint64_t blocked = 0;
        char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);

        if (!f)
                return NULL;
        for (const struct parked *p = g->parked; p; p = p->next)
                blocked += is_blocked(g, p);
        print_position(f, "open", g->open, "all");
        print_position(f, "short", g->end, "off");
        print_range(f, "hold", g->hold_start, g->hold_end);
        print_range(f, "fail", g->fail_start, g->fail_end);
        fprintf(f, "delay %" PRIu64 "\n", g->delay_ms);
        fprintf(f, "served %" PRIu64 "\nbytes %" PRIu64 "\nblocked %" PRIu64 "\nmost %" PRIu64 "\n",
                g->served, g->bytes, blocked, g->most);
        fprintf(f, "unconfined %" PRIu64 "\n", g->unconfined);
        fclose(f);
        return text;
}

void gate_init(struct gate *g, int fd, uint64_t size)
{
        pthread_condattr_t attr;

        *g = (struct gate){.fd = fd, .size = size, .open = EVERYTHING, .end = EVERYTHING};
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&g->moved, &attr);
        pthread_condattr_destroy(&attr);
        pthread_mutex_init(&g->lock, NULL);
}

int gate_start(struct gate *g)
{
        return -pthread_create(&g->worker, NULL, work, g);
}

void gate_end(struct gate *g)
{
        pthread_mutex_lock(&g->lock);
        g->ended = true;
        pthread_cond_signal(&g->moved);
        pthread_mutex_unlock(&g->lock);
        pthread_join(g->worker, NULL);
}
