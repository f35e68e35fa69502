/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs extract: restore disks and files without a mount, in one pass over the archive, each disk
 * as a sparse file. A file has the name NAME.partial until it is complete and sound.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "fs/cli/opening.h"
#include "fs/extract/writer.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

/* Disks' files that are open at a time, at least and at most. */
enum { OPEN_MIN = 4, OPEN_MAX = 256 };

struct target {
        uint32_t folder; /* number of the one that it is in */
        char partial[NAME_MAX + 1];
        bool wanted; /* there is such a file … */
        int fd;      /* … which is open; -1: it is not, at the moment */
        bool failed; /* some of it could not be had */
};

struct extract {
        struct index *index;
        const char *archive; /* path, for messages */
        const char *dir;     /* path, for messages */
        int dirfd;
        bool force;
        char **wanted; /* names; all where there are none */
        int wanted_count;
        struct target *targets;      /* one a disk */
        size_t open_count, open_max; /* of them */
        struct writer *writer;
};

static bool is_wanted(const struct extract *x, const char *name)
{
        for (int i = 0; i < x->wanted_count; i++)
                if (strcmp(x->wanted[i], name) == 0)
                        return true;
        return x->wanted_count == 0;
}

static bool exists_in_archive(const struct index *index, const char *name)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                if (strcmp(index_disk(index, i)->name, name) == 0)
                        return true;
        for (size_t i = 0; i < index_file_count(index); i++)
                if (strcmp(index_file(index, i)->name, name) == 0)
                        return true;
        return false;
}

/* ---- targets ---- */

/* What of an archive is extracted, and where to. */
struct entry {
        const char *name; /* with its folders */
        const char *leaf; /* without */
        uint32_t folder;
};

static struct entry disk_entry(const struct disk *d)
{
        return (struct entry){d->name, d->leaf, d->folder};
}

static struct entry file_entry(const struct index_file *f)
{
        return (struct entry){f->name, f->leaf, f->folder};
}

/* Does the archive have LEAF in the folder of E? */
static bool is_sibling(const struct index *index, const struct entry *e, const char *leaf)
{
        char name[PATH_MAX];
        int len = snprintf(name, sizeof name, "%.*s%s", (int)(e->leaf - e->name), e->name, leaf);

        return (size_t)len < sizeof name && exists_in_archive(index, name);
}

/* NAME.partial, or where that is too long or a file of the archive's own, NAME~N.partial. */
static void choose_partial(const struct extract *x, const struct entry *e, int dirfd,
                           struct target *t)
{
        static const char suffix[] = ".partial";

        if (strlen(e->leaf) + sizeof suffix <= NAME_MAX + 1) {
                snprintf(t->partial, NAME_MAX + 1, "%s%s", e->leaf, suffix);
                if (!is_sibling(x->index, e, t->partial))
                        return;
        }
        for (unsigned n = 2; n; n++) {
                snprintf(t->partial, NAME_MAX + 1, "%.200s~%u%s", e->leaf, n, suffix);
                if (!is_sibling(x->index, e, t->partial) &&
                    faccessat(dirfd, t->partial, F_OK, 0) < 0)
                        return;
        }
}

/* ---- folders ---- */

/*
 * A new descriptor of folder NUMBER, good for the names in it, or -1 with errno. No link is
 * followed: what is below DIR stays there. It is not kept: an image may have thousands of folders.
 */
static int open_folder(const struct extract *x, uint32_t number)
{
        static const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        cleanup_close int above = -1;
        const struct index_folder *f;

        if (number == FOLDER_ROOT)
                return fcntl(x->dirfd, F_DUPFD_CLOEXEC, 0);
        f = index_folder(x->index, number - 1);
        above = open_folder(x, f->parent);
        return above < 0 ? -1 : openat(above, f->leaf, flags);
}

/* Make folder NUMBER below DIR, and those that it is in; MADE says which there are. */
static int make_folder(const struct extract *x, uint32_t number, bool *made)
{
        const struct index_folder *f;
        int status;

        if (number == FOLDER_ROOT || made[number])
                return STATUS_OK;
        f = index_folder(x->index, number - 1);
        status = make_folder(x, f->parent, made);
        if (status == STATUS_OK) {
                cleanup_close int above = open_folder(x, f->parent);
                cleanup_close int folder = -1;

                if (above >= 0 && (mkdirat(above, f->leaf, 0700) == 0 || errno == EEXIST))
                        folder = open_folder(x, number);
                if (folder < 0) {
                        report("%s/%s: cannot be made a folder: %s", x->dir, f->name,
                               strerror(errno));
                        return STATUS_FAILED;
                }
                made[number] = true;
        }
        return status;
}

/* The folders of all that is wanted, while folders can still be made. */
static int make_folders(const struct extract *x)
{
        cleanup_free bool *made = calloc(index_folder_count(x->index) + 1, sizeof *made);
        int status = STATUS_OK;

        if (!made) {
                report("out of memory");
                return STATUS_FAILED;
        }
        for (size_t i = 0; i < index_disk_count(x->index) && status == STATUS_OK; i++) {
                struct entry e = disk_entry(index_disk(x->index, i));

                if (is_wanted(x, e.name))
                        status = make_folder(x, e.folder, made);
        }
        for (size_t i = 0; i < index_file_count(x->index) && status == STATUS_OK; i++) {
                struct entry e = file_entry(index_file(x->index, i));

                if (is_wanted(x, e.name))
                        status = make_folder(x, e.folder, made);
        }
        return status;
}

/* ---- open targets ---- */

static int report_folder(const struct extract *x, const struct entry *e)
{
        report("%s/%s: its folder cannot be opened: %s", x->dir, e->name, strerror(errno));
        return STATUS_FAILED;
}

/* Make the file that E is written to; it stays open. */
static int open_target(struct extract *x, struct target *t, const struct entry *e)
{
        cleanup_close int dirfd = open_folder(x, e->folder);
        struct stat st;

        if (dirfd < 0)
                return report_folder(x, e);
        t->folder = e->folder;
        if (!x->force && fstatat(dirfd, e->leaf, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                report("%s/%s: is there already; --force replaces it", x->dir, e->name);
                return STATUS_FAILED;
        }
        choose_partial(x, e, dirfd, t);
        if (x->force)
                unlinkat(dirfd, t->partial, 0);
        t->fd =
            openat(dirfd, t->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        t->wanted = t->fd >= 0;
        if (t->wanted)
                return STATUS_OK;
        report("%s/%s: cannot be created: %s%s", x->dir, t->partial, strerror(errno),
               errno == EEXIST ? " (left by a failed run; --force replaces it)" : "");
        return STATUS_FAILED;
}

/*
 * Close all disks' targets once they are as many as may be open, since none is written to for
 * long; those of a backup that are written to in turn fit. What waits to be written goes first.
 */
static int make_room(struct extract *x)
{
        int fd, rc = 0;

        if (x->open_count < x->open_max)
                return 0;
        if (x->writer)
                rc = writer_drain(x->writer, &fd);
        for (size_t i = 0; i < index_disk_count(x->index) && rc == 0; i++)
                if (x->targets[i].fd >= 0 && close(steal_fd(&x->targets[i].fd)) < 0)
                        rc = -errno;
        if (rc == 0)
                x->open_count = 0;
        return rc;
}

/* Have the file of a disk, which was made before, open. 0 or -errno. */
static int reopen_target(struct extract *x, struct target *t)
{
        cleanup_close int dirfd = -1;
        int rc;

        if (t->fd >= 0)
                return 0;
        rc = make_room(x);
        if (rc < 0)
                return rc;
        dirfd = open_folder(x, t->folder);
        if (dirfd >= 0)
                t->fd = openat(dirfd, t->partial, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (t->fd < 0)
                return -errno;
        x->open_count++;
        return 0;
}

/* Without --force no file is replaced, also none that has come up since. 0, or -1 with errno. */
static int give_name(const struct extract *x, const struct target *t, const char *leaf)
{
        cleanup_close int dirfd = open_folder(x, t->folder);

        if (dirfd < 0)
                return -1;
        if (x->force)
                return renameat(dirfd, t->partial, dirfd, leaf);
        if (renameat2(dirfd, t->partial, dirfd, leaf, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL)
                return -1;
        /* Some file systems know no flags; a link replaces nothing either. */
        if (linkat(dirfd, t->partial, dirfd, leaf, 0) < 0)
                return -1;
        return unlinkat(dirfd, t->partial, 0);
}

/* Give the complete file its name, or say that it stays partial. */
static int finish_target(struct extract *x, struct target *t, const struct entry *e)
{
        if (close(steal_fd(&t->fd)) < 0) {
                report("%s/%s: cannot be written: %s", x->dir, t->partial, strerror(errno));
                return STATUS_FAILED;
        }
        if (t->failed) {
                report("%s/%s: is incomplete: parts of it are lost and are holes in it; vmafs "
                       "verify names them",
                       x->dir, t->partial);
                return STATUS_FAILED;
        }
        if (give_name(x, t, e->leaf) == 0)
                return STATUS_OK;
        report("%s/%s: cannot be renamed to %s: %s", x->dir, t->partial, e->name, strerror(errno));
        return STATUS_FAILED;
}

/* ---- disks ---- */

/* Copy one extent's bytes. What cannot be read is left out and marks the target as failed. */
static int copy_extent(struct extract *x, struct target *t, const struct extent *e, uint64_t size)
{
        struct archive *a = index_archive(x->index);
        uint64_t len = e->start < size ? min_u64(e->len, size - e->start) : 0;

        for (uint64_t at = 0; at < len;) {
                size_t n = (size_t)min_u64(WRITER_SIZE, len - at);
                void *buffer = writer_buffer(x->writer);
                bool lost = a->ops->read(a, e, at, buffer, n) < 0;
                int rc = 0;

                if (lost && n > MAP_BLOCK) {
                        n = MAP_BLOCK;
                        lost = a->ops->read(a, e, at, buffer, n) < 0;
                }
                if (lost)
                        t->failed = true;
                else
                        rc = writer_submit(x->writer, t->fd, n, e->start + at);
                if (rc < 0)
                        return rc;
                at += n;
        }
        return 0;
}

static int copy_extents(void *ctx, struct disk *disk, const struct extent *extents, size_t n)
{
        struct extract *x = ctx;
        struct target *t = &x->targets[disk->number];
        int rc = 0;

        if (!t->wanted)
                return 0;
        for (size_t i = 0; i < n && rc == 0; i++) {
                uint64_t size = disk->late_size ? UINT64_MAX : disk->size;

                if (extents[i].addr == EXTENT_ZERO || extents[i].addr == EXTENT_LOST)
                        continue;
                rc = reopen_target(x, t);
                if (rc == 0)
                        rc = copy_extent(x, t, &extents[i], size);
        }
        return rc;
}

static void report_unwritten(const struct extract *x, int fd, int rc)
{
        for (size_t i = 0; i < index_disk_count(x->index); i++)
                if (x->targets[i].fd == fd)
                        report("%s/%s: cannot be written: %s", x->dir, x->targets[i].partial,
                               strerror(-rc));
}

/* One pass over the archive, and what it brings is in the targets. */
static int copy_disks(struct extract *x)
{
        struct index_tap tap = {.ctx = x, .extents = copy_extents};
        struct error err = {0};
        struct progress *progress;
        int rc, unwritten, fd;

        rc = writer_new(&x->writer);
        if (rc < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
        progress = progress_start(x->index, "extracting");
        rc = index_scan(x->index, &tap, &err);
        unwritten = writer_drain(x->writer, &fd);
        progress_stop(progress);
        writer_free(steal_ptr(&x->writer));
        if (unwritten < 0)
                report_unwritten(x, fd, unwritten);
        else if (rc < 0)
                report_error(x->archive, &err);
        return rc < 0 || unwritten < 0 ? STATUS_FAILED : STATUS_OK;
}

/*
 * What was decoded and written before it turned out that it cannot be believed must not stay: a
 * part that is lost is a hole.
 */
static int erase_lost(const struct target *t, struct disk *d)
{
        static const char zeros[65536];
        struct extent e;

        for (uint64_t at = 0; at < d->size; at = e.start + e.len) {
                uint64_t len;

                disk_find(d, at, &e);
                len = min_u64(e.start + e.len, d->size) - at;
                if (e.addr != EXTENT_LOST)
                        continue;
                if (fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                              (off_t)len) == 0)
                        continue;
                for (uint64_t done = 0; done < len; done += min_u64(sizeof zeros, len - done)) {
                        int rc = write_all(t->fd, zeros, (size_t)min_u64(sizeof zeros, len - done),
                                           at + done);

                        if (rc < 0)
                                return rc;
                }
        }
        return 0;
}

static int finish_disk(struct extract *x, struct disk *d)
{
        struct target *t = &x->targets[d->number];
        struct entry e = disk_entry(d);
        int rc;

        if (!t->wanted)
                return STATUS_OK;
        rc = reopen_target(x, t);
        if (rc < 0) {
                report("%s/%s: cannot be opened: %s", x->dir, t->partial, strerror(-rc));
                return STATUS_FAILED;
        }
        if (ftruncate(t->fd, (off_t)d->size) < 0) {
                report("%s/%s: cannot be made %" PRIu64 " bytes long: %s", x->dir, t->partial,
                       d->size, strerror(errno));
                return STATUS_FAILED;
        }
        rc = d->totals.lost > 0 ? erase_lost(t, d) : 0;
        if (rc < 0) {
                report("%s/%s: cannot be written: %s", x->dir, t->partial, strerror(-rc));
                return STATUS_FAILED;
        }
        t->failed |= d->totals.lost > 0;
        x->open_count--;
        return finish_target(x, t, &e);
}

static int worse(int a, int b)
{
        return a > b ? a : b;
}

static int extract_disks(struct extract *x)
{
        int status = STATUS_OK, rc;
        bool any = false;

        for (size_t i = 0; i < index_disk_count(x->index); i++) {
                struct entry e = disk_entry(index_disk(x->index, i));

                if (!is_wanted(x, e.name))
                        continue;
                any = true;
                status = open_target(x, &x->targets[i], &e);
                if (status != STATUS_OK)
                        return status;
                x->open_count++;
                rc = make_room(x);
                if (rc < 0) {
                        report("%s: cannot be written: %s", x->dir, strerror(-rc));
                        return STATUS_FAILED;
                }
        }
        if (!any)
                return STATUS_OK;
        status = copy_disks(x);
        if (status != STATUS_OK)
                return status;
        for (size_t i = 0; i < index_disk_count(x->index); i++)
                status = worse(status, finish_disk(x, index_disk(x->index, i)));
        return status;
}

static int extract_file(struct extract *x, const struct index_file *f)
{
        struct target t = {.fd = -1};
        struct entry e = file_entry(f);
        int status = open_target(x, &t, &e);
        int rc;

        if (status != STATUS_OK)
                return status;
        rc = write_all(t.fd, f->data, f->len, 0);
        if (rc == 0)
                return finish_target(x, &t, &e);
        close(t.fd);
        report("%s/%s: cannot be written: %s", x->dir, t.partial, strerror(-rc));
        return STATUS_FAILED;
}

static int extract_files(struct extract *x)
{
        int status = STATUS_OK;

        for (size_t i = 0; i < index_file_count(x->index); i++)
                if (is_wanted(x, index_file(x->index, i)->name))
                        status = worse(status, extract_file(x, index_file(x->index, i)));
        return status;
}

static int check_wanted(const struct extract *x)
{
        for (int i = 0; i < x->wanted_count; i++) {
                if (exists_in_archive(x->index, x->wanted[i]))
                        continue;
                report("%s: holds no file named %s; vmafs info lists what it holds", x->archive,
                       x->wanted[i]);
                return STATUS_USAGE;
        }
        return STATUS_OK;
}

/* A part of what may be open: other things are, too. All of a VMA's disks where that is 1024. */
static size_t open_targets_max(void)
{
        struct rlimit limit = {.rlim_cur = 0};

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return OPEN_MIN;
        return (size_t)max_u64(min_u64(limit.rlim_cur / 4, OPEN_MAX), OPEN_MIN);
}

static int extract(struct extract *x)
{
        size_t disks = index_disk_count(x->index);
        cleanup_free struct target *targets = calloc(disks + 1, sizeof *targets);
        int status = check_wanted(x);

        if (status != STATUS_OK)
                return status;
        if (!targets) {
                report("out of memory");
                return STATUS_FAILED;
        }
        for (size_t i = 0; i < disks; i++)
                targets[i].fd = -1;
        x->targets = targets;
        x->open_max = open_targets_max();
        status = make_folders(x);
        if (status == STATUS_OK) {
                sandbox_verb_opened(x->index, x->dirfd);
                status = extract_files(x);
                status = worse(status, extract_disks(x));
        }
        for (size_t i = 0; i < disks; i++)
                if (targets[i].fd >= 0)
                        close(targets[i].fd);
        return status;
}

int verb_extract(int argc, char **argv)
{
        static const struct option options[] = {
            {"force", no_argument, NULL, 'f'}, OPENING_LONG_OPTIONS, {0}};
        struct index_options opening = {.sidecar = INDEX_SIDECAR_ENTER};
        struct extract x = {.dir = "."};
        cleanup_close int dirfd = -1;
        int c, status;

        while ((c = getopt_long(argc, argv, "C:", options, NULL)) != -1) {
                if (c == 'C')
                        x.dir = optarg;
                else if (c == 'f')
                        x.force = true;
                else if (opening_option(c, argv, &opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc - optind < 1)
                return usage_error("extract needs an archive");
        x.archive = argv[optind];
        x.wanted = argv + optind + 1;
        x.wanted_count = argc - optind - 1;
        dirfd = open(x.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0) {
                report("%s: cannot be extracted into: %s%s", x.dir, strerror(errno),
                       errno == ENOENT ? "; make it with mkdir" : "");
                return STATUS_USAGE;
        }
        status = report_open(x.archive, &opening, &x.index);
        if (status != STATUS_OK)
                return status;
        x.dirfd = dirfd;
        status = extract(&x);
        index_close(x.index);
        return status;
}
