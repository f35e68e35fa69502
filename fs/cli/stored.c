/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/password.h"
#include "fs/print/report.h"
#include "index/collection/datastore.h"

enum {
        KEY_MAX = 65536, /* bytes of a key file */
        PASSWORD_MAX = 4096,
};

bool stored_is_folder(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool stored_is_other_folder(const char *path)
{
        cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 && !pbs_store_probe(fd);
}

/* ---- where ---- */

static bool has_chunks(const char *folder)
{
        char path[PATH_MAX + 16];
        struct stat st;

        snprintf(path, sizeof path, "%s/.chunks", folder);
        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* How many bytes of PATH lead to a folder: the most that do; 0: to the current one. */
static size_t existing_folder(const char *path)
{
        cleanup_free char *copy = strdup(path);
        size_t len = copy ? strlen(copy) : 0;

        while (len > 0 && !stored_is_folder(copy)) {
                while (len > 0 && copy[len - 1] == '/')
                        len--;
                while (len > 0 && copy[len - 1] != '/')
                        len--;
                copy[len] = '\0';
        }
        return len;
}

bool stored_place_below(const char *below, char **out)
{
        static const char bucket[] = PBS_BUCKET_FOLDER;
        size_t in_bucket = sizeof bucket - 1;
        enum pbs_level level;

        if (strncmp(below, bucket, in_bucket) == 0 && strchr("/", below[in_bucket]))
                below += in_bucket + (below[in_bucket] == '/');
        *out = strdup(below);
        if (*out)
                for (size_t n = strlen(*out); n > 0 && (*out)[n - 1] == '/'; n--)
                        (*out)[n - 1] = '\0';
        /* Other files may lie beside a datastore's own. */
        if (*out && (!**out || pbs_store_split(*out, &level)))
                return true;
        free(*out);
        *out = NULL;
        return false;
}

/* REAL, a path without links, is in the datastore that its first ROOT bytes name. */
static bool take_place(const char *real, size_t root, const char *rest, struct stored_place *out)
{
        const char *below = real + root + (real[root] == '/');
        cleanup_free char *whole = NULL;

        rest += strspn(rest, "/");
        if (asprintf(&whole, "%s%s%s", below, *below && *rest ? "/" : "", rest) < 0)
                whole = NULL;
        out->root = root ? strndup(real, root) : strdup("/");
        if (out->root && whole && stored_place_below(whole, &out->below))
                return true;
        stored_place_fini(out);
        return false;
}

bool stored_locate(const char *path, struct stored_place *out)
{
        size_t len = existing_folder(path);
        cleanup_free char *base = len ? strndup(path, len) : strdup(".");
        cleanup_free char *real = base ? realpath(base, NULL) : NULL;
        cleanup_free char *folder = real ? strdup(real) : NULL;

        *out = (struct stored_place){0};
        if (!folder)
                return false;
        for (size_t n = strlen(folder);; n--) {
                if (has_chunks(n ? folder : "/"))
                        return take_place(real, n, path + len, out);
                while (n > 0 && folder[n - 1] != '/')
                        n--;
                if (n == 0)
                        return false;
                folder[n - 1] = '\0';
        }
}

bool stored_has(const char *path)
{
        struct stored_place place;
        bool found = stored_locate(path, &place);

        stored_place_fini(&place);
        return found;
}

void stored_place_fini(struct stored_place *place)
{
        free(steal_ptr(&place->root));
        free(steal_ptr(&place->below));
}

/* ---- opening ---- */

int stored_refuse_key(const char *path, const char *dashes, const char *keyfile,
                      const char *passfile)
{
        if (!keyfile && !passfile)
                return STATUS_OK;
        report("%s: is no datastore, and %s%s is of no use for anything else", path, dashes,
               keyfile ? "keyfile" : "passfile");
        return STATUS_USAGE;
}

/* Memory that is in no swap space, if that is allowed. */
static char *new_secret(size_t size)
{
        char *p = calloc(1, size);

        if (p)
                mlock(p, size);
        return p;
}

/* At most MAX bytes of the file PATH, WHAT to people, with a NUL after them. */
static int read_secret(const char *path, const char *what, size_t max, char **out, size_t *len,
                       struct error *err)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        cleanup_free char *text = new_secret(max + 2);
        ssize_t n = 1;

        if (fd < 0)
                return error_set(err, errno, "%s %s: %s", what, path, strerror(errno));
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        for (*len = 0; n > 0 && *len <= max; *len += (size_t)n) {
                n = read(fd, text + *len, max + 1 - *len);
                if (n < 0)
                        return error_set(err, errno, "%s %s: %s", what, path, strerror(errno));
        }
        if (*len > max)
                return error_set(err, EINVAL, "%s %s: has more than %zu bytes", what, path, max);
        text[*len] = '\0';
        *out = steal_ptr(&text);
        return 0;
}

/* One line: what an editor or echo has put at its end does not belong to it. */
static int read_password(const char *path, struct stored *s, struct error *err)
{
        int rc = read_secret(path, "passfile", PASSWORD_MAX, &s->password, &s->password_len, err);

        if (rc < 0)
                return rc;
        s->password[strcspn(s->password, "\r\n")] = '\0';
        return 0;
}

/* A key file names how its password becomes a key. Nothing depends on this but being asked. */
static bool has_password(const struct stored *s)
{
        static const char *const words[] = {"\"Scrypt\"", "\"PBKDF2\""};

        for (size_t i = 0; s->key && i < sizeof words / sizeof words[0]; i++)
                if (memmem(s->key, s->key_len, words[i], strlen(words[i])))
                        return true;
        return false;
}

static int ask_password(const char *keyfile, struct stored *s, struct error *err)
{
        int rc;

        s->password = new_secret(PASSWORD_MAX + 2);
        s->password_len = PASSWORD_MAX + 1;
        if (!s->password)
                return error_set(err, ENOMEM, "out of memory");
        rc = password_ask(keyfile, s->password, PASSWORD_MAX);
        if (rc == -EINTR)
                return error_set(err, EINTR, "no password was given");
        return rc < 0 ? error_set(err, -rc, "the password cannot be read: %s", strerror(-rc)) : 0;
}

int stored_find_key(const char *keyfile, const char *passfile, struct stored *s, struct error *err)
{
        int rc = 0;

        if (keyfile)
                rc = read_secret(keyfile, "keyfile", KEY_MAX, &s->key, &s->key_len, err);
        if (rc == 0 && passfile)
                rc = read_password(passfile, s, err);
        else if (rc == 0 && has_password(s) && password_can_ask())
                rc = ask_password(keyfile, s, err);
        return rc;
}

int stored_find(const char *path, const char *keyfile, const char *passfile, struct stored *s,
                struct error *err)
{
        *s = STORED_NONE;
        s->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->folder < 0)
                return error_set(err, errno, "cannot be opened: %s", strerror(errno));
        if (!pbs_store_probe(s->folder))
                return error_set(err, EMEDIUMTYPE,
                                 "is a directory, not an archive, and no datastore of Proxmox "
                                 "Backup Server either: it has no folder .chunks");
        return stored_find_key(keyfile, passfile, s, err);
}

static void wipe(char **secret, size_t len)
{
        if (*secret)
                explicit_bzero(*secret, len);
        free(*secret);
        *secret = NULL;
}

static void wipe_all(struct stored *s)
{
        wipe(&s->key, s->key_len);
        wipe(&s->password, s->password_len);
}

int stored_open(struct stored *s, struct shared *shared, struct datastore **out, struct error *err)
{
        const struct datastore_key key = {s->key, s->key_len, s->password};
        int rc = datastore_open(steal_fd(&s->folder), &key, shared, out, err);

        wipe_all(s);
        return rc;
}

int stored_open_far(struct stored *s, struct store *take_store, struct shared *shared,
                    struct datastore **out, struct error *err)
{
        const struct datastore_key key = {s->key, s->key_len, s->password};
        int rc = datastore_open_far(take_store, &key, shared, out, err);

        wipe_all(s);
        return rc;
}

void stored_close(struct stored *s)
{
        if (s->folder >= 0)
                close(s->folder);
        s->folder = -1;
        wipe_all(s);
}
