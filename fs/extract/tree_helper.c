/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/tree_helper.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"

enum {
        VALUE_MAX = 1 << 20, /* bytes of one attribute */
        PIECE = PATH_MAX - 1 /* of them in a request */
};

enum what {
        WHAT_ENTER,
        WHAT_LEAVE,
        WHAT_FILE,
        WHAT_OWN,
        WHAT_CLOSE,
        WHAT_VALUE, /* NUMBER bytes more of what the next request needs */
        WHAT_XATTR,
        WHAT_SYMLINK,
        WHAT_NODE,
        WHAT_LINK,
        WHAT_FINISH, /* name: "PARTIAL/NAME" */
        WHAT_ABANDON,
};

/* What the name of a request holds, but for values. */
struct words {
        struct tree_attributes attributes;
        char name[PATH_MAX - sizeof(struct tree_attributes)];
};

_Static_assert(sizeof(struct words) <= PATH_MAX, "words fit into a request");

/* A folder that is open, by which it is known again. */
struct level {
        dev_t device;
        ino_t inode;
};

/* Used only in the helper. */
struct duty {
        int base; /* extract's directory */
        bool force, is_root;
        int top;      /* the tree's first folder; -1: none */
        int current;  /* the folder that we are in; -1: the directory itself */
        int file;     /* that is being made; -1: none */
        bool strange; /* its owner is not the recorded one */
        ARRAY(struct level) levels;
        char *value; /* with a NUL after it */
        size_t value_len;
};

/* ---- in the helper ---- */

static bool is_name(const char *name)
{
        return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
               strlen(name) <= NAME_MAX;
}

static int folder_of(const struct duty *d)
{
        return d->current >= 0 ? d->current : d->base;
}

/* What an ordinary user may not do is left out. */
static int left_out(int rc, unsigned bit, uint32_t *bits)
{
        if (rc == 0)
                return 0;
        if (errno != EPERM && errno != EACCES && errno != EOPNOTSUPP && errno != EINVAL)
                return -errno;
        *bits |= bit;
        return 0;
}

/* A program must not run as somebody whom the archive did not mean. */
static mode_t safe_mode(const struct duty *d, const struct tree_attributes *a)
{
        return a->mode & (d->is_root && !d->strange ? 07777 : 01777);
}

static void set_times(const struct tree_attributes *a, struct timespec out[2])
{
        out[0] = out[1] = (struct timespec){a->mtime, (long)(a->nanoseconds % 1000000000)};
}

static int enter(struct duty *d, const char *name)
{
        cleanup_close int fd = -1;
        struct stat st;

        if (d->levels.count >= TREE_DEPTH_MAX)
                return -ELOOP;
        if (mkdirat(folder_of(d), name, 0700) < 0)
                return -errno;
        fd = openat(folder_of(d), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (array_add(&d->levels, ((struct level){st.st_dev, st.st_ino})) < 0)
                return -ENOMEM;
        if (d->top < 0) {
                d->top = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (d->top < 0)
                        return -errno;
        } else {
                close(d->current);
        }
        d->current = steal_fd(&fd);
        return 0;
}

static void go_to_base(struct duty *d)
{
        if (d->current >= 0)
                close(d->current);
        if (d->top >= 0)
                close(d->top);
        if (d->file >= 0)
                close(d->file);
        d->current = d->top = d->file = -1;
        d->levels.count = 0;
}

/* The folder above is the one that we came from: nobody has moved this one meanwhile. */
static int go_up(struct duty *d)
{
        cleanup_close int above = -1;
        struct stat st;
        const struct level *l;

        if (d->levels.count <= 1) {
                go_to_base(d);
                return 0;
        }
        above = openat(d->current, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (above < 0 || fstat(above, &st) < 0)
                return -errno;
        l = array_at(&d->levels, d->levels.count - 2);
        if (st.st_dev != l->device || st.st_ino != l->inode)
                return -ESTALE;
        close(d->current);
        d->current = steal_fd(&above);
        d->levels.count--;
        return 0;
}

static int leave(struct duty *d, const struct tree_attributes *a, uint32_t *bits)
{
        struct timespec times[2];
        int rc, up;

        if (d->current < 0 || d->file >= 0)
                return -EINVAL;
        set_times(a, times);
        rc = left_out(fchmod(d->current, safe_mode(d, a)), TREE_OWNERS, bits);
        if (futimens(d->current, times) < 0 && rc == 0)
                rc = -errno;
        up = go_up(d);
        return up < 0 ? up : rc;
}

static int make_file(struct duty *d, const char *name, int *fd)
{
        static const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

        if (d->file >= 0)
                return -EINVAL;
        d->strange = true; /* until it is given to its owner */
        d->file = openat(folder_of(d), name, flags, 0600);
        if (d->file < 0)
                return -errno;
        *fd = fcntl(d->file, F_DUPFD_CLOEXEC, 3);
        return *fd < 0 ? -errno : 0;
}

static int close_file(struct duty *d, const struct tree_attributes *a, uint32_t *bits)
{
        cleanup_close int fd = steal_fd(&d->file);
        struct timespec times[2];
        int rc;

        if (fd < 0)
                return -EINVAL;
        set_times(a, times);
        rc = left_out(fchmod(fd, safe_mode(d, a)), TREE_OWNERS, bits);
        if (rc == 0 && futimens(fd, times) < 0)
                rc = -errno;
        return rc;
}

static int own(struct duty *d, const struct tree_attributes *a, uint32_t *bits)
{
        int fd = d->file >= 0 ? d->file : d->current;
        uint32_t refused = 0;
        int rc = fd < 0 ? -EINVAL : left_out(fchown(fd, a->uid, a->gid), TREE_OWNERS, &refused);

        d->strange = refused;
        *bits |= refused;
        return rc;
}

static int add_value(struct duty *d, const char *piece, size_t len)
{
        char *grown;

        if (len > PIECE || d->value_len + len > VALUE_MAX)
                return -E2BIG;
        grown = realloc(d->value, d->value_len + len + 1);
        if (!grown)
                return -ENOMEM;
        d->value = grown;
        memcpy(grown + d->value_len, piece, len);
        d->value_len += len;
        grown[d->value_len] = '\0';
        return 0;
}

static int set_xattr(const struct duty *d, const char *name, uint32_t *bits)
{
        int fd = d->file >= 0 ? d->file : d->current, rc;

        if (fd < 0)
                return -EINVAL;
        rc = fsetxattr(fd, name, d->value ? d->value : "", d->value_len, 0);
        /* One that is too large here, or has no room beside the others, as ext4 says with ENOSPC. */
        if (rc < 0 && (errno == ENOSPC || errno == E2BIG || errno == ERANGE))
                errno = EOPNOTSUPP;
        return left_out(rc, TREE_ATTRIBUTES, bits);
}

/*
 * Owner and time of NAME, which was made just now. Not its mode: to change that would follow a link,
 * which another user may have put there where the folder is his.
 */
static int dress(const struct duty *d, const char *name, const struct tree_attributes *a,
                 uint32_t *bits)
{
        int folder = folder_of(d), rc;
        struct timespec times[2];

        rc = left_out(fchownat(folder, name, a->uid, a->gid, AT_SYMLINK_NOFOLLOW), TREE_OWNERS,
                      bits);
        set_times(a, times);
        if (rc == 0 && utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) < 0)
                rc = -errno;
        return rc;
}

static int make_symlink(const struct duty *d, const char *name, const struct tree_attributes *a,
                        uint32_t *bits)
{
        if (!d->value || strlen(d->value) != d->value_len)
                return -EINVAL;
        if (symlinkat(d->value, folder_of(d), name) < 0)
                return -errno;
        return dress(d, name, a, bits);
}

static int make_node(const struct duty *d, const char *name, const struct tree_attributes *a,
                     uint32_t *bits)
{
        bool device = S_ISCHR(a->mode) || S_ISBLK(a->mode);

        if (!device && !S_ISFIFO(a->mode) && !S_ISSOCK(a->mode))
                return -EINVAL;
        if (device && !d->is_root) {
                *bits |= TREE_DEVICES;
                return 0;
        }
        if (mknodat(folder_of(d), name, a->mode & (S_IFMT | 01777), device ? a->rdev : 0) == 0)
                return dress(d, name, a, bits);
        /* In a container, root may be one that makes no devices. */
        return left_out(-1, TREE_DEVICES, bits);
}

/* The value is the path of a file below the tree's first folder. */
static int make_link(const struct duty *d, const char *name)
{
        cleanup_close int folder = d->top >= 0 ? fcntl(d->top, F_DUPFD_CLOEXEC, 3) : -1;
        char *at = d->value, *slash;

        if (folder < 0 || !at || strlen(at) != d->value_len)
                return -EINVAL;
        for (; (slash = strchr(at, '/')); at = slash + 1) {
                int below;

                *slash = '\0';
                if (!is_name(at))
                        return -EINVAL;
                below = openat(folder, at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below < 0)
                        return -errno;
                close(folder);
                folder = below;
        }
        if (!is_name(at))
                return -EINVAL;
        return linkat(folder, at, folder_of(d), name, 0) < 0 ? -errno : 0;
}

static int finish(const struct duty *d, const char *names)
{
        const char *name = strchr(names, '/');
        cleanup_free char *partial = name ? strndup(names, (size_t)(name - names)) : NULL;
        struct stat st;

        if (!partial || !is_name(partial) || !is_name(++name) || d->current >= 0)
                return -EINVAL;
        if (renameat2(d->base, partial, d->base, name, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && (errno != EEXIST || !d->force))
                return -errno;
        if (fstatat(d->base, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (!d->force || S_ISDIR(st.st_mode)))
                return -EEXIST;
        return renameat(d->base, partial, d->base, name) < 0 ? -errno : 0;
}

/* What an earlier run has left of a file is replaced, if that is wished. */
static void clear(const struct duty *d, const char *name)
{
        if (d->force && d->current < 0)
                unlinkat(d->base, name, 0);
}

static int handle_words(struct duty *d, uint32_t what, const struct words *w, uint32_t *bits,
                        int *fd)
{
        const struct tree_attributes *a = &w->attributes;
        bool named = what == WHAT_ENTER || what == WHAT_FILE || what == WHAT_SYMLINK ||
                     what == WHAT_NODE || what == WHAT_LINK;

        if (named && (!is_name(w->name) || d->file >= 0))
                return -EINVAL;
        if (named && what != WHAT_ENTER)
                clear(d, w->name);
        switch (what) {
        case WHAT_ENTER:
                return enter(d, w->name);
        case WHAT_LEAVE:
                return leave(d, a, bits);
        case WHAT_FILE:
                return make_file(d, w->name, fd);
        case WHAT_OWN:
                return own(d, a, bits);
        case WHAT_CLOSE:
                return close_file(d, a, bits);
        case WHAT_XATTR:
                return set_xattr(d, w->name, bits);
        case WHAT_SYMLINK:
                return make_symlink(d, w->name, a, bits);
        case WHAT_NODE:
                return make_node(d, w->name, a, bits);
        case WHAT_LINK:
                return make_link(d, w->name);
        case WHAT_FINISH:
                return finish(d, w->name);
        case WHAT_ABANDON:
                go_to_base(d);
                return 0;
        default:
                return -EINVAL;
        }
}

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        struct duty *d = ctx;
        struct words w;
        int rc;

        if (in->what == WHAT_VALUE)
                return add_value(d, in->name, in->number);
        memcpy(&w, in->name, sizeof w);
        w.name[sizeof w.name - 1] = '\0';
        rc = handle_words(d, in->what, &w, &out->number, fd);
        free(steal_ptr(&d->value));
        d->value_len = 0;
        return rc;
}

static void begin(void *ctx)
{
        (void)ctx;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        umask(0);
        if (geteuid() == 0) {
                capng_clear(CAPNG_SELECT_CAPS);
                capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE,
                              CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER, CAP_FSETID, CAP_MKNOD,
                              CAP_SETFCAP, -1);
                capng_apply(CAPNG_SELECT_CAPS);
        }
        helper_detach();
}

static const struct helper_role role = {"tree-helper", begin, NULL, handle, NULL};

/* ---- in the worker ---- */

int tree_helper_start(struct tree_helper *t, int dirfd, bool force)
{
        struct duty duty = {.base = dirfd,
                            .force = force,
                            .is_root = geteuid() == 0,
                            .top = -1,
                            .current = -1,
                            .file = -1};

        return helper_start(&t->helper, &role, &duty, &dirfd, 1);
}

void tree_helper_end(struct tree_helper *t)
{
        helper_end(&t->helper);
}

static int call(struct tree_helper *t, enum what what, const char *name,
                const struct tree_attributes *a, int *fd)
{
        struct helper_request in = {.what = what};
        struct words w = {0};
        uint32_t bits = 0;
        int rc;

        if (strlen(name) >= sizeof w.name)
                return -ENAMETOOLONG;
        if (a)
                w.attributes = *a;
        memcpy(w.name, name, strlen(name) + 1);
        memcpy(in.name, &w, sizeof w);
        rc = helper_call(&t->helper, &in, &bits, fd);
        t->left_out |= bits;
        return rc;
}

static int send_value(struct tree_helper *t, const char *value, size_t len)
{
        struct helper_request in = {.what = WHAT_VALUE};
        int rc = 0;

        for (size_t done = 0; done < len && rc == 0; done += in.number) {
                in.number = (uint32_t)min_u64(PIECE, len - done);
                memcpy(in.name, value + done, in.number);
                rc = helper_call(&t->helper, &in, NULL, NULL);
        }
        return rc;
}

int tree_helper_enter(struct tree_helper *t, const char *name)
{
        return call(t, WHAT_ENTER, name, NULL, NULL);
}

int tree_helper_leave(struct tree_helper *t, const struct tree_attributes *a)
{
        return call(t, WHAT_LEAVE, "", a, NULL);
}

int tree_helper_file(struct tree_helper *t, const char *name, int *fd)
{
        return call(t, WHAT_FILE, name, NULL, fd);
}

int tree_helper_close(struct tree_helper *t, const struct tree_attributes *a)
{
        return call(t, WHAT_CLOSE, "", a, NULL);
}

int tree_helper_own(struct tree_helper *t, const struct tree_attributes *a)
{
        return call(t, WHAT_OWN, "", a, NULL);
}

int tree_helper_xattr(struct tree_helper *t, const char *name, const void *value, size_t len)
{
        int rc = send_value(t, value, len);

        return rc < 0 ? rc : call(t, WHAT_XATTR, name, NULL, NULL);
}

int tree_helper_symlink(struct tree_helper *t, const char *name, const char *target,
                        const struct tree_attributes *a)
{
        int rc = send_value(t, target, strlen(target));

        return rc < 0 ? rc : call(t, WHAT_SYMLINK, name, a, NULL);
}

int tree_helper_node(struct tree_helper *t, const char *name, const struct tree_attributes *a)
{
        return call(t, WHAT_NODE, name, a, NULL);
}

int tree_helper_link(struct tree_helper *t, const char *name, const char *path)
{
        int rc = send_value(t, path, strlen(path));

        return rc < 0 ? rc : call(t, WHAT_LINK, name, NULL, NULL);
}

int tree_helper_finish(struct tree_helper *t, const char *partial, const char *name)
{
        char names[2 * NAME_MAX + 2];

        if (strlen(partial) > NAME_MAX || strlen(name) > NAME_MAX)
                return -ENAMETOOLONG;
        snprintf(names, sizeof names, "%s/%s", partial, name);
        return call(t, WHAT_FINISH, names, NULL, NULL);
}

int tree_helper_abandon(struct tree_helper *t)
{
        return call(t, WHAT_ABANDON, "", NULL, NULL);
}
