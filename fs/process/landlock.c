/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive/cleanup.h"

/* glibc has no wrappers for these calls, and older headers lack some of the rights. */
enum {
        LOOK = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        FIRST_RIGHTS = (1 << 13) - 1,     /* version 1: all up to making symbolic links */
        RIGHT_REFER = 1 << 13,            /* version 2: move to another directory */
        RIGHT_TRUNCATE = 1 << 14,         /* version 3 */
        RIGHT_IOCTL_DEV = 1 << 15,        /* version 5 */
        NETWORK_RIGHTS = 1 << 0 | 1 << 1, /* version 4: bind and connect by TCP */
        SCOPES = 1 << 0 | 1 << 1,         /* version 6: abstract sockets, signals */
        DRIVE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_IOCTL_DEV,
};

/* The kernel reads as much of it as its version knows. */
struct ruleset {
        uint64_t files;
        uint64_t network;
        uint64_t scopes;
};

static const uint64_t uses[] = {
    [LANDLOCK_LOOK] = LOOK,
    [LANDLOCK_DRIVE] = DRIVE,
};

/*
 * Everything that VERSION of the interface can restrict. Returns the size of the structure it
 * knows.
 */
static size_t fill_ruleset(struct ruleset *set, long version)
{
        *set = (struct ruleset){.files = FIRST_RIGHTS};
        if (version >= 2)
                set->files |= RIGHT_REFER;
        if (version >= 3)
                set->files |= RIGHT_TRUNCATE;
        if (version >= 4)
                set->network = NETWORK_RIGHTS;
        if (version >= 5)
                set->files |= RIGHT_IOCTL_DEV;
        if (version >= 6)
                set->scopes = SCOPES;
        if (version >= 6)
                return sizeof *set;
        return version >= 4 ? offsetof(struct ruleset, scopes) : offsetof(struct ruleset, network);
}

static int add_rule(int ruleset, const struct ruleset *set, const struct landlock_rule *rule)
{
        cleanup_close int opened = open(rule->path, O_PATH | O_CLOEXEC);
        struct landlock_path_beneath_attr beneath = {
            .allowed_access = uses[rule->use] & set->files,
            .parent_fd = opened,
        };

        if (opened < 0)
                return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
                return -errno;
        return 0;
}

int landlock_confine(const struct landlock_rule *rules, size_t n)
{
        long version =
            syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
        cleanup_close int ruleset = -1;
        struct ruleset set;
        size_t size;

        if (version < 0)
                return -errno;
        size = fill_ruleset(&set, version);
        ruleset = (int)syscall(SYS_landlock_create_ruleset, &set, size, 0);
        if (ruleset < 0)
                return -errno;
        for (size_t i = 0; i < n; i++) {
                int rc = add_rule(ruleset, &set, &rules[i]);

                if (rc < 0)
                        return rc;
        }
        return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
