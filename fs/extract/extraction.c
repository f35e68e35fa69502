/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/extraction.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "fs/cli/opening.h"
#include "fs/cli/selection.h"
#include "fs/extract/archive_tree.h"
#include "fs/extract/extract_helper.h"
#include "fs/extract/tree_extract.h"
#include "fs/extract/tree_helper.h"
#include "fs/extract/writer.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "index/index.h"
#include "index/owner.h"

/* How many files of disks may be open at a time, at least and at most. */
enum { OPEN_MIN = 4, OPEN_MAX = 256 };

struct target {
        char partial[NAME_MAX + 1];
        struct made file; /* may be closed at the moment … */
        bool wanted;      /* … or not exist at all */
        bool failed;      /* a part of it could not be read or written */
};

struct extract {
        struct index *index;
        const char *archive;         /* path, for messages */
        const char *dir;             /* path, for messages */
        struct extract_helper maker; /* below DIR */
        struct tree_helper trees;    /* the same, of a tree of files */
        uint32_t *folders;           /* archive folder number -> the maker's number; 0: none yet */
        size_t folder_count;
        bool force;
        char **wanted; /* names; none: everything is wanted */
        int wanted_count;
        bool inside;                 /* some may be partitions */
        struct target *targets;      /* one a disk */
        size_t open_count, open_max; /* of the targets */
        struct writer *writer;
        const struct target *unopened; /* one that could not be opened again, or NULL */
        bool hopeless;                 /* nothing can be written below DIR; this was reported */
};

static bool is_wanted_disk(const struct extract *x, const struct disk *d)
{
        for (int i = 0; i < x->wanted_count; i++)
                if (selection_has_disk(x->wanted[i], d))
                        return true;
        return x->wanted_count == 0;
}

static bool is_wanted_file(const struct extract *x, const struct index_file *f)
{
        for (int i = 0; i < x->wanted_count; i++)
                if (selection_has_file(x->wanted[i], f))
                        return true;
        return x->wanted_count == 0;
}

/* ---- targets ---- */

/* A disk or file to extract. */
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
        return (struct entry){f->name, index_file_leaf(f), f->folder};
}

/* Does the archive hold something named LEAF in E's folder? */
static bool is_sibling(const struct index *index, const struct entry *e, const char *leaf)
{
        char name[PATH_MAX];
        int folder = (int)(strlen(e->name) - strlen(e->leaf));
        int len = snprintf(name, sizeof name, "%.*s%s", folder, e->name, leaf);

        return (size_t)len < sizeof name && selection_is_name(name, index);
}

/* NAME.partial; or NAME~N.partial if that is too long or the archive has a file of that name. */
static void choose_partial(struct extract *x, const struct entry *e, struct target *t)
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
                    extract_helper_look(&x->maker, x->folders[e->folder], t->partial) == 0)
                        return;
        }
}

/* ---- folders ---- */

/* Create folder NUMBER below DIR, with its parents. */
static int make_folder(struct extract *x, uint32_t number)
{
        const struct index_folder *f;
        int status, rc;

        if (number == FOLDER_ROOT || x->folders[number])
                return STATUS_OK;
        f = index_folder(x->index, number - 1);
        status = make_folder(x, f->parent);
        if (status != STATUS_OK)
                return status;
        rc = extract_helper_folder(&x->maker, x->folders[f->parent], f->leaf, &x->folders[number]);
        if (rc == 0)
                return STATUS_OK;
        report("%s/%s: cannot be made a folder: %s", x->dir, f->name, strerror(-rc));
        return STATUS_FAILED;
}

/* Create the folders of everything that is wanted. */
static int make_folders(struct extract *x)
{
        int status = STATUS_OK;

        for (size_t i = 0; i < index_disk_count(x->index) && status == STATUS_OK; i++) {
                const struct disk *d = index_disk(x->index, i);

                if (is_wanted_disk(x, d))
                        status = make_folder(x, d->folder);
        }
        for (size_t i = 0; i < index_file_count(x->index) && status == STATUS_OK; i++) {
                const struct index_file *f = index_file(x->index, i);

                if (is_wanted_file(x, f))
                        status = make_folder(x, f->folder);
        }
        return status;
}

/* ---- open targets ---- */

/*
 * T could not be created for E: RC. Would every other file fail in the same way? Of rights that are
 * missing, only DIR's say so, and not those of a file that is there already.
 */
static bool is_hopeless(struct extract *x, const struct target *t, const struct entry *e, int rc)
{
        switch (-rc) {
        case EROFS:
        case ENOSPC:
        case EDQUOT:
                return true;
        case EACCES:
        case EPERM:
                return e->folder == FOLDER_ROOT &&
                       extract_helper_look(&x->maker, 0, t->partial) == 0;
        default:
                return false;
        }
}

static int give_up(struct extract *x, int rc)
{
        report("%s: cannot be written into: %s", x->dir, strerror(-rc));
        x->hopeless = true;
        return STATUS_FAILED;
}

/* Create the file for E, and leave it open. */
static int open_target(struct extract *x, struct target *t, const struct entry *e)
{
        uint32_t folder = x->folders[e->folder];
        int rc = x->force ? 0 : extract_helper_look(&x->maker, folder, e->leaf);

        if (rc == -EEXIST) {
                report("%s/%s: is there already; --force replaces it", x->dir, e->name);
                return STATUS_FAILED;
        }
        choose_partial(x, e, t);
        rc = extract_helper_make(&x->maker, folder, t->partial, e->leaf, &t->file);
        t->wanted = rc == 0;
        if (rc == 0)
                return STATUS_OK;
        if (is_hopeless(x, t, e, rc))
                return give_up(x, rc);
        if (rc == -EBUSY)
                report("%s/%s: is being written by another vmafs", x->dir, t->partial);
        else
                report("%s/%s: cannot be created: %s%s", x->dir, t->partial, strerror(-rc),
                       rc == -EEXIST ? "; --force replaces it" : "");
        return STATUS_FAILED;
}

/*
 * If as many targets as allowed are open, close those of all disks. The limit is high enough for
 * the disks of a backup that are written in turn, and other targets are not needed for long. Queued
 * writes are finished first.
 */
static int make_room(struct extract *x)
{
        int fd, rc = 0;

        if (x->open_count < x->open_max)
                return 0;
        if (x->writer)
                rc = writer_drain(x->writer, &fd);
        for (size_t i = 0; i < index_disk_count(x->index) && rc == 0; i++)
                if (x->targets[i].file.fd >= 0)
                        rc = extract_helper_close(&x->maker, &x->targets[i].file);
        if (rc == 0)
                x->open_count = 0;
        return rc;
}

/* Open a disk's file again if it is closed. 0 or -errno. */
static int reopen_target(struct extract *x, struct target *t)
{
        int rc;

        if (t->file.fd >= 0)
                return 0;
        rc = make_room(x);
        if (rc < 0)
                return rc;
        rc = extract_helper_reopen(&x->maker, &t->file);
        if (rc == 0)
                x->open_count++;
        return rc;
}

static int report_file(const struct extract *x, const struct target *t, int rc)
{
        report("%s/%s: cannot be written: %s", x->dir, t->partial,
               rc == -ESTALE ? "it was moved or replaced meanwhile" : strerror(-rc));
        return STATUS_FAILED;
}

/* Give the complete file its name, or say that it stays partial. */
static int finish_target(struct extract *x, struct target *t, const struct entry *e)
{
        int rc;

        if (t->failed) {
                rc = extract_helper_leave(&x->maker, &t->file);
                if (rc < 0)
                        return report_file(x, t, rc);
                report("%s/%s: is incomplete: parts of it are lost and are holes in it; vmafs "
                       "verify names them",
                       x->dir, t->partial);
                return STATUS_FAILED;
        }
        /* Without --force no file is replaced, not even one that was created since. */
        rc = extract_helper_finish(&x->maker, &t->file);
        if (rc == 0)
                return STATUS_OK;
        if (rc != -EEXIST)
                return report_file(x, t, rc);
        report("%s/%s: cannot be renamed to %s: %s", x->dir, t->partial, e->name, strerror(-rc));
        return STATUS_FAILED;
}

/* ---- disks ---- */

/*
 * Copy LEN bytes of E. If something cannot be read, leave it out and mark the target as failed.
 */
static int copy_extent(struct extract *x, struct target *t, struct disk *d, uint64_t pos,
                       const struct volume_extent *e, uint64_t len)
{
        for (uint64_t at = 0; at < len;) {
                size_t n = (size_t)min_u64(WRITER_SIZE, len - at);
                void *buffer = writer_buffer(x->writer);
                bool lost = disk_fetch(d, e, pos, at, buffer, n) < 0;
                int rc = 0;

                if (lost && n > MAP_BLOCK) {
                        n = MAP_BLOCK - (pos + at) % MAP_BLOCK;
                        lost = disk_fetch(d, e, pos, at, buffer, n) < 0;
                }
                if (lost)
                        t->failed = true;
                else
                        rc = writer_submit(x->writer, t->file.fd, n, pos + at);
                if (rc < 0)
                        return rc;
                at += n;
        }
        return 0;
}

static int copy_part(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e)
{
        struct extract *x = ctx;
        struct target *t = &x->targets[disk->number];
        uint64_t size = disk->provisional_size ? UINT64_MAX : disk->size;
        int rc;

        /* The totals of an index say nothing of a table that can no longer be read. */
        t->failed |= e->kind == VOLUME_LOST && !disk_is_scanned(disk);
        if (!t->wanted || e->kind == VOLUME_ZERO || e->kind == VOLUME_LOST || pos >= size)
                return 0;
        rc = reopen_target(x, t);
        if (rc == 0)
                return copy_extent(x, t, disk, pos, e, min_u64(e->len, size - pos));
        x->unopened = t;
        return rc;
}

static void report_unwritten(const struct extract *x, int fd, int rc)
{
        for (size_t i = 0; i < index_disk_count(x->index); i++)
                if (x->targets[i].file.fd == fd)
                        report_file(x, &x->targets[i], rc);
}

/* Pass over the archive once and write what it holds to the targets. */
static int copy_disks(struct extract *x)
{
        struct index_observer observer = {.ctx = x, .extent = copy_part};
        struct error err = {0};
        struct progress *progress;
        int rc, unwritten, fd;

        rc = writer_new(&x->writer);
        if (rc < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
        progress = progress_start(x->index, "extracting");
        rc = index_scan(x->index, &observer, &err);
        unwritten = writer_drain(x->writer, &fd);
        progress_stop(progress);
        writer_free(steal_ptr(&x->writer));
        if (unwritten < 0)
                report_unwritten(x, fd, unwritten);
        else if (x->unopened)
                report_file(x, x->unopened, rc);
        else if (rc < 0)
                report_error(x->archive, &err);
        return rc < 0 || unwritten < 0 ? STATUS_FAILED : STATUS_OK;
}

/*
 * Data may have been written before the scan found that they cannot be trusted. Punch them out: a
 * lost part must be a hole.
 */
static int erase_lost(const struct target *t, struct disk *d)
{
        static const char zeros[65536];
        struct volume_extent e;

        for (uint64_t at = 0; at < d->size; at += e.len) {
                uint64_t len;

                if (disk_extent(d, at, d->size - at, &e) == 0 && e.kind != VOLUME_LOST)
                        continue;
                len = e.len;
                if (fallocate(t->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                              (off_t)len) == 0)
                        continue;
                for (uint64_t done = 0; done < len; done += min_u64(sizeof zeros, len - done)) {
                        int rc = write_all(t->file.fd, zeros,
                                           (size_t)min_u64(sizeof zeros, len - done), at + done);

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
        if (rc < 0)
                return report_file(x, t, rc);
        if (ftruncate(t->file.fd, (off_t)d->size) < 0) {
                report("%s/%s: cannot be made %" PRIu64 " bytes long: %s", x->dir, t->partial,
                       d->size, strerror(errno));
                return STATUS_FAILED;
        }
        rc = d->totals.lost > 0 ? erase_lost(t, d) : 0;
        if (rc < 0)
                return report_file(x, t, rc);
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

                if (!is_wanted_disk(x, index_disk(x->index, i)))
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

/* Copy LEN bytes of F at POS through BUF. What cannot be read is left out, block by block. */
static int copy_file_part(struct extract *x, struct target *t, const struct index_file *f,
                          char *buf, size_t len, uint64_t pos)
{
        int rc = index_file_read(x->index, f, buf, len, pos);

        if (rc == 0)
                return write_all(t->file.fd, buf, len, pos);
        if (rc != -EIO)
                return rc;
        if (len <= MAP_BLOCK) {
                t->failed = true;
                return 0;
        }
        rc = 0;
        for (size_t done = 0; done < len && rc == 0; done += MAP_BLOCK)
                rc = copy_file_part(x, t, f, buf, (size_t)min_u64(MAP_BLOCK, len - done),
                                    pos + done);
        return rc;
}

static int copy_file(struct extract *x, struct target *t, const struct index_file *f)
{
        cleanup_free char *buf = malloc(WRITER_SIZE);
        int rc = buf ? 0 : -ENOMEM;

        for (uint64_t pos = 0; pos < f->volume->size && rc == 0; pos += WRITER_SIZE)
                rc = copy_file_part(x, t, f, buf,
                                    (size_t)min_u64(WRITER_SIZE, f->volume->size - pos), pos);
        if (rc == 0 && t->failed && ftruncate(t->file.fd, (off_t)f->volume->size) < 0)
                rc = -errno;
        return rc;
}

static int extract_file(struct extract *x, const struct index_file *f)
{
        struct target t = {.file.fd = -1};
        struct entry e = file_entry(f);
        int status = open_target(x, &t, &e), rc;

        if (status != STATUS_OK)
                return status;
        rc = copy_file(x, &t, f);
        if (rc == 0)
                return finish_target(x, &t, &e);
        close(t.file.fd);
        return report_file(x, &t, rc);
}

static int extract_files(struct extract *x)
{
        int status = STATUS_OK;

        for (size_t i = 0; i < index_file_count(x->index) && !x->hopeless; i++)
                if (is_wanted_file(x, index_file(x->index, i)))
                        status = worse(status, extract_file(x, index_file(x->index, i)));
        return status;
}

static int report_unnamed(const struct extract *x, const char *word)
{
        report("%s: holds no file named %s; vmafs info lists what it holds", x->archive, word);
        return STATUS_USAGE;
}

/* Is WORD no name of what the archive itself holds, but perhaps of a partition? */
static bool is_inside(const struct extract *x, const char *word)
{
        return selection_is_inside(word) && !selection_has_any(word, x->index);
}

static int check_wanted(const struct extract *x)
{
        for (int i = 0; i < x->wanted_count; i++)
                if (!selection_has_any(x->wanted[i], x->index) && !is_inside(x, x->wanted[i]))
                        return report_unnamed(x, x->wanted[i]);
        return STATUS_OK;
}

/* ---- partitions ---- */

/* Copy D, a partition, whose index is sealed. */
static int copy_part_of(struct extract *x, struct target *t, struct disk *d)
{
        struct volume_extent e;
        int rc = writer_new(&x->writer), unwritten, fd;

        if (rc < 0)
                return rc;
        for (uint64_t pos = 0; pos < d->size && rc == 0; pos += e.len) {
                if (disk_extent(d, pos, d->size - pos, &e) < 0 || e.kind == VOLUME_LOST)
                        t->failed = true;
                else if (e.kind != VOLUME_ZERO)
                        rc = copy_extent(x, t, d, pos, &e, e.len);
        }
        unwritten = writer_drain(x->writer, &fd);
        writer_free(steal_ptr(&x->writer));
        rc = rc < 0 ? rc : unwritten;
        return rc == 0 && ftruncate(t->file.fd, (off_t)d->size) < 0 ? -errno : rc;
}

static int extract_part(struct extract *x, struct disk *d)
{
        struct target t = {.file.fd = -1};
        struct entry e = disk_entry(d);
        int status = make_folder(x, d->folder), rc;

        if (status == STATUS_OK)
                status = open_target(x, &t, &e);
        if (status != STATUS_OK)
                return status;
        rc = copy_part_of(x, &t, d);
        if (rc == 0)
                return finish_target(x, &t, &e);
        close(t.file.fd);
        return report_file(x, &t, rc);
}

/* Does each word that may mean a partition mean one? */
static int check_parts(const struct extract *x)
{
        for (int i = 0; i < x->wanted_count; i++) {
                struct selection_walk walk = {.index = x->index};

                if (is_inside(x, x->wanted[i]) && !selection_next_part(&walk, &x->wanted[i], 1))
                        return report_unnamed(x, x->wanted[i]);
        }
        return STATUS_OK;
}

/* Index the archive, unless the disks were extracted on the way. */
static int seal(struct extract *x)
{
        return index_sealed(x->index) ? STATUS_OK : opening_scan(x->index, x->archive);
}

/* Volume groups have got folders only now. */
static int add_folders(struct extract *x)
{
        size_t count = index_folder_count(x->index) + 1;
        uint32_t *grown = calloc(count, sizeof *grown);

        if (!grown) {
                report("out of memory");
                return STATUS_FAILED;
        }
        memcpy(grown, x->folders, x->folder_count * sizeof *grown);
        free(x->folders);
        x->folders = grown;
        x->folder_count = count;
        return STATUS_OK;
}

/* Where partitions are is known once all is indexed, so they are no part of the one pass. */
static int extract_parts(struct extract *x)
{
        struct selection_walk walk = {.index = x->index};
        int status = seal(x);
        struct disk *d;

        if (status == STATUS_OK)
                status = check_parts(x);
        if (status == STATUS_OK)
                status = add_folders(x);
        if (status != STATUS_OK)
                return status;
        while (!x->hopeless && (d = selection_next_part(&walk, x->wanted, x->wanted_count)))
                status = worse(status, extract_part(x, d));
        return status;
}

/*
 * A part of the limit of open files, since other files are open, too. With a limit of 1024, all
 * disks of a VMA archive fit.
 */
static size_t open_targets_max(void)
{
        struct rlimit limit = {.rlim_cur = 0};

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return OPEN_MIN;
        return (size_t)max_u64(min_u64(limit.rlim_cur / 4, OPEN_MAX), OPEN_MIN);
}

static int extract_all(struct extract *x)
{
        int status = make_folders(x);

        if (status != STATUS_OK)
                return status;
        status = extract_files(x);
        if (!x->hopeless)
                status = worse(status, extract_disks(x));
        if (!x->hopeless && x->inside)
                status = worse(status, extract_parts(x));
        return status;
}

/*
 * All that is shown has been extracted, with STATUS. Was there more in the archive, which damage
 * hides? What is lost of a disk has been said of that.
 */
static int judge_whole(const struct extract *x, int status)
{
        const struct index_damage *d = index_hiding_damage(x->index, status == STATUS_OK);

        if (!d)
                return status;
        report("%s: at byte %" PRIu64 ": %s; what it held there is not extracted, and vmafs verify "
               "names all damage",
               x->archive, d->offset, d->text);
        return worse(status, STATUS_FAILED);
}

static int extract(struct extract *x)
{
        size_t disks = index_disk_count(x->index);
        cleanup_free struct target *targets = calloc(disks + 1, sizeof *targets);
        int status = check_wanted(x);

        if (status != STATUS_OK)
                return status;
        x->folder_count = index_folder_count(x->index) + 1;
        x->folders = calloc(x->folder_count, sizeof *x->folders);
        if (!targets || !x->folders) {
                report("out of memory");
                return STATUS_FAILED;
        }
        for (size_t i = 0; i < disks; i++)
                targets[i].file.fd = -1;
        x->targets = targets;
        x->open_max = open_targets_max();
        status = extract_all(x);
        if (x->wanted_count == 0 && !x->hopeless)
                status = judge_whole(x, status);
        for (size_t i = 0; i < disks; i++)
                if (targets[i].file.fd >= 0)
                        close(targets[i].file.fd);
        return status;
}

/* The archive is a tree of files. */
static int extract_tree(struct extract *x)
{
        const struct archive_tree tree = {.index = x->index,
                                          .archive = x->archive,
                                          .dir = x->dir,
                                          .force = x->force,
                                          .maker = &x->maker,
                                          .trees = &x->trees};
        int status = seal(x);

        if (status == STATUS_OK)
                status = archive_tree_extract(&tree, x->wanted, x->wanted_count);
        tree_report_left_out(x->dir, x->trees.left_out);
        return status;
}

/* Start the helpers that create files in the directory, before the archive is read. */
static int start_helpers(struct extract *x)
{
        cleanup_close int dirfd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int rc;

        if (dirfd < 0) {
                report("%s: cannot be extracted into: %s%s", x->dir, strerror(errno),
                       errno == ENOENT ? "; make it with mkdir" : "");
                return STATUS_USAGE;
        }
        rc = extract_helper_start(&x->maker, dirfd, x->force);
        if (rc == 0)
                rc = tree_helper_start(&x->trees, dirfd, x->force);
        if (rc == 0)
                return STATUS_OK;
        report("the process that makes files cannot be started: %s", strerror(-rc));
        return STATUS_FAILED;
}

/* For partitions alone no pass over the whole archive is needed, if it has an index. */
static void choose_opening(struct extract *x, struct index_options *opening)
{
        int inside = 0;

        for (int i = 0; i < x->wanted_count; i++)
                inside += selection_is_inside(x->wanted[i]);
        x->inside = opening->partitions = inside > 0;
        if (inside && inside == x->wanted_count)
                opening->sidecar = INDEX_SIDECAR_USE;
}

int extraction_run(const struct extraction *what)
{
        struct index_options opening = what->opening;
        struct extract x = {.archive = what->archive.path,
                            .dir = what->dir,
                            .maker = EXTRACT_HELPER_NONE,
                            .trees = TREE_HELPER_NONE,
                            .force = what->force,
                            .wanted = what->wanted,
                            .wanted_count = what->wanted_count};
        struct opened o = OPENED_NONE;
        int status;

        choose_opening(&x, &opening);
        status = start_helpers(&x);
        if (status == STATUS_OK) {
                const int sockets[2] = {x.maker.helper.fd, x.trees.helper.fd};

                status = opening_open_with(&what->archive, &opening, sockets, &o);
        }
        if (status == STATUS_OK) {
                x.index = o.index;
                status = index_is_tree(o.index) ? extract_tree(&x) : extract(&x);
        }
        free(x.folders);
        opening_close(&o);
        tree_helper_end(&x.trees);
        extract_helper_end(&x.maker);
        return status;
}
