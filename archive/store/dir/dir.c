/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/dir/dir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/stream/stream.h"

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

/* ---- names ---- */

/* Do the LEN bytes at NAME end in ENDING, and are more than that? */
static bool ends_in(const char *name, size_t len, const char *ending)
{
        size_t n = strlen(ending);

        return len > n && strncasecmp(name + len - n, ending, n) == 0;
}

/* The length of NAME without the ending of a compression. */
static size_t uncompressed_len(const char *name)
{
        size_t len = strlen(name);

        for (const char *const *s = stream_suffixes; *s; s++)
                if (ends_in(name, len, *s))
                        return len - strlen(*s);
        return len;
}

/* Does NAME, without its LEN bytes' ".vmdk", end in "-s001" or "-f001"? */
static bool is_numbered_part(const char *name, size_t len)
{
        const char *end = name + len;

        return len > 5 && end[-5] == '-' && strchr("sSfF", end[-4]) &&
               isdigit((unsigned char)end[-3]) && isdigit((unsigned char)end[-2]) &&
               isdigit((unsigned char)end[-1]);
}

static bool is_part_of_vmdk(const char *name, size_t len)
{
        static const char *const endings[] = {"-flat.vmdk", "-delta.vmdk", "-sesparse.vmdk",
                                              "-rdm.vmdk", "-rdmp.vmdk"};

        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
                if (ends_in(name, len, endings[i]))
                        return true;
        return ends_in(name, len, ".vmdk") && is_numbered_part(name, len - strlen(".vmdk"));
}

bool dir_is_archive(const char *name)
{
        static const char *const formats[] = {".vma",  ".vmdk", ".qcow2", ".qcow", ".qed", ".vdi",
                                              ".vhdx", ".vhd",  ".hds",   ".hdd",  ".fvd", ".ova",
                                              ".xva",  ".tar",  ".img",   ".raw",  ".dd"};
        size_t len = uncompressed_len(name);

        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
                if (ends_in(name, len, formats[i]))
                        return !is_part_of_vmdk(name, len);
        return false;
}

bool dir_is_compressed_tar(const char *name)
{
        size_t len = uncompressed_len(name);

        return name[len] != '\0' && (ends_in(name, len, ".tar") || ends_in(name, len, ".ova"));
}

bool dir_link_stays(const char *target, unsigned depth)
{
        bool down = false;

        if (*target == '/' || *target == '\0')
                return false;
        while (*target) {
                size_t len = strcspn(target, "/");

                if (len == 2 && memcmp(target, "..", 2) == 0) {
                        if (down || depth-- == 0)
                                return false;
                } else if (len > 0 && !(len == 1 && *target == '.')) {
                        down = true;
                }
                target += len + (target[len] == '/');
        }
        return true;
}

/* ---- opening ---- */

int dir_open_below(int root, const char *path)
{
        cleanup_close int dir = openat(root, ".", FOLDER);

        while (dir >= 0 && *path) {
                size_t len = strcspn(path, "/");
                cleanup_free char *name = strndup(path, len);
                int below;

                if (!name)
                        return -ENOMEM;
                if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0 || !*name)
                        return -EINVAL;
                below = openat(dir, name, FOLDER);
                if (below < 0)
                        return -errno;
                close(dir);
                dir = below;
                path += len + (path[len] == '/');
        }
        return dir < 0 ? -errno : steal_fd(&dir);
}

int dir_open_file(int dir, const char *name)
{
        cleanup_close int fd = -1;
        struct stat st;

        if (strchr(name, '/'))
                return -EINVAL;
        /* O_NONBLOCK: opening a FIFO or a tape must not hang before it can be refused. */
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? steal_fd(&fd) : -EINVAL;
}

/* ---- listing ---- */

static void cleanup_dir_fn(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

/* As d_type, also on a file system that does not say it in its folders. */
static unsigned char type_of(int dir, const struct dirent *d)
{
        struct stat st;

        if (d->d_type != DT_UNKNOWN)
                return d->d_type;
        if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return DT_UNKNOWN;
        return (unsigned char)IFTODT(st.st_mode);
}

/* False: D is not shown. */
static bool describe(int dir, const struct dirent *d, struct dir_name *out)
{
        *out = (struct dir_name){.name = d->d_name, .inode = d->d_ino};
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                return false;
        switch (type_of(dir, d)) {
        case DT_DIR:
                out->kind = DIR_FOLDER;
                return true;
        case DT_REG:
                out->kind = dir_is_archive(d->d_name) ? DIR_ARCHIVE : DIR_FILE;
                return true;
        case DT_LNK:
                out->kind = DIR_LINK;
                return true;
        default:
                return false;
        }
}

int dir_list(int dir, int (*each)(void *ctx, const struct dir_name *n), void *ctx)
{
        __attribute__((cleanup(cleanup_dir_fn))) DIR *d = NULL;
        /* Opened again, since the position in it belongs to the open folder. */
        cleanup_close int fd = openat(dir, ".", FOLDER);
        int rc = 0;

        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d)
                return -errno;
        steal_fd(&fd);
        while (rc == 0) {
                const struct dirent *e;
                struct dir_name name;

                errno = 0;
                e = readdir(d);
                if (!e)
                        return -errno;
                if (describe(dir, e, &name))
                        rc = each(ctx, &name);
        }
        return rc;
}
