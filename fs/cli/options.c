/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/cli/numbers.h"
#include "fs/cli/opening.h"
#include "fs/print/report.h"
#include "fs/process/mountinfo.h"
#include "fs/verbs/verbs.h"

enum { KEY_FOREGROUND, KEY_DEBUG, KEY_ALLOW_OTHER };

#define FLAG(word, field)                                                                          \
        {                                                                                          \
                word, offsetof(struct mount_options, field), 1                                     \
        }
#define VALUE(word, field)                                                                         \
        {                                                                                          \
                word, offsetof(struct mount_options, field), 0                                     \
        }

/* FUSE_OPT_KEY, whose -1U clang's -Wconversion does not like as an unsigned long. */
#define KEY(word, key)                                                                             \
        {                                                                                          \
                word, (unsigned long)UINT_MAX, key                                                 \
        }

static const struct fuse_opt words[] = {
    FLAG("-s", single),
    FLAG("direct_io", direct_io),
    FLAG("clone_fd", clone_fd),
    FLAG("nonempty", nonempty),
    VALUE("recover=%s", recover),
    VALUE("index=%s", index),
    VALUE("cache=%s", cache),
    VALUE("threads=%s", threads),
    VALUE("window=%s", window),
    VALUE("sandbox=%s", sandbox),
    VALUE("backing=%s", backing),
    VALUE("uid=%s", uid),
    VALUE("gid=%s", gid),
    VALUE("umask=%s", umask),
    KEY("-f", KEY_FOREGROUND),
    KEY("-d", KEY_DEBUG),
    KEY("debug", KEY_DEBUG),
    KEY("allow_other", KEY_ALLOW_OTHER),

    /* libfuse's and fusermount3's own */
    KEY("noexec", FUSE_OPT_KEY_KEEP),
    KEY("noatime", FUSE_OPT_KEY_KEEP),
    KEY("fsname=", FUSE_OPT_KEY_KEEP),
    KEY("subtype=", FUSE_OPT_KEY_KEEP),

    /* always so, by the unmounter */
    KEY("auto_unmount", FUSE_OPT_KEY_DISCARD),

    /*
     * What mount(8) hands over from its command line and from fstab. The mount is read-only,
     * nosuid and nodev whatever it says.
     */
    KEY("ro", FUSE_OPT_KEY_DISCARD),
    KEY("rw", FUSE_OPT_KEY_DISCARD),
    KEY("suid", FUSE_OPT_KEY_DISCARD),
    KEY("nosuid", FUSE_OPT_KEY_DISCARD),
    KEY("dev", FUSE_OPT_KEY_DISCARD),
    KEY("nodev", FUSE_OPT_KEY_DISCARD),
    KEY("exec", FUSE_OPT_KEY_DISCARD),
    KEY("async", FUSE_OPT_KEY_DISCARD),
    KEY("sync", FUSE_OPT_KEY_DISCARD),
    KEY("dirsync", FUSE_OPT_KEY_DISCARD),
    KEY("atime", FUSE_OPT_KEY_DISCARD),
    KEY("diratime", FUSE_OPT_KEY_DISCARD),
    KEY("nodiratime", FUSE_OPT_KEY_DISCARD),
    KEY("relatime", FUSE_OPT_KEY_DISCARD),
    KEY("norelatime", FUSE_OPT_KEY_DISCARD),
    KEY("strictatime", FUSE_OPT_KEY_DISCARD),
    KEY("nostrictatime", FUSE_OPT_KEY_DISCARD),
    KEY("lazytime", FUSE_OPT_KEY_DISCARD),
    KEY("nolazytime", FUSE_OPT_KEY_DISCARD),
    KEY("iversion", FUSE_OPT_KEY_DISCARD),
    KEY("noiversion", FUSE_OPT_KEY_DISCARD),
    KEY("mand", FUSE_OPT_KEY_DISCARD),
    KEY("nomand", FUSE_OPT_KEY_DISCARD),
    KEY("silent", FUSE_OPT_KEY_DISCARD),
    KEY("loud", FUSE_OPT_KEY_DISCARD),
    KEY("auto", FUSE_OPT_KEY_DISCARD),
    KEY("noauto", FUSE_OPT_KEY_DISCARD),
    KEY("user", FUSE_OPT_KEY_DISCARD),
    KEY("users", FUSE_OPT_KEY_DISCARD),
    KEY("nouser", FUSE_OPT_KEY_DISCARD),
    KEY("owner", FUSE_OPT_KEY_DISCARD),
    KEY("group", FUSE_OPT_KEY_DISCARD),
    KEY("nofail", FUSE_OPT_KEY_DISCARD),
    KEY("_netdev", FUSE_OPT_KEY_DISCARD),
    KEY("defaults", FUSE_OPT_KEY_DISCARD),
    KEY("default_permissions", FUSE_OPT_KEY_DISCARD),
    FUSE_OPT_END,
};

static int take_path(struct mount_options *o, const char *path)
{
        char **at = !o->archive ? &o->archive : !o->mountpoint ? &o->mountpoint : NULL;

        if (!at) {
                report("'%s' is one word too many; see vmafs --help", path);
                return -1;
        }
        *at = strdup(path);
        return *at ? 0 : -1;
}

/* fuse_opt's callback: -1 error, 0 drop the word, 1 keep it for libfuse. */
static int take_word(void *data, const char *arg, int key, struct fuse_args *out)
{
        struct mount_options *o = data;

        (void)out;
        switch (key) {
        case FUSE_OPT_KEY_NONOPT:
                return take_path(o, arg);
        case KEY_FOREGROUND:
                o->foreground = 1;
                return 0;
        case KEY_DEBUG:
                o->debug = o->foreground = 1;
                return 0;
        case KEY_ALLOW_OTHER:
                o->allow_other = 1;
                return 1;
        default:
                /* fstab's words for others: x-systemd.automount, X-mount.mkdir, comment=… */
                if (strncasecmp(arg, "x-", 2) == 0 || strncmp(arg, "comment=", 8) == 0)
                        return 0;
                report("the option '%s' is unknown; see vmafs --help", arg);
                return -1;
        }
}

/* FSNAME as mount(8) shows it: the archive's path, its commas kept from ending the option. */
static int add_fsname(struct fuse_args *args, const char *archive)
{
        cleanup_free char *absolute = realpath(archive, NULL);
        cleanup_free char *word = NULL;
        char *words_escaped = NULL;
        int rc;

        if (asprintf(&word, "fsname=%s", absolute ? absolute : archive) < 0) {
                word = NULL;
                return -1;
        }
        rc = fuse_opt_add_opt_escaped(&words_escaped, word);
        if (rc == 0)
                rc = fuse_opt_insert_arg(args, 1, words_escaped);
        if (rc == 0)
                rc = fuse_opt_insert_arg(args, 1, "-o");
        free(words_escaped);
        return rc;
}

/* What libfuse gets besides: the last word wins, and these are ours. */
static int add_own_words(struct mount_options *o, struct fuse_args *args)
{
        if (add_fsname(args, o->archive) < 0 || fuse_opt_add_arg(args, "-osubtype=vmafs") < 0 ||
            fuse_opt_add_arg(args, "-odefault_permissions,ro,nosuid,nodev") < 0)
                return STATUS_FAILED;
        if (o->debug && fuse_opt_add_arg(args, "-odebug") < 0)
                return STATUS_FAILED;
        return STATUS_OK;
}

static int parse_index(struct mount_options *o)
{
        struct index_options *opening = &o->opening;

        if (o->recover && strcmp(o->recover, "eio") != 0 && strcmp(o->recover, "zero") != 0)
                return usage_error("-o recover is eio or zero");
        if (opening_set(OPENING_CACHE, "-o ", o->cache, opening) != STATUS_OK ||
            opening_set(OPENING_WINDOW, "-o ", o->window, opening) != STATUS_OK ||
            opening_set(OPENING_THREADS, "-o ", o->threads, opening) != STATUS_OK ||
            opening_set(OPENING_BACKING, "-o ", o->backing, opening) != STATUS_OK)
                return STATUS_USAGE;
        opening->recover_zero = o->recover && strcmp(o->recover, "zero") == 0;
        opening->sidecar = INDEX_SIDECAR_USE;
        opening->sidecar_path = o->index;
        if (o->index && strcmp(o->index, "none") == 0)
                opening->sidecar = INDEX_SIDECAR_NONE;
        return STATUS_OK;
}

static int parse_owner(struct mount_options *o)
{
        /* The largest id means "none" to the kernel. */
        if (!parse_number(o->uid, 10, UINT_MAX - 1, &o->owner.uid))
                return usage_error("-o uid is the number of a user");
        if (!parse_number(o->gid, 10, UINT_MAX - 1, &o->owner.gid))
                return usage_error("-o gid is the number of a group");
        if (!parse_number(o->umask, 8, 0777, &o->owner.umask))
                return usage_error("-o umask is up to three octal digits");
        return STATUS_OK;
}

int options_parse(int argc, char **argv, struct mount_options *o, struct fuse_args *args)
{
        *args = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
        *o = (struct mount_options){.owner = {getuid(), getgid(), 0277}};
        if (fuse_opt_parse(args, o, words, take_word) < 0)
                return STATUS_USAGE;
        if (!o->archive || !o->mountpoint)
                return usage_error("an archive and a mount point are needed");
        if (o->sandbox && strcmp(o->sandbox, "on") != 0 && strcmp(o->sandbox, "off") != 0)
                return usage_error("-o sandbox is on or off");
        o->sandboxed = !o->sandbox || strcmp(o->sandbox, "on") == 0;
        if (parse_index(o) != STATUS_OK || parse_owner(o) != STATUS_OK)
                return STATUS_USAGE;
        return add_own_words(o, args);
}

void options_fini(struct mount_options *o, struct fuse_args *args)
{
        fuse_opt_free_args(args);
        free(o->archive);
        free(o->mountpoint);
        free(o->recover);
        free(o->index);
        free(o->cache);
        free(o->threads);
        free(o->window);
        free(o->sandbox);
        free(o->backing);
        free(o->uid);
        free(o->gid);
        free(o->umask);
}

/* ---- the mount point ---- */

static bool is_empty(const char *path)
{
        DIR *dir = opendir(path);
        bool empty = true;
        struct dirent *d;

        while (dir && empty && (d = readdir(dir)))
                empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        if (dir)
                closedir(dir);
        return empty;
}

/*
 * Of a stale mount the kernel may still know the attributes, so that stat is fine: opening it is
 * not.
 */
static bool is_stale(const char *path)
{
        cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 && errno == ENOTCONN;
}

static int refuse(const char *path, int error)
{
        switch (error) {
        case ENOENT:
                report("%s: the mount point does not exist; make it with mkdir", path);
                break;
        case ENOTCONN:
                report("%s: is a stale mount; end it with fusermount3 -u, then try again", path);
                break;
        default:
                report("%s: cannot be mounted on: %s", path, strerror(error));
        }
        return STATUS_USAGE;
}

int options_check_mountpoint(struct mount_options *o)
{
        struct mountinfo info;
        struct stat st;
        char *path;

        if (stat(o->mountpoint, &st) < 0)
                return refuse(o->mountpoint, errno);
        if (!S_ISDIR(st.st_mode))
                return refuse(o->mountpoint, ENOTDIR);
        if (is_stale(o->mountpoint))
                return refuse(o->mountpoint, ENOTCONN);
        path = realpath(o->mountpoint, NULL);
        if (!path)
                return refuse(o->mountpoint, errno);
        free(o->mountpoint);
        o->mountpoint = path;
        if (o->nonempty)
                return STATUS_OK;
        if (mountinfo_find(path, &info) == 0) {
                report("%s: something is mounted there already; unmount it or take another "
                       "directory",
                       path);
                return STATUS_USAGE;
        }
        if (!is_empty(path)) {
                report("%s: is not empty; take an empty directory, or -o nonempty", path);
                return STATUS_USAGE;
        }
        return STATUS_OK;
}
