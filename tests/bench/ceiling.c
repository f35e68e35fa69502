/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   ceiling RAW DIR [-d]
 *
 * The least that a FUSE file system can be: DIR/disk is RAW, and a read is a pread and an answer.
 * What it reaches is what the protocol, the kernel and libfuse leave to anybody. -d: direct I/O.
 * Runs until it is unmounted. As vmafs does where it may, it has the kernel read 4 MiB ahead.
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DISK = 2 };

struct ceiling {
        int fd;
        off_t size;
        bool direct;
};

static void attributes(const struct ceiling *c, fuse_ino_t ino, struct stat *st)
{
        *st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_mode = S_IFDIR | 0500};
        if (ino == DISK) {
                st->st_mode = S_IFREG | 0400;
                st->st_size = c->size;
                st->st_blocks = c->size / 512;
        }
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
        (void)userdata;
        conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param e = {.ino = DISK, .entry_timeout = 3600, .attr_timeout = 3600};

        (void)parent;
        if (strcmp(name, "disk") != 0) {
                fuse_reply_err(req, ENOENT);
                return;
        }
        attributes(fuse_req_userdata(req), DISK, &e.attr);
        fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct stat st;

        (void)fi;
        attributes(fuse_req_userdata(req), ino, &st);
        fuse_reply_attr(req, &st, 3600);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct ceiling *c = fuse_req_userdata(req);

        (void)ino;
        fi->keep_cache = 1;
        fi->noflush = 1;
        fi->direct_io = c->direct;
        fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
        static _Thread_local char buf[1 << 20];
        const struct ceiling *c = fuse_req_userdata(req);
        ssize_t n = pread(c->fd, buf, size < sizeof buf ? size : sizeof buf, offset);

        (void)ino;
        (void)fi;
        if (n < 0)
                fuse_reply_err(req, errno);
        else
                fuse_reply_buf(req, buf, (size_t)n);
}

static const struct fuse_lowlevel_ops ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .open = op_open,
    .read = op_read,
};

/* Answer FUSE_INIT, after which the kernel keeps what read-ahead it is told. */
static void greet(struct fuse_session *session)
{
        struct fuse_buf buf = {0};
        int rc;

        do
                rc = fuse_session_receive_buf(session, &buf);
        while (rc == -EINTR);
        if (rc > 0)
                fuse_session_process_buf(session, &buf);
        free(buf.mem);
}

/* Where that is permitted. Asks for nothing that this process itself would have to answer. */
static void read_ahead(const char *dir)
{
        struct statx st;
        char path[64];
        FILE *f;

        if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
                return;
        snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major,
                 st.stx_dev_minor);
        f = fopen(path, "w");
        if (!f)
                return;
        fputs("4096", f);
        fclose(f);
}

static int serve(struct ceiling *c, const char *dir)
{
        struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
        struct fuse_loop_config *config = fuse_loop_cfg_create();
        struct fuse_session *session;
        int rc = 1;

        fuse_opt_add_arg(&args, "ceiling");
        fuse_opt_add_arg(&args, "-osubtype=ceiling,ro");
        session = fuse_session_new(&args, &ops, sizeof ops, c);
        if (session && fuse_session_mount(session, dir) == 0) {
                greet(session);
                read_ahead(dir);
                rc = fuse_session_loop_mt(session, config);
                fuse_session_unmount(session);
        }
        if (session)
                fuse_session_destroy(session);
        fuse_loop_cfg_destroy(config);
        fuse_opt_free_args(&args);
        return rc;
}

int main(int argc, char **argv)
{
        struct ceiling c = {.direct = argc == 4 && strcmp(argv[3], "-d") == 0};
        struct stat st;

        if (argc != 3 && !c.direct) {
                fputs("usage: ceiling RAW DIR [-d]\n", stderr);
                return 2;
        }
        c.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
        if (c.fd < 0 || fstat(c.fd, &st) < 0) {
                perror(argv[1]);
                return 1;
        }
        c.size = st.st_size;
        return serve(&c, argv[2]) != 0;
}
