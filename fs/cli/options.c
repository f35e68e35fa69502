/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/cli/numbers.h"
#include "fs/cli/opening.h"
#include "fs/cli/usage.h"
#include "fs/fetch/url.h"
#include "fs/print/report.h"

enum { KEY_FOREGROUND, KEY_DEBUG, KEY_ALLOW_OTHER, KEY_RW, KEY_SUID, KEY_DEV, KEY_SPOOL };

#define FLAG(word, field)                                                                          \
        {                                                                                          \
                word, offsetof(struct mount_options, field), 1                                     \
        }
#define VALUE(word, field)                                                                         \
        {                                                                                          \
                word, offsetof(struct mount_options, field), 0                                     \
        }

/* Like FUSE_OPT_KEY, whose -1U as an unsigned long makes clang's -Wconversion warn. */
#define KEY(word, key)                                                                             \
        {                                                                                          \
                word, (unsigned long)UINT_MAX, key                                                 \
        }

static const struct fuse_opt words[] = {
    FLAG("-s", single),
    FLAG("direct_io", direct_io),
    FLAG("clone_fd", clone_fd),
    FLAG("nonempty", nonempty),
    FLAG("wait", wait),
    FLAG("partitions", partitions),
    VALUE("recover=%s", recover),
    VALUE("index=%s", index),
    VALUE("cache=%s", cache),
    VALUE("threads=%s", threads),
    VALUE("window=%s", window),
    VALUE("sandbox=%s", sandbox),
    VALUE("backing=%s", backing),
    VALUE("endpoint=%s", endpoint),
    VALUE("cafile=%s", cafile),
    VALUE("timeout=%s", timeout),
    KEY("spool=", KEY_SPOOL),
    VALUE("view=%s", view),
    VALUE("keyfile=%s", keyfile),
    VALUE("passfile=%s", passfile),
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

    /* the mounter always does this */
    KEY("auto_unmount", FUSE_OPT_KEY_DISCARD),

    /*
     * Options that mount(8) passes on from its command line and fstab. The mount is read-only,
     * nosuid and nodev whatever they say.
     */
    KEY("ro", FUSE_OPT_KEY_DISCARD),
    KEY("rw", KEY_RW),
    KEY("suid", KEY_SUID),
    KEY("nosuid", KEY_SUID),
    KEY("dev", KEY_DEV),
    KEY("nodev", KEY_DEV),
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
                report("'%s' is one argument too many; see vmafs --help", path);
                return -1;
        }
        *at = strdup(path);
        return *at ? 0 : -1;
}

/*
 * ARG is not an option. Is it an option without its value, or with a value that it does not take?
 */
static void report_word(const char *arg)
{
        size_t len = strlen(arg), name = strcspn(arg, "=");
        const char *dashes = arg[0] == '-' ? "" : "-o ";

        for (const struct fuse_opt *w = words; w->templ; w++) {
                if (strncmp(w->templ, arg, len) == 0 && w->templ[len] == '=') {
                        report("the option '%s%s' needs a value; see vmafs --help", dashes, arg);
                        return;
                }
                if (arg[name] && strncmp(w->templ, arg, name) == 0 && w->templ[name] == '\0') {
                        report("the option '%s%s' takes no value; see vmafs --help", dashes,
                               w->templ);
                        return;
                }
        }
        report("the option '%s%s' is unknown; see vmafs --help", dashes, arg);
}

static int take_spool(struct mount_options *o, const char *value)
{
        free(o->spool);
        o->spool = strdup(value);
        return o->spool ? 0 : -1;
}

/*
 * The size of spool=DIR,SIZE comes as an option of its own, since a comma ends the one before it.
 * False: ARG is no size, or none is missing.
 */
static bool take_spool_size(struct mount_options *o, const char *arg)
{
        char *joined;

        if (!o->spool || strchr(o->spool, ',') || arg[0] < '0' || arg[0] > '9' ||
            asprintf(&joined, "%s,%s", o->spool, arg) < 0)
                return false;
        free(o->spool);
        o->spool = joined;
        return true;
}

/* fuse_opt's callback. Returns -1 for an error, 0 to drop the option, 1 to keep it for libfuse. */
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
        case KEY_RW:
                o->rw = true;
                return 0;
        case KEY_SUID:
                o->suid = true;
                return 0;
        case KEY_DEV:
                o->dev = true;
                return 0;
        case KEY_ALLOW_OTHER:
                o->allow_other = 1;
                return 1;
        case KEY_SPOOL:
                return take_spool(o, arg + strlen("spool="));
        default:
                /*
                 * options in fstab for other programs: x-systemd.automount, X-mount.mkdir,
                 * comment=…
                 */
                if (strncasecmp(arg, "x-", 2) == 0 || strncmp(arg, "comment=", 8) == 0 ||
                    take_spool_size(o, arg))
                        return 0;
                report_word(arg);
                return -1;
        }
}

/*
 * The name that mount(8) shows: the archive's path, with its commas escaped, since they would end
 * the option.
 */
static int add_fsname(struct fuse_args *args, const char *archive)
{
        cleanup_free char *absolute =
            url_is(archive) ? url_shown(archive) : realpath(archive, NULL);
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

/* Add our own options for libfuse at the end, where they win. */
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
            opening_set(OPENING_BACKING, "-o ", o->backing, opening) != STATUS_OK ||
            opening_set(OPENING_ENDPOINT, "-o ", o->endpoint, opening) != STATUS_OK ||
            opening_set(OPENING_CAFILE, "-o ", o->cafile, opening) != STATUS_OK ||
            opening_set(OPENING_TIMEOUT, "-o ", o->timeout, opening) != STATUS_OK ||
            opening_set(OPENING_SPOOL, "-o ", o->spool, opening) != STATUS_OK ||
            opening_set(OPENING_VIEW, "-o ", o->view, opening) != STATUS_OK)
                return STATUS_USAGE;
        opening->recover_zero = o->recover && strcmp(o->recover, "zero") == 0;
        opening->partitions = o->partitions != 0;
        opening->piecemeal = true;
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

/*
 * mount(8) adds "rw" unless fstab says "ro", and then always adds dev or nodev and suid or nosuid.
 * Somebody who gives "rw" alone means it.
 */
static bool wants_to_write(const struct mount_options *o)
{
        return o->rw && !(o->suid && o->dev);
}

int options_parse(int argc, char **argv, struct mount_options *o, struct fuse_args *args)
{
        *args = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
        *o = (struct mount_options){.owner = {getuid(), getgid(), 0077}};
        /* Report it ourselves: libfuse's message would look different. */
        if (argc > 1 && strcmp(argv[argc - 1], "-o") == 0)
                return usage_error("the option '-o' needs a value");
        if (fuse_opt_parse(args, o, words, take_word) < 0)
                return STATUS_USAGE;
        if (wants_to_write(o))
                return usage_error(
                    "-o rw: a mount is read-only; a qcow2 overlay on its disk can be "
                    "written to");
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
        free(o->endpoint);
        free(o->cafile);
        free(o->timeout);
        free(o->spool);
        free(o->view);
        free(o->keyfile);
        free(o->passfile);
        free(o->uid);
        free(o->gid);
        free(o->umask);
}
