/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/extract_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "fs/extract/partial.h"
#include "fs/process/index_helper.h"

enum {
        ITEMS_MAX = 1 << 20, /* folders, and files */
        DEPTH_MAX = 64,
};

/* The requests. The number is a folder's up to WHAT_MAKE, then a file's. */
enum what {
        WHAT_FOLDER,
        WHAT_LOOK,
        WHAT_MAKE, /* name: "PARTIAL/LEAF" */
        WHAT_CLOSE,
        WHAT_REOPEN,
        WHAT_LEAVE,
        WHAT_FINISH,
};

struct folder {
        uint32_t parent;
        unsigned depth;
        char *name;
};

struct file {
        uint32_t folder;
        bool done; /* nothing more may be done with it */
        char *leaf;
        struct partial partial;
};

/* Used only in the helper. */
struct duty {
        int dirfd;
        bool force;
        ARRAY(struct folder) folders; /* number N is element N - 1 */
        ARRAY(struct file) files;
};

/* ---- in the helper ---- */

static bool is_name(const char *name)
{
        return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
               strlen(name) <= NAME_MAX;
}

/*
 * A new O_PATH descriptor of folder NUMBER, or -errno. No link is followed, so that nothing leads
 * out of the directory. The descriptor is not cached, since an image may have thousands of folders.
 */
static int open_folder(const struct duty *d, uint32_t number)
{
        static const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        cleanup_close int above = -1;
        const struct folder *f;
        int fd;

        if (number > d->folders.count)
                return -EINVAL;
        if (number == 0) {
                fd = fcntl(d->dirfd, F_DUPFD_CLOEXEC, 0);
                return fd < 0 ? -errno : fd;
        }
        f = array_at(&d->folders, number - 1);
        above = open_folder(d, f->parent);
        if (above < 0)
                return above;
        fd = openat(above, f->name, flags);
        return fd < 0 ? -errno : fd;
}

static int make_folder(struct duty *d, uint32_t parent, const char *name, uint32_t *number)
{
        cleanup_close int above = open_folder(d, parent);
        cleanup_close int made = -1;
        struct folder f = {.parent = parent};

        if (above < 0)
                return above;
        f.depth = parent ? array_at(&d->folders, parent - 1)->depth + 1 : 1;
        if (!is_name(name) || f.depth > DEPTH_MAX)
                return -EINVAL;
        if (mkdirat(above, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        made = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (made < 0)
                return -errno;
        if (d->folders.count >= ITEMS_MAX)
                return -ENOMEM;
        f.name = strdup(name);
        if (!f.name)
                return -ENOMEM;
        if (array_add(&d->folders, f) < 0) {
                free(f.name);
                return -ENOMEM;
        }
        *number = (uint32_t)d->folders.count;
        return 0;
}

static int look(const struct duty *d, uint32_t folder, const char *name)
{
        cleanup_close int dirfd = open_folder(d, folder);
        struct stat st;

        if (dirfd < 0)
                return dirfd;
        if (!is_name(name))
                return -EINVAL;
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        return errno == ENOENT ? 0 : -errno;
}

static int give_copy(const struct partial *p, int *fd)
{
        *fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
        return *fd < 0 ? -errno : 0;
}

static int make_file(struct duty *d, uint32_t folder, const char *names, uint32_t *number, int *fd)
{
        cleanup_close int dirfd = open_folder(d, folder);
        const char *slash = strchr(names, '/');
        struct file f = {.folder = folder};
        int rc;

        if (dirfd < 0)
                return dirfd;
        if (!slash || slash - names > NAME_MAX || !is_name(slash + 1))
                return -EINVAL;
        snprintf(f.partial.name, sizeof f.partial.name, "%.*s", (int)(slash - names), names);
        if (!is_name(f.partial.name))
                return -EINVAL;
        if (d->files.count >= ITEMS_MAX || array_reserve(&d->files, 1) < 0)
                return -ENOMEM;
        f.leaf = strdup(slash + 1);
        rc = f.leaf ? partial_open(dirfd, d->force, &f.partial) : -ENOMEM;
        if (rc == 0)
                rc = give_copy(&f.partial, fd);
        if (rc < 0) {
                free(f.leaf);
                return rc;
        }
        *number = (uint32_t)d->files.count;
        return array_add(&d->files, f);
}

static int reopen_file(const struct duty *d, struct file *f, int *fd)
{
        cleanup_close int dirfd = open_folder(d, f->folder);
        int rc = dirfd < 0 ? dirfd : partial_reopen(dirfd, &f->partial);

        return rc < 0 ? rc : give_copy(&f->partial, fd);
}

static int finish_file(const struct duty *d, struct file *f)
{
        cleanup_close int dirfd = open_folder(d, f->folder);

        f->done = true;
        return dirfd < 0 ? dirfd : partial_finish(dirfd, &f->partial, f->leaf, d->force);
}

static int leave_file(struct file *f)
{
        f->done = true;
        return partial_leave(&f->partial);
}

static int handle_file(struct duty *d, const struct helper_request *in, int *fd)
{
        struct file *f = in->number < d->files.count ? array_at(&d->files, in->number) : NULL;

        if (!f || f->done || (in->what == WHAT_REOPEN) == (f->partial.fd >= 0))
                return -EINVAL;
        switch (in->what) {
        case WHAT_CLOSE:
                return partial_close(&f->partial);
        case WHAT_REOPEN:
                return reopen_file(d, f, fd);
        case WHAT_LEAVE:
                return leave_file(f);
        case WHAT_FINISH:
                return finish_file(d, f);
        default:
                return -EINVAL;
        }
}

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        struct duty *d = ctx;

        switch (in->what) {
        case WHAT_FOLDER:
                return make_folder(d, in->number, in->name, &out->number);
        case WHAT_LOOK:
                return look(d, in->number, in->name);
        case WHAT_MAKE:
                return make_file(d, in->number, in->name, &out->number, fd);
        default:
                return handle_file(d, in, fd);
        }
}

static void begin(void *ctx)
{
        (void)ctx;
        index_helper_drop_capabilities();
        helper_detach();
}

static const struct helper_role role = {"extract-helper", begin, NULL, handle, NULL};

/* ---- in the worker ---- */

int extract_helper_start(struct extract_helper *m, int dirfd, bool force)
{
        struct duty duty = {.dirfd = dirfd, .force = force};

        return helper_start(&m->helper, &role, &duty, &dirfd, 1);
}

void extract_helper_end(struct extract_helper *m)
{
        helper_end(&m->helper);
}

int extract_helper_folder(struct extract_helper *m, uint32_t parent, const char *name,
                          uint32_t *number)
{
        struct helper_request in = {.what = WHAT_FOLDER, .number = parent};

        snprintf(in.name, sizeof in.name, "%s", name);
        return helper_call(&m->helper, &in, number, NULL);
}

int extract_helper_look(struct extract_helper *m, uint32_t folder, const char *name)
{
        struct helper_request in = {.what = WHAT_LOOK, .number = folder};

        snprintf(in.name, sizeof in.name, "%s", name);
        return helper_call(&m->helper, &in, NULL, NULL);
}

int extract_helper_make(struct extract_helper *m, uint32_t folder, const char *partial,
                        const char *leaf, struct made *out)
{
        struct helper_request in = {.what = WHAT_MAKE, .number = folder};

        snprintf(in.name, sizeof in.name, "%s/%s", partial, leaf);
        return helper_call(&m->helper, &in, &out->number, &out->fd);
}

/* Close ours first: the file is unlocked once all its descriptors are closed. */
static int end_file(struct extract_helper *m, struct made *f, enum what what)
{
        struct helper_request in = {.what = what, .number = f->number};

        close(steal_fd(&f->fd));
        return helper_call(&m->helper, &in, NULL, NULL);
}

int extract_helper_close(struct extract_helper *m, struct made *f)
{
        return end_file(m, f, WHAT_CLOSE);
}

int extract_helper_reopen(struct extract_helper *m, struct made *f)
{
        struct helper_request in = {.what = WHAT_REOPEN, .number = f->number};

        return helper_call(&m->helper, &in, NULL, &f->fd);
}

int extract_helper_leave(struct extract_helper *m, struct made *f)
{
        return end_file(m, f, WHAT_LEAVE);
}

int extract_helper_finish(struct extract_helper *m, struct made *f)
{
        return end_file(m, f, WHAT_FINISH);
}
