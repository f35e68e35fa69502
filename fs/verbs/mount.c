/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs mount: from the command line to a session that serves, and to its end.
 *
 *   main thread     open archive, fork, start the unmounter, mount, greet the kernel, sandbox,
 *                   release the parent,      ──── FUSE loop ─────────────── take down
 *   scan thread                              index_scan, then tell the kernel the final sizes
 *   signal thread                            SIGTERM, SIGINT, SIGHUP: end the loop
 *   park worker                              answer what waited for the index
 *   unmounter       (a process)              wait for the end of this one, then unmount
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <syslog.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/cli/options.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/ops.h"
#include "fs/fuse/park.h"
#include "fs/fuse/view.h"
#include "fs/print/report.h"
#include "fs/process/daemon.h"
#include "fs/process/log.h"
#include "fs/process/loopdev.h"
#include "fs/process/mountinfo.h"
#include "fs/process/sandbox.h"
#include "fs/process/unmounter.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

enum {
        READ_AHEAD_KIB = 4096, /* see raise_read_ahead */
        THREADS_MAX = 96,      /* above max_background: metadata always finds a thread */
        INSIST_SECONDS = 60,   /* a second signal within this time is meant */
        END_SECONDS = 5,       /* how long a signal waits for the loop to end by itself */
};

struct mount {
        struct mount_options options;
        struct fuse_args args;
        struct index *index;
        struct ops_context ops;
        struct fuse_session *session;
        struct daemon daemon;
        struct unmounter unmounter;
        struct log log;
        pthread_t main, scan, signals;
        atomic_bool
            ended; /* the loop has returned, or is given up: who sets it takes the mount down */
        unsigned device; /* minor number of the mount's; 0: not known */
        int abort_fd;    /* of fusectl; -1: there is none */

        pthread_mutex_t notify_lock; /* held while the kernel makes pages void */
        bool ending;                 /* notify_lock */

        pthread_mutex_t failure_lock;
        struct error failure; /* failure_lock: the read failure that was logged last */
};

/* ---- the scan thread ---- */

/*
 * The provisional st_blocks are void now; so are bytes of a cluster that turned out ambiguous. The
 * kernel waits for pages that are being read, and cannot be made to stop: the loop has to answer
 * those reads, so it must not end meanwhile.
 */
static void refresh_kernel(struct mount *m)
{
        off_t from = index_damage_count(m->index) ? 0 : -1;
        const struct node *n;
        scoped_lock(&m->notify_lock);

        if (m->ending)
                return;
        for (uint64_t ino = VIEW_ROOT; (n = view_node(m->ops.view, ino)); ino++)
                if (n->kind == NODE_DISK)
                        fuse_lowlevel_notify_inval_inode(m->session, n->ino, from, 0);
}

static void log_damage(const struct mount *m)
{
        const struct index_damage *list;
        uint64_t lost = 0;

        for (size_t i = 0; i < index_disk_count(m->index); i++)
                lost += index_disk(m->index, i)->totals.lost;
        if (index_damages(m->index, &list))
                log_line(&m->log, LOG_WARNING, "%s: at byte %" PRIu64 ": %s", m->options.archive,
                         list[0].offset, list[0].text);
        if (lost)
                log_line(&m->log, LOG_WARNING,
                         "%s: %" PRIu64 " bytes are lost and read as %s; "
                         "vmafs verify names them",
                         m->options.archive, lost,
                         index_recover_zero(m->index) ? "ZEROS (recover=zero)" : "I/O errors");
}

/* Log why a read failed, once for each cause: the kernel repeats a failed read page by page. */
static void log_read_failure(void *owner)
{
        struct mount *m = owner;
        struct error err = {0};
        char text[512];
        scoped_lock(&m->failure_lock);

        if (!index_read_failure(m->index, &err) || strcmp(err.text, m->failure.text) == 0)
                return;
        m->failure = err;
        error_format(&err, text, sizeof text);
        log_line(&m->log, LOG_ERR, "%s: %s", m->options.archive, text);
}

static void log_sidecar(const struct mount *m)
{
        struct index_sidecar_state state = index_sidecar_state(m->index);

        if (state.problem)
                log_line(&m->log, LOG_WARNING, "%s: %s", m->options.archive, state.problem);
}

static void *scan_archive(void *arg)
{
        struct mount *m = arg;
        struct error err = {0};
        int rc = index_scan(m->index, NULL, &err);

        if (rc == -ECANCELED)
                return NULL;
        if (rc < 0)
                log_line(&m->log, LOG_ERR,
                         "%s: indexing failed: %s; what is not indexed reads as "
                         "an I/O error",
                         m->options.archive, err.text);
        log_damage(m);
        log_sidecar(m);
        refresh_kernel(m);
        return NULL;
}

/* ---- unmounting ---- */

/* Has the mount gone already, by umount or with its connection? */
static bool is_gone(const struct mount *m)
{
        struct pollfd device = {.fd = fuse_session_fd(m->session)};

        return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

/*
 * Let go of everybody who waits for the mount, and of a thread of ours that does: it would keep
 * this process, and that the mount. Where there is no fusectl, the unmounter does it, as root.
 * Behind it, libfuse takes the mount for gone, and fuse_session_unmount only frees.
 */
static void unmount(struct mount *m)
{
        bool gone = is_gone(m);

        if (!gone && m->abort_fd >= 0 && write(m->abort_fd, "1", 1) < 0)
                log_line(&m->log, LOG_INFO, "the connection stays: %s", strerror(errno));
        unmounter_end(&m->unmounter, fuse_session_fd(m->session), gone);
}

/* ---- readiness ---- */

/* What is needed to take the mount away whatever happens. FUSE's devices have major number 0. */
static void find_device(struct mount *m)
{
        struct mountinfo info;
        char path[64];

        if (mountinfo_find(m->options.mountpoint, &info) < 0)
                return;
        m->device = info.minor;
        /* Of an open file it is certain that it is this mount's, however late it is written to. */
        snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", info.minor);
        m->abort_fd = open(path, O_WRONLY | O_CLOEXEC);
}

/*
 * The kernel offers 128 KiB of read-ahead and the FUSE protocol can only lower that; the block
 * device interface can raise it: 1 MiB reads went from 1.25 to 2.8 GB/s on a quiet machine, from
 * 0.92 to 1.4 on a busy one. Not permitted without root, and then the default stays: the kernel
 * doubles it for a reader with POSIX_FADV_SEQUENTIAL, and what goes past the page cache has none.
 */
static void raise_read_ahead(const struct mount *m)
{
        cleanup_close int fd = -1;
        char path[64], value[16];
        int len = snprintf(value, sizeof value, "%d", READ_AHEAD_KIB);

        snprintf(path, sizeof path, "/sys/class/bdi/0:%u/read_ahead_kb", m->device);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, value, (size_t)len) < 0)
                log_line(&m->log, LOG_INFO, "the read-ahead stays as it is: %s", strerror(errno));
}

/*
 * Answer the kernel's first request, which is FUSE_INIT: the kernel takes in the answer before it
 * lets go of us, so read-ahead set behind it stays. This process must never use its own mount to
 * find that out: killed while it waits for itself, it would keep the mount hanging for ever.
 * Returns the exit status.
 */
static int greet_kernel(const struct mount *m)
{
        struct fuse_buf buf = {0};
        int rc;

        do
                rc = fuse_session_receive_buf(m->session, &buf);
        while (rc == -EINTR);
        if (rc > 0)
                fuse_session_process_buf(m->session, &buf);
        free(buf.mem);
        if (rc > 0 && !fuse_session_exited(m->session))
                return STATUS_OK;
        report("%s: the mount does not answer", m->options.mountpoint);
        return STATUS_FAILED;
}

/* ---- the signal thread ---- */

static void wake(int sig)
{
        (void)sig;
}

/* The signals that mean: end. SIGUSR2 only wakes the thread that waits for them. */
static void end_signals(sigset_t *set)
{
        sigemptyset(set);
        sigaddset(set, SIGTERM);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGHUP);
        sigaddset(set, SIGUSR2);
}

/* SIGUSR1 interrupts the main thread's wait in libfuse. */
static void block_signals(void)
{
        sigset_t set;
        struct sigaction act = {.sa_handler = wake};

        end_signals(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        sigaction(SIGUSR1, &act, NULL);
        signal(SIGPIPE, SIG_IGN);
}

/* A loop device would lose its disk under a mounted guest: only a second signal may do that. */
static bool is_busy(const struct mount *m)
{
        char device[64];

        if (!loopdev_uses(m->options.mountpoint, device, sizeof device))
                return false;
        log_line(&m->log, LOG_WARNING,
                 "%s: not unmounted: %s still uses a disk of it; unmount it and losetup -d it, or "
                 "send the signal again",
                 m->options.mountpoint, device);
        return true;
}

/* No page will be made void any more. False: one is, and its read hangs. */
static bool end_notifications(struct mount *m)
{
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += END_SECONDS;
        if (pthread_mutex_timedlock(&m->notify_lock, &limit) != 0)
                return false;
        m->ending = true;
        pthread_mutex_unlock(&m->notify_lock);
        return true;
}

/*
 * The flag that ends the loop is only seen by a thread that wakes up: wake the main one until it
 * has. A loop whose workers hang in a read that never comes back is left behind.
 */
static void end_loop(struct mount *m)
{
        static const struct timespec tick = {.tv_nsec = 20000000};

        index_stop(m->index);
        if (end_notifications(m)) {
                fuse_session_exit(m->session);
                for (int i = 0; i < END_SECONDS * 50 && !m->ended; i++) {
                        pthread_kill(m->main, SIGUSR1);
                        nanosleep(&tick, NULL);
                }
        }
        if (atomic_exchange(&m->ended, true))
                return;
        log_line(&m->log, LOG_WARNING, "%s: a read of the archive hangs; the mount is given up",
                 m->options.mountpoint);
        unmount(m);
        _exit(STATUS_FAILED);
}

static time_t monotonic_seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + 1; /* never 0, which is "not yet" */
}

static void *await_signals(void *arg)
{
        struct mount *m = arg;
        time_t warned = 0;
        sigset_t set;
        int sig;

        end_signals(&set);
        while (sigwait(&set, &sig) == 0 && !m->ended) {
                time_t now = monotonic_seconds();

                if ((!warned || now - warned > INSIST_SECONDS) && is_busy(m)) {
                        warned = now;
                        continue;
                }
                end_loop(m);
                break;
        }
        return NULL;
}

/* ---- the session ---- */

static int run_loop(struct mount *m)
{
        struct fuse_loop_config *config;
        int rc;

        if (m->options.single)
                return fuse_session_loop(m->session);
        config = fuse_loop_cfg_create();
        if (!config)
                return -ENOMEM;
        fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
        fuse_loop_cfg_set_clone_fd(config, (unsigned)m->options.clone_fd);
        rc = fuse_session_loop_mt(m->session, config);
        fuse_loop_cfg_destroy(config);
        return rc;
}

static int start_thread(pthread_t *thread, void *(*run)(void *), struct mount *m)
{
        int rc = pthread_create(thread, NULL, run, m);

        if (rc == 0)
                return STATUS_OK;
        report("a thread cannot be started: %s", strerror(rc));
        return STATUS_FAILED;
}

static bool join_soon(pthread_t thread)
{
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += END_SECONDS;
        return pthread_timedjoin_np(thread, NULL, &limit) == 0;
}

/*
 * Serve until unmounted or told to stop. The mount goes first, so that it is gone whatever the
 * threads do; one that hangs in a read of the archive ends with the process.
 */
static int serve(struct mount *m)
{
        int rc = run_loop(m);
        bool parked_ended;

        if (atomic_exchange(&m->ended, true))
                pthread_join(m->signals, NULL); /* it ends the process */
        pthread_kill(m->signals, SIGUSR2);
        index_stop(m->index);
        parked_ended = park_stop(m->ops.park);
        unmount(m);
        if (!parked_ended || !join_soon(m->scan)) {
                log_line(&m->log, LOG_WARNING, "%s: a read of the archive hangs; left behind",
                         m->options.archive);
                _exit(STATUS_FAILED);
        }
        pthread_join(m->signals, NULL);
        /* The kernel says this, too, of a mount that has gone: a request was on its way. */
        return rc < 0 && rc != -ECONNABORTED ? STATUS_FAILED : STATUS_OK;
}

static int start_threads(struct mount *m)
{
        int status;

        m->ops.park = park_new(m->index, &m->ops);
        if (!m->ops.park) {
                report("out of memory");
                return STATUS_FAILED;
        }
        status = start_thread(&m->signals, await_signals, m);

        if (status == STATUS_OK)
                status = start_thread(&m->scan, scan_archive, m);
        return status;
}

/* Does fusermount3 let users allow others? As it reads the file: a line that is the word alone. */
static bool others_may_be_allowed(void)
{
        FILE *conf = fopen("/etc/fuse.conf", "re");
        char line[256];
        bool found = false;

        while (conf && !found && fgets(line, sizeof line, conf))
                found = strcmp(line, "user_allow_other\n") == 0;
        if (conf)
                fclose(conf);
        return found;
}

/* What a person can do where nothing can be mounted; libfuse or fusermount3 has said why. */
static const char *mount_hint(const struct mount *m)
{
        cleanup_close int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (device < 0 && errno == ENOENT)
                return "; there is no /dev/fuse: the module fuse is not loaded, or a container "
                       "does not have the device";
        if (device < 0)
                return "; /dev/fuse cannot be opened here";
        return m->options.allow_other && getuid() != 0 && !others_may_be_allowed()
                   ? "; allow_other needs user_allow_other in /etc/fuse.conf"
                   : "";
}

/*
 * The mount, with the process that will unmount it: started first, so that it has neither the
 * archive's memory nor the FUSE device. Returns the exit status.
 */
static int start_session(struct mount *m)
{
        const char *mountpoint = m->options.mountpoint;
        int rc;

        m->session = fuse_session_new(&m->args, &vmafs_ops, sizeof vmafs_ops, &m->ops);
        if (!m->session)
                return STATUS_USAGE; /* libfuse has said why */
        rc = unmounter_start(&m->unmounter, mountpoint);
        if (rc < 0) {
                report("%s: the process that unmounts it cannot be started: %s", mountpoint,
                       strerror(-rc));
                return STATUS_FAILED;
        }
        if (fuse_session_mount(m->session, mountpoint) != 0) {
                report("%s: cannot be mounted on%s", mountpoint, mount_hint(m));
                return STATUS_FAILED;
        }
        rc = unmounter_mounted(&m->unmounter, mountpoint);
        if (rc == 0)
                return STATUS_OK;
        report("%s: the mount cannot be found in /proc/self/mountinfo: %s", mountpoint,
               strerror(-rc));
        fuse_session_unmount(m->session);
        return STATUS_FAILED;
}

/* Before the first thread: capabilities and paths are each thread's own. */
static void enter_sandbox(const struct mount *m)
{
        struct error err = {0};

        if (m->options.sandboxed && sandbox_mount(m->index, m->options.clone_fd, &err) < 0)
                report("%s: the sandbox is incomplete: %s", m->options.archive, err.text);
}

/* With the process a daemon already: threads do not outlive a fork. */
static int run_session(struct mount *m)
{
        int status;

        block_signals();
        m->main = pthread_self();
        m->ops.buffers = buffers_new();
        if (!m->ops.buffers) {
                report("out of memory");
                return STATUS_FAILED;
        }
        status = start_session(m);
        if (status != STATUS_OK)
                return status;
        status = greet_kernel(m);
        if (status == STATUS_OK) {
                find_device(m);
                raise_read_ahead(m);
                enter_sandbox(m);
                status = start_threads(m);
        }
        if (status == STATUS_OK) {
                daemon_finish(&m->daemon, STATUS_OK);
                return serve(m);
        }
        unmount(m);
        _exit(status); /* a thread that did start may use anything of ours */
}

static int open_index(struct mount *m)
{
        struct error err = {0};
        int rc = index_open(m->options.archive, &m->options.opening, &m->index, &err);

        if (rc < 0) {
                /* A verb with a slip of the pen is taken for an archive. */
                if (rc == -ENOENT && !strpbrk(m->options.archive, "./"))
                        report("%s: cannot be opened: %s; nor is it a verb, see vmafs --help",
                               m->options.archive, strerror(ENOENT));
                else
                        report_error(m->options.archive, &err);
                return report_status(rc);
        }
        m->ops.view = view_new(m->index, &m->options.owner);
        if (m->ops.view)
                return STATUS_OK;
        report("out of memory");
        return STATUS_FAILED;
}

static int run(struct mount *m)
{
        int status = open_index(m);

        if (status == STATUS_OK)
                status = options_check_mountpoint(&m->options);
        if (status != STATUS_OK)
                return status;
        m->ops.direct_io = m->options.direct_io;
        m->ops.owner = m;
        m->ops.read_failed = log_read_failure;
        log_open(&m->log, m->options.foreground);
        if (!m->options.foreground) {
                int rc = daemon_start(&m->daemon);

                if (rc < 0) {
                        report("cannot become a daemon: %s", strerror(-rc));
                        return STATUS_FAILED;
                }
        }
        return run_session(m);
}

int verb_mount(int argc, char **argv)
{
        struct mount m = {.daemon = {-1, -1},
                          .unmounter.fd = -1,
                          .abort_fd = -1,
                          .notify_lock = PTHREAD_MUTEX_INITIALIZER,
                          .failure_lock = PTHREAD_MUTEX_INITIALIZER};
        int status = options_parse(argc, argv, &m.options, &m.args);

        if (status == STATUS_OK)
                status = run(&m);
        daemon_finish(&m.daemon, status);
        if (m.session) {
                fuse_session_unmount(m.session);
                fuse_session_destroy(m.session);
        }
        if (m.abort_fd >= 0)
                close(m.abort_fd);
        park_free(m.ops.park);
        buffers_free(m.ops.buffers);
        view_free(m.ops.view);
        index_close(m.index);
        options_fini(&m.options, &m.args);
        return status;
}
