/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gatefs: shows one file read-only through a gate that a test moves.
 *
 *   gatefs FILE MOUNTPOINT       MOUNTPOINT/<name of FILE>  the file, read with direct I/O, or
 *                                                           through the page cache
 *                                MOUNTPOINT/.gate           commands in, counters out
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "tests/gatefs/gate.h"

#define INO_FILE (FUSE_ROOT_ID + 1)
#define INO_GATE (FUSE_ROOT_ID + 2)

#define GATE_NAME ".gate"

static const char usage_text[] =
    "usage: gatefs FILE MOUNTPOINT [-f] [-d] [-s] [-o opt,...]\n"
    "Shows FILE read-only in MOUNTPOINT, and a file .gate that takes commands, a line each:\n"
    "  open N|all   serve reads below byte N; those that touch what is after it wait\n"
    "  hold N M     reads that touch [N, M) wait; 'hold none' ends that\n"
    "  fail N M     reads that touch [N, M) get EIO; 'fail none' ends that\n"
    "  short N|off  the file reads as if it ended at byte N; its size stays\n"
    "  delay MS     every read waits so long\n"
    "Reading .gate gives these and the counters: served, bytes (reads answered and their bytes),\n"
    "blocked (reads that wait for the gate now) most (that ever waited together)\n"
    "and unconfined (reads by threads that have capabilities or no seccomp filter).\n"
    "With -o cached the kernel keeps what was read, until the file is opened anew.\n"
    "Exit status: 0 unmounted, 1 failed, 2 wrong usage.\n";

struct gatefs {
        const char *path;
        const char *name; /* last component of path */
        int cached;       /* read through the page cache */
        int fd;
        struct stat st;
        struct gate gate;
};

static struct gatefs *gatefs_of(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

static void fill_attr(const struct gatefs *g, fuse_ino_t ino, struct stat *st)
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
        const struct gatefs *g = gatefs_of(req);
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
        fill_attr(gatefs_of(req), ino, &st);
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
        fi->direct_io = ino == INO_GATE || !gatefs_of(req)->cached;
        if (ino == INO_GATE) {
                char *status = gate_describe(&gatefs_of(req)->gate);

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
                gate_read(&gatefs_of(req)->gate, req, len, offset);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t offset,
                     struct fuse_file_info *fi)
{
        cleanup_free char *text = strndup(buf, len);
        int rc;

        (void)ino;
        (void)offset;
        (void)fi;
        rc = text ? gate_move(&gatefs_of(req)->gate, text) : -ENOMEM;
        if (rc < 0)
                fuse_reply_err(req, -rc);
        else
                fuse_reply_write(req, len);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
        const struct gatefs *g = gatefs_of(req);
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

static const struct fuse_opt words[] = {
    {"cached", offsetof(struct gatefs, cached), 1},
    FUSE_OPT_END,
};

/* Keeps the first word that is no option, FILE, out of what libfuse sees. */
static int take_path(void *ctx, const char *arg, int key, struct fuse_args *out)
{
        struct gatefs *g = ctx;

        (void)out;
        if (key != FUSE_OPT_KEY_NONOPT || g->path)
                return 1;
        g->path = arg;
        return 0;
}

static int open_file(struct gatefs *g)
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
static int run(struct gatefs *g, struct fuse_session *se, bool single)
{
        int rc;

        if (gate_start(&g->gate) < 0)
                return -1;
        rc = loop(se, single);
        gate_end(&g->gate);
        return rc < 0 ? -1 : 0;
}

/* Mount at OPTS' mountpoint, become a daemon unless told not to, and run. */
static int mount_and_run(struct gatefs *g, struct fuse_args *args,
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
        struct gatefs g = {.fd = -1};
        int rc;

        if (fuse_opt_parse(&args, &g, words, take_path) < 0 ||
            fuse_parse_cmdline(&args, &opts) < 0 || opts.show_help || !opts.mountpoint) {
                fputs(usage_text, stderr);
                return 2;
        }
        rc = open_file(&g);
        if (rc < 0) {
                fprintf(stderr, "gatefs: %s: %s\n", g.path, strerror(-rc));
                return 1;
        }
        gate_init(&g.gate, g.fd, (uint64_t)g.st.st_size);
        fuse_opt_add_arg(&args, "-ofsname=gatefs,subtype=gatefs");
        rc = mount_and_run(&g, &args, &opts);
        free(opts.mountpoint);
        fuse_opt_free_args(&args);
        close(g.fd);
        return rc < 0 ? 1 : 0;
}
