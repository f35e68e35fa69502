/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 312
#include "fs/process/mounter.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"
#include "fs/process/mountinfo.h"
#include "fs/process/mountpoint.h"

enum { READ_AHEAD_KIB = 4096 }; /* see raise_read_ahead */

/* The requests to the mounter. */
enum what {
        WHAT_MOUNT,
        WHAT_GREETED,
        WHAT_FORGET, /* somebody else has unmounted it */
        WHAT_UNMOUNT,
};

struct identity {
        struct mountinfo info;
        uint64_t unique_id; /* 0: the kernel has none */
};

/* Used only in the mounter's process. */
struct duty {
        struct mounter_job job;
        bool mounted; /* … and it is ours to unmount */
        struct identity identity;
        int abort_fd; /* of fusectl; -1: there is none */
};

/* ---- which mount it is ---- */

static int identify(int fd, struct identity *out)
{
        *out = (struct identity){0};
        if (mountinfo_find(fd, &out->info) < 0)
                return -ENOENT;
        out->unique_id = mountinfo_unique_id(fd);
        return 0;
}

static bool is_same(int fd, const struct identity *was)
{
        struct identity now;

        return identify(fd, &now) == 0 && now.info.id == was->info.id &&
               now.info.major == was->info.major && now.info.minor == was->info.minor &&
               strcmp(now.info.type, was->info.type) == 0 && now.unique_id == was->unique_id;
}

/* ---- mounting ---- */

/*
 * Does fusermount3 let users set allow_other? Like fusermount3, look for a line that is just that
 * word.
 */
static bool others_may_be_allowed(void)
{
        cleanup_fclose FILE *conf = fopen("/etc/fuse.conf", "re");
        char line[256];
        bool found = false;

        while (conf && !found && fgets(line, sizeof line, conf))
                found = strcmp(line, "user_allow_other\n") == 0;
        return found;
}

static bool mounts_itself(void)
{
        return geteuid() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
}

/*
 * What to do about the device, if no mount can succeed; else NULL. It is asked first, since libfuse
 * and fusermount3 would say less.
 */
static const char *device_hint(void)
{
        cleanup_close int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (device >= 0)
                return NULL;
        switch (errno) {
        case ENOENT:
                return "there is no /dev/fuse: load the module with modprobe fuse, or give the "
                       "container the device";
        case ENODEV:
        case ENXIO:
                return "/dev/fuse has no driver: load the module with modprobe fuse";
        case EPERM:
                return "this container may not open /dev/fuse: allow it the device";
        case EACCES:
                /* fusermount3 may have the right. */
                return mounts_itself() ? "/dev/fuse may not be opened: look at its mode" : NULL;
        default:
                return NULL;
        }
}

/* What the user can do about a mount that failed. libfuse or fusermount3 has already said why. */
static const char *mount_hint(const struct duty *d)
{
        return d->job.allow_other && getuid() != 0 && !others_may_be_allowed()
                   ? "; allow_other needs user_allow_other in /etc/fuse.conf"
                   : "";
}

/*
 * If libfuse may mount by itself, it mounts on the directory that we hold open. fusermount3 needs a
 * path, since it checks what a user may mount on.
 */
static void choose_target(const struct mountpoint *p, char *out, size_t size)
{
        if (mounts_itself())
                snprintf(out, size, "/proc/self/fd/%d", p->fd);
        else
                snprintf(out, size, "%s", p->path);
}

/* The FUSE device, or -1 with a report. */
static int mount_fuse(const struct duty *d)
{
        static const struct fuse_lowlevel_ops none;
        struct fuse_args args = FUSE_ARGS_INIT(d->job.args->argc, d->job.args->argv);
        const char *hint = device_hint();
        struct fuse_session *session;
        char target[PATH_MAX];

        if (hint) {
                report("%s: cannot be mounted on: %s", d->job.point->path, hint);
                return -1;
        }
        session = fuse_session_new(&args, &none, sizeof none, NULL);
        choose_target(d->job.point, target, sizeof target);
        /* The session is never freed: freeing it would close the device. */
        if (session && fuse_session_mount(session, target) == 0)
                return fuse_session_fd(session);
        report("%s: cannot be mounted on%s", d->job.point->path, mount_hint(d));
        return -1;
}

/* Note what is needed to unmount whatever happens. FUSE's devices have major number 0. */
static void open_abort(struct duty *d)
{
        char path[64];

        /*
         * A file that is open now certainly belongs to this mount, however late it is written to.
         */
        snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", d->identity.info.minor);
        d->abort_fd = open(path, O_WRONLY | O_CLOEXEC);
}

static int do_mount(struct duty *d, int *device)
{
        cleanup_close int seen = -1;

        *device = mount_fuse(d);
        if (*device < 0)
                return -EPERM;
        seen = mountpoint_look(d->job.point);
        if (seen < 0 || identify(seen, &d->identity) < 0 ||
            strcmp(d->identity.info.type, "fuse.vmafs") != 0) {
                report("%s: the mount cannot be found in /proc/self/mountinfo", d->job.point->path);
                return -ENOENT;
        }
        d->mounted = true;
        open_abort(d);
        /*
         * A caller that waits for the end of our output must not have to wait for the mount's end.
         */
        helper_detach();
        return 0;
}

/*
 * The kernel offers 128 KiB of read-ahead and the FUSE protocol can only lower that; the block
 * device interface can raise it: 1 MiB reads went from 1.25 to 2.8 GB/s on a quiet machine, from
 * 0.92 to 1.4 on a busy one. Only root may raise it. Otherwise the default stays: the kernel
 * doubles it for a reader that announces POSIX_FADV_SEQUENTIAL; reads that bypass the page cache
 * have no read-ahead.
 */
static void raise_read_ahead(const struct duty *d)
{
        cleanup_close int fd = -1;
        char path[64];

        snprintf(path, sizeof path, "/sys/class/bdi/0:%u/read_ahead_kb", d->identity.info.minor);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
                dprintf(fd, "%d", READ_AHEAD_KIB);
}

/* ---- unmounting ---- */

static int run_fusermount(const char *path)
{
        pid_t pid = fork();
        int status;

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, NULL);
                execl("/usr/bin/fusermount3", "fusermount3", "-u", "-q", "-z", "--", path, NULL);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

/*
 * Nobody can slip in another mount between the check and the unmount, since we unmount what the
 * descriptor is on, not what a path leads to by then. (fusermount3 uses UMOUNT_NOFOLLOW and a name
 * in a directory that it holds; this way there is no race at all.)
 */
static void unmount(struct duty *d)
{
        cleanup_close int fd = mountpoint_look(d->job.point);
        cleanup_free char *path = NULL;
        char self[32];

        if (fd < 0 || !is_same(fd, &d->identity))
                return;
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        /*
         * By force: nobody will answer the requests that still wait, and a thread of the sender may
         * be waiting for one.
         */
        if (umount2(self, MNT_FORCE | MNT_DETACH) == 0 || errno != EPERM)
                return;
        /* fusermount3 unmounts only the user's own mounts. */
        path = realpath(self, NULL);
        if (path)
                run_fusermount(path);
}

static void let_go(struct duty *d)
{
        if (!d->mounted)
                return;
        d->mounted = false;
        if (d->abort_fd >= 0 && write(d->abort_fd, "1", 1) < 0)
                close(steal_fd(&d->abort_fd));
        unmount(d);
}

/* ---- the role ---- */

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        struct duty *d = ctx;

        (void)out;
        switch (in->what) {
        case WHAT_MOUNT:
                return d->mounted ? -EBUSY : do_mount(d, fd);
        case WHAT_GREETED:
                if (d->mounted)
                        raise_read_ahead(d);
                return 0;
        case WHAT_FORGET:
                d->mounted = false;
                return 0;
        case WHAT_UNMOUNT:
                let_go(d);
                return 0;
        default:
                return -EINVAL;
        }
}

static void end(void *ctx)
{
        let_go(ctx);
}

/* As root, keep the capabilities to mount and to pass through other users' directories. */
static void drop_capabilities(void)
{
        capng_clear(CAPNG_SELECT_CAPS);
        capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN,
                      CAP_DAC_READ_SEARCH, -1);
        capng_apply(CAPNG_SELECT_CAPS);
}

static void begin(void *ctx)
{
        (void)ctx;
        if (geteuid() == 0)
                drop_capabilities();
}

static const struct helper_role role = {"unmount-helper", begin, NULL, handle, end};

/* ---- in the mount's process ---- */

int mounter_start(struct mounter *m, const struct mounter_job *job)
{
        struct duty duty = {.job = *job, .abort_fd = -1};
        const int keep[] = {job->point->folder, job->point->fd};
        int fds[2];

        /* Nobody is at the other end. */
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        close(fds[0]);
        m->dead = fds[1];
        return helper_start(&m->helper, &role, &duty, keep, sizeof keep / sizeof *keep);
}

int mounter_mount(struct mounter *m, int *device)
{
        struct helper_request in = {.what = WHAT_MOUNT};
        int rc = helper_call(&m->helper, &in, NULL, device);

        if (rc == 0 && *device >= 0)
                return STATUS_OK;
        if (rc == 0 || rc == -EPIPE)
                report("the process that mounts has ended");
        return STATUS_FAILED;
}

void mounter_greeted(struct mounter *m)
{
        struct helper_request in = {.what = WHAT_GREETED};

        helper_call(&m->helper, &in, NULL, NULL);
}

void mounter_end(struct mounter *m, int device, bool gone)
{
        struct helper_request in = {.what = gone ? WHAT_FORGET : WHAT_UNMOUNT};

        if (m->helper.fd >= 0)
                helper_tell(&m->helper, &in);
        if (m->dead >= 0 && device >= 0)
                dup2(m->dead, device);
        if (m->dead >= 0)
                close(steal_fd(&m->dead));
        helper_end(&m->helper);
}
