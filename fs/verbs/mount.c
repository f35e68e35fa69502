/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs mount: from the command line to the end of the session.
 *
 *   main thread     open descriptors, fork, start helpers, sandbox, read the header, mount, greet
 *                   the kernel, release the parent,  ──── FUSE loop ─────────────── take down
 *   scan thread                              index_scan, then tell the kernel the final sizes
 *   signal thread                            SIGTERM, SIGINT, SIGHUP: end the loop
 *   park worker                              answer what waited for the index
 *   relist thread                            list a folder on a server again
 *   mounter         (a process)              mount; wait for the end of this one, then unmount
 *   keeper          (a process)              keep the index, open what the archive names
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
#include "archive/shared.h"
#include "fs/cli/options.h"
#include "fs/cli/stored.h"
#include "fs/fetch/fetch_site.h"
#include "fs/fetch/url.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/context.h"
#include "fs/fuse/device.h"
#include "fs/fuse/member.h"
#include "fs/fuse/ops.h"
#include "fs/fuse/park.h"
#include "fs/fuse/refresh.h"
#include "fs/print/report.h"
#include "fs/process/daemon.h"
#include "fs/process/descriptors.h"
#include "fs/process/index_helper.h"
#include "fs/process/log.h"
#include "fs/process/loopdev.h"
#include "fs/process/mounter.h"
#include "fs/process/mountpoint.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/mount_folder.h"
#include "fs/verbs/mount_log.h"
#include "fs/verbs/mount_wait.h"
#include "fs/verbs/verbs.h"
#include "index/collection/archives.h"
#include "index/collection/datastore.h"
#include "index/collection/open_archives.h"
#include "index/index.h"
#include "index/inside/parts.h"
#include "index/site.h"
#include "index/tree/node.h"
#include "index/tree/tree.h"

enum {
        THREADS_MAX = 96, /* over max_background, so that metadata requests always find a thread */
        INSIST_SECONDS = 60, /* a second signal within this time is obeyed */
        END_SECONDS = 5,     /* how long to wait after a signal for the loop to end by itself */
        CLOSE_TICKS = 25,    /* of 20 ms each: how long to wait for files to be closed */
};

struct mount {
        struct mount_options options;
        struct fuse_args args;
        struct index *index;         /* of an archive, or NULL */
        struct datastore *datastore; /* of a datastore, or NULL */
        struct archives *archives;   /* of a folder of archives, or NULL */
        struct mount_folder folder;  /* that folder */
        struct stored stored;
        struct ops_context ops;
        struct fuse_session *session;
        struct daemon daemon;
        struct mountpoint point;
        struct mounter mounter;
        struct site *site;
        struct index_helper keeper;
        struct log log;
        pthread_t main, scan, signals;
        struct mount_wait wait;
        atomic_bool
            ended; /* the loop has ended or was given up; whoever sets it takes the mount down */

        pthread_mutex_t notify_lock; /* held while the kernel drops pages */
        bool ending;                 /* notify_lock */

        pthread_mutex_t failure_lock;
        struct error failure; /* failure_lock: the read failure logged last */
};

/* ---- the scan thread ---- */

/*
 * Have the kernel drop the provisional st_blocks, and cached bytes of clusters that turned out
 * ambiguous. The kernel waits for pages that are being read, and cannot be interrupted. The loop
 * has to answer those reads, so it must not end meanwhile.
 */
static void refresh_kernel(struct mount *m)
{
        off_t from = index_damage_count(m->index) ? 0 : -1;
        scoped_lock(&m->notify_lock);

        if (m->ending)
                return;
        refresh_disks(m->session, m->index, from);
}

/* Log why a read failed, once for each cause: the kernel repeats a failed read page by page. */
static void log_read_failure(void *owner, const struct node *n)
{
        struct mount *m = owner;
        struct error err = {0};
        char text[512];
        bool known;
        scoped_lock(&m->failure_lock);

        if (m->archives)
                known = archives_why(m->archives, n, err.text, sizeof err.text);
        else if (m->index && index_parted_of(n))
                known = parted_why(index_parted_of(n), err.text, sizeof err.text);
        else if (m->index)
                known = index_read_failure(m->index, &err);
        else
                known = datastore_why(n, err.text, sizeof err.text);
        if (!known || strcmp(err.text, m->failure.text) == 0)
                return;
        m->failure = err;
        error_format(&err, text, sizeof text);
        log_line(&m->log, LOG_ERR, "%s", text);
}

/* ---- a folder of archives ---- */

static void log_unopened(void *owner, const struct node *n, const struct error *why)
{
        const struct mount *m = owner;
        cleanup_free char *path = tree_path(n);
        char text[512];

        error_format(why, text, sizeof text);
        log_line(&m->log, LOG_ERR, "%s%s%s", path ? path : n->name, path && !*path ? "" : ": ",
                 text);
}

static void log_archive_failure(void *owner, struct open_archive *a)
{
        struct mount *m = owner;
        struct error err = {0};
        char text[512];
        scoped_lock(&m->failure_lock);

        if (!index_read_failure(a->index, &err) || strcmp(err.text, m->failure.text) == 0)
                return;
        m->failure = err;
        error_format(&err, text, sizeof text);
        log_line(&m->log, LOG_ERR, "%s: %s", a->path, text);
}

/* As refresh_kernel. The kernel does not mind an id that it does not know. */
static void drop_pages(struct mount *m, const struct open_archive *a)
{
        const void *nodes[256];
        size_t n = archives_disk_nodes(m->archives, a, nodes, sizeof nodes / sizeof *nodes);
        scoped_lock(&m->notify_lock);

        for (size_t i = 0; i < n && !m->ending; i++)
                fuse_lowlevel_notify_inval_inode(m->session, (fuse_ino_t)(uintptr_t)nodes[i], 0, 0);
}

static void archive_scanned(void *ctx, struct open_archive *a, int rc, const struct error *err)
{
        struct mount *m = ctx;

        if (rc == -ECANCELED)
                return;
        if (rc < 0)
                log_line(&m->log, LOG_ERR,
                         "%s: indexing failed: %s; what is not indexed reads as an I/O error",
                         a->path, err->text);
        else if (index_sidecar_state(a->index).problem)
                log_line(&m->log, LOG_WARNING, "%s: %s", a->path,
                         index_sidecar_state(a->index).problem);
        if (index_damage_count(a->index)) {
                log_line(&m->log, LOG_WARNING, "%s: is damaged; vmafs verify names what is lost",
                         a->path);
                drop_pages(m, a);
        }
}

static int open_site(void *ctx, unsigned number, const char *path, struct site **out,
                     struct error *err)
{
        struct mount *m = ctx;

        return mount_folder_site(&m->folder, number, path, out, err);
}

static void leave_site(void *ctx, unsigned number)
{
        struct mount *m = ctx;

        mount_folder_leave(&m->folder, number);
}

static void *archive_opened(void *ctx, struct open_archive *a)
{
        struct mount *m = ctx;

        return member_opened(&m->ops, a);
}

static int open_folder(struct mount *m, struct error *err)
{
        const struct open_archives_ops ops = {.ctx = m,
                                              .numbers = FOLDER_SLOTS,
                                              .site = open_site,
                                              .leave = leave_site,
                                              .opened = archive_opened,
                                              .closing = member_closing,
                                              .scanned = archive_scanned};
        struct archives_hidden hidden = {0};
        struct store *store = mount_folder_store(&m->folder);
        struct stat st;
        int rc;

        if (!store)
                return error_set(err, ENOMEM, "out of memory");
        if (!m->folder.far && fstat(m->point.fd, &st) == 0)
                hidden = (struct archives_hidden){true, st.st_dev, st.st_ino};
        rc = archives_open(store, &hidden, &ops, &m->options.opening, &m->archives, err);
        if (rc == 0)
                archives_observe(m->archives, log_unopened, m);
        return rc;
}

static void log_sidecar(const struct mount *m)
{
        struct index_sidecar_state state = index_sidecar_state(m->index);

        if (state.problem)
                log_line(&m->log, LOG_WARNING, "%s", state.problem);
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
                         "indexing failed: %s; what is not indexed reads as an I/O error",
                         err.text);
        /* What a server does not give is not damaged. */
        if (rc != -EREMOTEIO)
                mount_log_damage(&m->log, m->index);
        mount_log_note(&m->log, m->index);
        log_sidecar(m);
        refresh_kernel(m);
        /* One that was loaded may have to be quarantined later. */
        if (!index_sidecar_state(m->index).loaded)
                index_helper_end(&m->keeper);
        return NULL;
}

/* ---- unmounting ---- */

/* Is the mount gone already, by umount or because its connection was aborted? */
static bool is_gone(const struct mount *m)
{
        struct pollfd device = {.fd = fuse_session_fd(m->session)};

        return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

/*
 * Unmount, and release everybody who waits for the mount, even a thread of ours: that would keep
 * this process alive, and the process the mount. After this, libfuse believes that the mount is
 * gone, and fuse_session_unmount only frees memory.
 */
static void unmount(struct mount *m)
{
        int device = m->session ? fuse_session_fd(m->session) : -1;

        mounter_end(&m->mounter, device, device >= 0 && is_gone(m));
}

/* ---- readiness ---- */

/*
 * Answer the kernel's first request, FUSE_INIT. The kernel has processed the answer when the write
 * returns, so read-ahead that is set after it stays. This process must never access its own mount
 * to find out: if it were killed while it waits for itself, the mount would hang for ever. Returns
 * the exit status.
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
        report("%s: the mount does not answer", m->point.path);
        return STATUS_FAILED;
}

/* ---- the signal thread ---- */

static void wake(int sig)
{
        (void)sig;
}

/* The signals that end the mount. SIGUSR2 only wakes the thread that waits for them. */
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

/* Is a file of the mount open? The kernel reports a close only a moment later. */
static bool has_open_files(const struct mount *m)
{
        static const struct timespec tick = {.tv_nsec = 20000000};

        for (int i = 0; i < CLOSE_TICKS && m->ops.opens > 0; i++)
                nanosleep(&tick, NULL);
        return m->ops.opens > 0;
}

/*
 * A virtual machine, a mounted guest file system or a copy would lose its disk, so that takes a
 * second signal. umount refuses, too.
 */
static bool is_busy(const struct mount *m)
{
        const char *path = m->point.path;
        char device[64];

        if (!has_open_files(m))
                return false;
        if (loopdev_uses(path, device, sizeof device))
                log_line(&m->log, LOG_WARNING,
                         "%s: not unmounted: %s still uses a disk of it; unmount it and losetup -d "
                         "it, or send the signal again",
                         path, device);
        else
                log_line(&m->log, LOG_WARNING,
                         "%s: not unmounted: files of it are open (fuser -vm shows by whom); close "
                         "them, or send the signal again",
                         path);
        return true;
}

/* Make sure that the kernel drops no more pages. False: it is dropping one whose read hangs. */
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
 * A thread sees the flag that ends the loop only when it wakes up, so wake the main thread until it
 * has. If a worker hangs in a read that never returns, abandon the loop.
 */
static void end_loop(struct mount *m)
{
        static const struct timespec tick = {.tv_nsec = 20000000};

        fetchers_stop(&m->folder.fetchers);
        if (m->index)
                index_stop(m->index);
        if (m->archives)
                archives_stop(m->archives);
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
                 m->point.path);
        unmount(m);
        _exit(STATUS_FAILED);
}

static time_t monotonic_seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + 1; /* never 0, which means "not yet" */
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

/*
 * Serve until unmounted or told to stop. Unmount first, so that the mount is gone whatever the
 * threads do. A thread that hangs in a read of the archive ends with the process.
 */
static int serve(struct mount *m)
{
        int rc = run_loop(m);
        bool ended = true;

        /*
         * libfuse takes this back when the loop ends, and then prints a line for each thing that a
         * thread of ours still tells the kernel.
         */
        fuse_session_exit(m->session);
        if (atomic_exchange(&m->ended, true))
                pthread_join(m->signals, NULL); /* it ends the process */
        pthread_kill(m->signals, SIGUSR2);
        if (m->index) {
                index_stop(m->index);
                ended = park_stop(m->ops.park);
        }
        if (m->archives)
                archives_stop(m->archives);
        fetchers_stop(&m->folder.fetchers);
        unmount(m);
        pthread_join(m->signals, NULL); /* it may be stopping what is closed now */
        /* It still answers what waits. */
        archives_close(m->archives);
        m->archives = NULL;
        if (!ended || (m->index && !mount_wait_scan(m->scan, m->index))) {
                log_line(&m->log, LOG_WARNING,
                         "a read of the archive hangs, and ends with this process");
                _exit(STATUS_FAILED);
        }
        mount_wait_join(&m->wait);
        /* The kernel also returns this if the mount went away while a request was on its way. */
        return rc < 0 && rc != -ECONNABORTED ? STATUS_FAILED : STATUS_OK;
}

static int start_threads(struct mount *m)
{
        int status;

        status = start_thread(&m->signals, await_signals, m);
        if (status == STATUS_OK)
                shared_release(m->options.opening.shared);
        if (status == STATUS_OK && m->archives)
                archives_start(m->archives);
        if (status != STATUS_OK || !m->index)
                return status;
        m->ops.park = park_new(m->index, &m->ops);
        if (!m->ops.park) {
                report("out of memory");
                return STATUS_FAILED;
        }
        return start_thread(&m->scan, scan_archive, m);
}

/* Start the processes that keep the rights which this one gives up. */
static int start_helpers(struct mount *m)
{
        const struct mounter_job job = {&m->point, &m->args, m->options.allow_other};
        struct error err = {0};
        int rc = 0;

        if (m->site)
                rc = index_helper_start(&m->keeper, m->site, &err);
        else if (m->folder.is_one)
                rc = mount_folder_start(&m->folder, &err);
        if (rc < 0) {
                report_error(m->options.archive, &err);
                return STATUS_FAILED;
        }
        rc = mounter_start(&m->mounter, &job);
        if (rc == 0)
                return STATUS_OK;
        report("%s: the process that mounts cannot be started: %s", m->point.path, strerror(-rc));
        return STATUS_FAILED;
}

/*
 * Have the mounter mount; it will also unmount. It was started earlier, so it does not inherit the
 * FUSE device. Returns the exit status.
 */
static int start_session(struct mount *m)
{
        int device, status, rc;

        status = mounter_mount(&m->mounter, &device);
        if (status != STATUS_OK)
                return status;
        rc = device_use(m->session, device);
        if (rc == 0)
                return STATUS_OK;
        close(device);
        report("%s: cannot be served: %s", m->point.path, strerror(-rc));
        return STATUS_FAILED;
}

/* Before the first thread, since capabilities and Landlock rules are per thread. */
static void enter_sandbox(const struct mount *m)
{
        const struct sandbox sandbox = {
            .sockets = {m->folder.is_one ? m->folder.keeper.helper.fd : m->keeper.helper.fd,
                        m->mounter.helper.fd, m->folder.fetchers.helper.fd},
            .has_folder = m->folder.fd >= 0 || m->stored.folder >= 0,
            .folder = m->folder.fd >= 0 ? m->folder.fd : m->stored.folder,
            .archives = m->folder.is_one,
            .serves = true,
            .clone_fd = m->options.clone_fd,
        };
        struct error err = {0};

        if (m->options.sandboxed && sandbox_enter(&sandbox, &err) < 0)
                report("%s: the sandbox is incomplete: %s", m->options.archive, err.text);
}

static int find_datastore(struct mount *m)
{
        struct mount_options *o = &m->options;
        struct error err = {0};
        int rc = m->folder.is_datastore
                     ? stored_find_key(o->keyfile, o->passfile, &m->stored, &err)
                     : stored_find(o->archive, o->keyfile, o->passfile, &m->stored, &err);

        if (rc == 0)
                return STATUS_OK;
        report_error(o->archive, &err);
        return report_status(rc);
}

/* It may be a datastore in a bucket. */
static int find_folder(struct mount *m)
{
        int status =
            mount_folder_find(&m->folder, m->options.archive, &m->options.opening, &m->site);

        return status == STATUS_OK && m->folder.is_datastore ? find_datastore(m) : status;
}

static int find_archive(struct mount *m)
{
        cleanup_free char *shown = url_shown(m->options.archive);
        struct error err = {0};
        int rc = fetch_site(m->options.archive, &m->options.opening, &m->site, &err);

        descriptors_release(m->options.archive);
        if (rc == 0)
                return STATUS_OK;
        /* It may be a mistyped verb. */
        if (rc == -ENOENT && !strpbrk(m->options.archive, "./"))
                report("%s: cannot be opened: %s; nor is it a verb, see vmafs --help",
                       m->options.archive, strerror(ENOENT));
        else
                report_error(shown, &err);
        return report_status(rc);
}

/* This is the first to read what is mounted. */
static int open_content(struct mount *m)
{
        struct index_options *o = &m->options.opening;
        struct error err = {0};
        int rc = shared_new(o->cache_bytes, o->threads, &o->shared, &err);

        if (rc == 0 && m->site)
                rc = index_open_site(m->site, o, &m->index, &err);
        else if (rc == 0 && m->folder.is_one)
                rc = open_folder(m, &err);
        else if (rc == 0 && m->folder.is_datastore)
                rc = mount_folder_datastore(&m->folder, &m->stored, o->shared, &m->datastore, &err);
        else if (rc == 0)
                rc = stored_open(&m->stored, o->shared, &m->datastore, &err);
        if (m->datastore)
                datastore_observe(m->datastore, log_unopened, m);
        if (m->datastore && m->options.partitions)
                datastore_show_parts(m->datastore);
        if (rc < 0) {
                report_error(m->options.archive, &err);
                return report_status(rc);
        }
        m->ops.tree = m->index      ? index_tree(m->index)
                      : m->archives ? archives_tree(m->archives)
                                    : datastore_tree(m->datastore);
        m->ops.view = (struct view){m->index, m->datastore, m->archives, m->options.owner};
        m->ops.buffers = buffers_new();
        if (m->ops.buffers)
                return STATUS_OK;
        report("out of memory");
        return STATUS_FAILED;
}

/*
 * That an index cannot be stored shows only after the first pass, when nobody reads the output any
 * more. If it is known already, say so now.
 */
static void report_unkept(struct mount *m)
{
        struct error err = {0};

        if (m->index && !m->options.foreground && index_try_keeping(m->index, &err) < 0)
                report("%s: %s; each mount has to read the whole archive, unless -o index=PATH "
                       "keeps it elsewhere",
                       m->options.archive, err.text);
}

/* Start threads only now, after becoming a daemon: threads do not survive a fork. */
static int run_session(struct mount *m)
{
        int status = start_helpers(m);

        if (status != STATUS_OK)
                return status;
        m->session = fuse_session_new(&m->args, &vmafs_ops, sizeof vmafs_ops, &m->ops);
        if (!m->session)
                return STATUS_USAGE; /* libfuse has said why */
        enter_sandbox(m);
        status = open_content(m);
        if (status != STATUS_OK)
                return status;
        report_unkept(m);
        block_signals();
        m->main = pthread_self();
        status = start_session(m);
        if (status == STATUS_OK)
                status = greet_kernel(m);
        if (status == STATUS_OK) {
                mounter_greeted(&m->mounter);
                status = start_threads(m);
        }
        if (status == STATUS_OK) {
                mount_wait_release(&m->wait, m->options.wait, m->index, &m->daemon);
                return serve(m);
        }
        unmount(m);
        daemon_finish(&m->daemon, status);
        _exit(status); /* do not free anything: a started thread may be using it */
}

static int find_content(struct mount *m)
{
        bool folder = mount_folder_may_be_one(m->options.archive);

        if (!folder && !stored_is_folder(m->options.archive))
                return find_archive(m);
        return folder ? find_folder(m) : find_datastore(m);
}

static int run(struct mount *m)
{
        const struct mount_options *o = &m->options;
        int status = find_content(m);

        if (status == STATUS_OK && m->stored.folder < 0 && !m->folder.is_datastore)
                status = stored_refuse_key(o->archive, "-o ", o->keyfile, o->passfile);
        if (status == STATUS_OK)
                status = mountpoint_open(m->options.mountpoint, m->options.nonempty, &m->point);
        if (status != STATUS_OK)
                return status;
        m->ops.direct_io = m->options.direct_io;
        m->ops.others = m->options.allow_other;
        m->ops.owner = m;
        m->ops.read_failed = log_read_failure;
        m->ops.archive_failed = log_archive_failure;
        if (log_open(&m->log, m->options.foreground, m->site ? m->site->path : o->archive) < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
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
                          .point = MOUNTPOINT_NONE,
                          .mounter = MOUNTER_NONE,
                          .keeper = INDEX_HELPER_NONE,
                          .stored = STORED_NONE,
                          .folder = MOUNT_FOLDER_NONE,
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
        mounter_end(&m.mounter, -1, true);
        mountpoint_close(&m.point);
        park_free(m.ops.park);
        buffers_free(m.ops.buffers);
        archives_close(m.archives);
        index_close(m.index);
        datastore_close(m.datastore);
        stored_close(&m.stored);
        shared_free(m.options.opening.shared);
        site_close(m.site);
        index_helper_end(&m.keeper);
        mount_folder_end(&m.folder);
        log_close(&m.log);
        options_fini(&m.options, &m.args);
        return status;
}
