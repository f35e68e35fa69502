/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gatefs: shows one file read-only through a gate that a test moves.
 *
 *   gatefs FILE MOUNTPOINT       MOUNTPOINT/<name of FILE>  the file, read with direct I/O
 *                                MOUNTPOINT/.gate           commands in, counters out
 *
 * A read is judged when it arrives and again whenever the gate moves: it is answered, failed,
 * or parked. Parked reads hold no thread, so any number of them can wait; the one worker
 * answers them. They end with EINTR when their reader is killed, and with EIO when gatefs ends.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

#define INO_FILE (FUSE_ROOT_ID + 1)
#define INO_GATE (FUSE_ROOT_ID + 2)

#define GATE_NAME  ".gate"
#define EVERYTHING UINT64_MAX
#define READ_MAX   (4u << 20)

static const char usage_text[] =
    "usage: gatefs FILE MOUNTPOINT [-f] [-d] [-s] [-o opt,...]\n"
    "Shows FILE read-only in MOUNTPOINT, and a file .gate that takes commands, a line each:\n"
    "  open N|all   serve reads below byte N; those that touch what is behind it wait\n"
    "  fail N M     reads that touch [N, M) get EIO; 'fail none' ends that\n"
    "  short N|off  the file reads as if it ended at byte N; its size stays\n"
    "  delay MS     every read waits so long\n"
    "Reading .gate gives these and the counters: served, bytes (reads answered and their bytes)\n"
    "and blocked (reads that wait for the gate now).\n"
    "Exit status: 0 unmounted, 1 failed, 2 wrong usage.\n";

/* A read that waits. */
struct parked {
        struct parked *next;
        fuse_req_t req;
        size_t len;
        uint64_t offset;
        uint64_t due; /* milliseconds of the monotonic clock, before which it is not answered */
        size_t give;  /* bytes of the answer, once it is to be served */
};

struct gate {
        const char *path;
        const char *name; /* last component of path */
        int fd;
        struct stat st;

        pthread_t worker;
        pthread_cond_t moved; /* something that `lock` guards has changed */
        pthread_mutex_t lock; /* guards everything below */
        bool ended;
        uint64_t open;       /* reads up to here are served */
        uint64_t fail_start; /* [fail_start, fail_end) cannot be read; empty: everything can */
        uint64_t fail_end;
        uint64_t end; /* reads stop here; EVERYTHING: at the end of the file */
        uint64_t delay_ms;
        uint64_t served;
        uint64_t bytes;
        struct parked *parked; /* oldest first */
};

enum verdict { VERDICT_SERVE, VERDICT_FAIL, VERDICT_INTERRUPTED, VERDICT_WAIT };

static struct gate *gate_of(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

static uint64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* How many bytes a read can give. Caller holds the lock. */
static size_t readable(const struct gate *g, const struct parked *p)
{
        uint64_t end = min_u64(g->end, (uint64_t)g->st.st_size);

        return p->offset >= end ? 0 : (size_t)min_u64(p->len, end - p->offset);
}

/* Does the gate, whatever the delay, keep a read waiting? Caller holds the lock. */
static bool is_blocked(const struct gate *g, const struct parked *p)
{
        size_t len = readable(g, p);

        return len > 0 && p->offset + len > g->open;
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
        if (p)
                *at = p->next;
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

        p->due = g->delay_ms ? now_ms() + g->delay_ms : 0;
        verdict = judge(g, p);
        if (verdict != VERDICT_WAIT)
                return verdict;
        /* interrupted() did not find it before now, and will find it from now on. */
        if (fuse_req_interrupted(p->req))
                return VERDICT_INTERRUPTED;
        while (*at)
                at = &(*at)->next;
        *at = p;
        pthread_cond_signal(&g->moved);
        return VERDICT_WAIT;
}

static void read_through_gate(fuse_req_t req, size_t len, off_t offset)
{
        struct gate *g = gate_of(req);
        struct parked *p = calloc(1, sizeof *p);
        enum verdict verdict;

        if (!p) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        p->req = req;
        p->len = (size_t)min_u64(len, READ_MAX);
        p->offset = (uint64_t)offset;
        /* Not under our lock: libfuse may call it at once, holding its own. */
        fuse_req_interrupt_func(req, interrupted, g);
        verdict = judge_or_park(g, p);
        if (verdict != VERDICT_WAIT)
                answer(g, p, verdict);
}

/* A number, or EVERYTHING for WORD. Moves *TEXT behind it. */
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

/* Obey "fail N M" or "fail none". Caller holds the lock. */
static bool set_failing(struct gate *g, char *args)
{
        uint64_t start = 0;
        uint64_t end = 0;

        if (!args)
                return false;
        if (strcmp(args, "none") != 0 &&
            (!parse_position(&args, NULL, &start) || !parse_position(&args, NULL, &end) || args))
                return false;
        g->fail_start = start;
        g->fail_end = end;
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
                return set_failing(g, line);
        return false;
}

/* Obey the lines of TEXT up to the first that is wrong: 0 or -EINVAL. */
static int move_gate(struct gate *g, char *text)
{
        scoped_lock(&g->lock);
        bool good = true;
        char *line;

        while (good && (line = strsep(&text, "\n")))
                good = !*line || obey(g, line);
        pthread_cond_signal(&g->moved);
        return good ? 0 : -EINVAL;
}

static void print_position(FILE *f, const char *name, uint64_t value, const char *word)
{
        if (value == EVERYTHING)
                fprintf(f, "%s %s\n", name, word);
        else
                fprintf(f, "%s %" PRIu64 "\n", name, value);
}

/* The gate as .gate shows it, freed by the caller, or NULL. */
static char *describe(struct gate *g)
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
        if (g->fail_end > g->fail_start)
                fprintf(f, "fail %" PRIu64 " %" PRIu64 "\n", g->fail_start, g->fail_end);
        else
                fputs("fail none\n", f);
        fprintf(f, "delay %" PRIu64 "\n", g->delay_ms);
        fprintf(f, "served %" PRIu64 "\nbytes %" PRIu64 "\nblocked %" PRIu64 "\n", g->served,
                g->bytes, blocked);
        fclose(f);
        return text;
}

static void fill_attr(const struct gate *g, fuse_ino_t ino, struct stat *st)
{
        *st = (struct stat){
            .st_ino = ino,
            .st_nlink = 1,
            .st_uid = getuid(),
            .st_gid = getgid(),
            .st_mtim = g->st.st_mtim,
        };
        if (ino == FUSE_ROOT_ID) {
                st->st_mode = S_IFDIR | 0555;
                st->st_nlink = 2;
        } else if (ino == INO_GATE) {
                st->st_mode = S_IFREG | 0600;
        } else {
                st->st_mode = S_IFREG | 0444;
                st->st_size = g->st.st_size;
                st->st_blocks = g->st.st_blocks;
        }
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
        (void)ctx;
        /* Asynchronous reads count as background, and many of them wait here. */
        conn->max_background = 512;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        const struct gate *g = gate_of(req);
        struct fuse_entry_param e = {.attr_timeout = 1, .entry_timeout = 1};

        if (parent == FUSE_ROOT_ID && strcmp(name, g->name) == 0)
                e.ino = INO_FILE;
        else if (parent == FUSE_ROOT_ID && strcmp(name, GATE_NAME) == 0)
                e.ino = INO_GATE;
        if (!e.ino) {
                fuse_reply_err(req, ENOENT);
                return;
        }
        fill_attr(g, e.ino, &e.attr);
        fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct stat st;

        (void)fi;
        fill_attr(gate_of(req), ino, &st);
        fuse_reply_attr(req, &st, 1);
}

/* A shell's ">" truncates .gate, which changes nothing. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
        (void)attr;
        if (ino == INO_GATE && !(to_set & ~(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME)))
                op_getattr(req, ino, fi);
        else
                fuse_reply_err(req, EROFS);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        fi->direct_io = 1;
        if (ino == INO_GATE) {
                char *status = describe(gate_of(req));

                if (!status) {
                        fuse_reply_err(req, ENOMEM);
                        return;
                }
                fi->fh = (uintptr_t)status;
        } else if ((fi->flags & O_ACCMODE) != O_RDONLY) {
                fuse_reply_err(req, EROFS);
                return;
        }
        if (fuse_reply_open(req, fi) == -ENOENT)
                /* The opener was interrupted, so release will not be called. */
                free((void *)(uintptr_t)fi->fh);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        (void)ino;
        free((void *)(uintptr_t)fi->fh);
        fuse_reply_err(req, 0);
}

/* A reply with the part of BUF, which holds LEN bytes, that a read asks for. */
static void reply_part(fuse_req_t req, const char *buf, size_t len, size_t want, off_t offset)
{
        size_t start = (size_t)min_u64((uint64_t)offset, len);

        fuse_reply_buf(req, buf + start, (size_t)min_u64(want, len - start));
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset,
                    struct fuse_file_info *fi)
{
        const char *status = (const char *)(uintptr_t)fi->fh;

        if (ino == INO_GATE)
                reply_part(req, status, strlen(status), len, offset);
        else
                read_through_gate(req, len, offset);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t offset,
                     struct fuse_file_info *fi)
{
        cleanup_free char *text = strndup(buf, len);
        int rc;

        (void)ino;
        (void)offset;
        (void)fi;
        rc = text ? move_gate(gate_of(req), text) : -ENOMEM;
        if (rc < 0)
                fuse_reply_err(req, -rc);
        else
                fuse_reply_write(req, len);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
        const struct gate *g = gate_of(req);
        const struct {
                const char *name;
                fuse_ino_t ino;
        } entries[] = {
            {".", FUSE_ROOT_ID},
            {"..", FUSE_ROOT_ID},
            {GATE_NAME, INO_GATE},
            {g->name, INO_FILE},
        };
        char buf[1024];
        size_t len = 0;

        (void)ino;
        (void)fi;
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
                size_t next = len + fuse_add_direntry(req, NULL, 0, entries[i].name, NULL, 0);
                struct stat st;

                fill_attr(g, entries[i].ino, &st);
                fuse_add_direntry(req, buf + len, sizeof buf - len, entries[i].name, &st,
                                  (off_t)next);
                len = next;
        }
        reply_part(req, buf, len, size, offset);
}

static const struct fuse_lowlevel_ops ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .open = op_open,
    .release = op_release,
    .read = op_read,
    .write = op_write,
    .readdir = op_readdir,
};

/* Keeps the first word that is no option, FILE, out of what libfuse sees. */
static int take_path(void *ctx, const char *arg, int key, struct fuse_args *out)
{
        struct gate *g = ctx;

        (void)out;
        if (key != FUSE_OPT_KEY_NONOPT || g->path)
                return 1;
        g->path = arg;
        return 0;
}

static int open_file(struct gate *g)
{
        const char *slash = strrchr(g->path, '/');

        g->name = slash ? slash + 1 : g->path;
        g->fd = open(g->path, O_RDONLY | O_CLOEXEC);
        if (g->fd < 0 || fstat(g->fd, &g->st) < 0)
                return -errno;
        if (!S_ISREG(g->st.st_mode) || strcmp(g->name, GATE_NAME) == 0)
                return -EINVAL;
        return 0;
}

static void init_lock(struct gate *g)
{
        pthread_condattr_t attr;

        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&g->moved, &attr);
        pthread_condattr_destroy(&attr);
        pthread_mutex_init(&g->lock, NULL);
}

static int loop(struct fuse_session *se, bool single)
{
        struct fuse_loop_config *config;
        int rc;

        if (single)
                return fuse_session_loop(se);
        config = fuse_loop_cfg_create();
        rc = fuse_session_loop_mt(se, config);
        fuse_loop_cfg_destroy(config);
        return rc;
}

/* Serve a mounted session until it is unmounted or a signal comes. */
static int run(struct gate *g, struct fuse_session *se, bool single)
{
        int rc;

        if (pthread_create(&g->worker, NULL, work, g) != 0)
                return -1;
        rc = loop(se, single);
        pthread_mutex_lock(&g->lock);
        g->ended = true;
        pthread_cond_signal(&g->moved);
        pthread_mutex_unlock(&g->lock);
        pthread_join(g->worker, NULL);
        return rc < 0 ? -1 : 0;
}

/* Mount at OPTS' mountpoint, become a daemon unless told not to, and run. */
static int mount_and_run(struct gate *g, struct fuse_args *args,
                         const struct fuse_cmdline_opts *opts)
{
        struct fuse_session *se = fuse_session_new(args, &ops, sizeof ops, g);
        int rc = -1;

        if (!se)
                return -1;
        if (fuse_set_signal_handlers(se) == 0) {
                if (fuse_session_mount(se, opts->mountpoint) == 0) {
                        if (fuse_daemonize(opts->foreground) == 0)
                                rc = run(g, se, opts->singlethread);
                        fuse_session_unmount(se);
                }
                fuse_remove_signal_handlers(se);
        }
        fuse_session_destroy(se);
        return rc;
}

int main(int argc, char **argv)
{
        struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
        struct fuse_cmdline_opts opts = {0};
        struct gate g = {.fd = -1, .open = EVERYTHING, .end = EVERYTHING};
        int rc;

        if (fuse_opt_parse(&args, &g, NULL, take_path) < 0 ||
            fuse_parse_cmdline(&args, &opts) < 0 || opts.show_help || !opts.mountpoint) {
                fputs(usage_text, stderr);
                return 2;
        }
        rc = open_file(&g);
        if (rc < 0) {
                fprintf(stderr, "gatefs: %s: %s\n", g.path, strerror(-rc));
                return 1;
        }
        init_lock(&g);
        fuse_opt_add_arg(&args, "-ofsname=gatefs,subtype=gatefs");
        rc = mount_and_run(&g, &args, &opts);
        free(opts.mountpoint);
        fuse_opt_free_args(&args);
        close(g.fd);
        return rc < 0 ? 1 : 0;
}
