/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "archive/error.h"
#include "fs/process/landlock.h"
#include "fs/process/seccomp.h"
#include "index/index.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

bool sandbox_is_built(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
        return false;
#else
        return true;
#endif
}

/* ---- before ---- */

static void *end_thread(void *arg)
{
        pthread_exit(arg);
}

/*
 * What libraries read or load when they first need it. pthread_exit and pthread_cancel load the
 * unwinder; a first digest reads OpenSSL's configuration, which may name modules; and syslog(3)
 * puts the local time into each line.
 */
static void load_what_is_late(void)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, end_thread, NULL) == 0)
                pthread_join(thread, NULL);
        OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
        tzset();
}

/* ---- capabilities ---- */

/* Can root, without any capability, make files in the folder? Not in one that is another user's. */
static bool is_roots(int folder)
{
        struct stat st;

        return fstat(folder, &st) == 0 && st.st_uid == 0 && (st.st_mode & 0300) == 0300;
}

/*
 * All of them, but the right to write into a folder that belongs to somebody else, where one was
 * asked for. It adds little: root owns most of the files that are worth an attack.
 */
static int drop_capabilities(const int folders[2], bool bounding)
{
        bool keep = false;

        for (int i = 0; i < 2; i++)
                if (folders[i] >= 0 && !is_roots(folders[i]))
                        keep = true;
        keep = keep && capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
        capng_clear(CAPNG_SELECT_BOTH);
        if (keep)
                capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
        /* The bounding set is root's to change, and matters little to who cannot run programs. */
        if (bounding && capng_apply(CAPNG_SELECT_BOTH) == 0)
                return 0;
        return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

/* ---- paths ---- */

static int confine(const int folders[2], bool serves, bool clone_fd)
{
        struct landlock_rule rules[8];
        size_t n = 0;
        int rc;

        for (int i = 0; i < 2; i++)
                if (folders[i] >= 0)
                        rules[n++] = (struct landlock_rule){NULL, folders[i], LANDLOCK_MAKE};
        /* The number of processors, as libc and its malloc see it. */
        rules[n++] = (struct landlock_rule){"/sys/devices/system/cpu", -1, LANDLOCK_LOOK};
        if (serves) {
                /* fs/process/loopdev.c; the first is full of links to the second */
                rules[n++] = (struct landlock_rule){"/sys/block", -1, LANDLOCK_LOOK};
                rules[n++] =
                    (struct landlock_rule){"/sys/devices/virtual/block", -1, LANDLOCK_LOOK};
        }
        if (clone_fd)
                rules[n++] = (struct landlock_rule){"/dev/fuse", -1, LANDLOCK_DRIVE};
        rc = landlock_confine(rules, n);
        return rc == -ENOSYS || rc == -EOPNOTSUPP ? 0 : rc;
}

/* ---- all of it ---- */

static int give_up_access(const int folders[2], bool serves, bool clone_fd, struct error *err)
{
        /* A verb's calls are filtered by now, the one for the bounding set too. */
        int rc = drop_capabilities(folders, serves);
        int confined = confine(folders, serves, clone_fd);

        if (rc < 0)
                return error_set(err, -rc, "capabilities cannot be dropped");
        if (confined < 0)
                return error_set(err, -confined, "paths cannot be restricted: %s",
                                 strerror(-confined));
        return 0;
}

int sandbox_mount(const struct index *index, bool clone_fd, struct error *err)
{
        const int folders[2] = {index_sidecar_folder(index), -1};
        struct error filter = {0};
        int rc, filtered;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!sandbox_is_built())
                return 0;
        load_what_is_late();
        rc = give_up_access(folders, true, clone_fd, err);
        filtered = callfilter_apply(false, &filter);
        if (filtered < 0 && err)
                *err = filter;
        return filtered < 0 ? filtered : rc;
}

void sandbox_verb(void)
{
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!sandbox_is_built())
                return;
        load_what_is_late();
        callfilter_apply(true, NULL);
}

void sandbox_verb_opened(const struct index *index, int folder)
{
        const int folders[2] = {index_sidecar_folder(index), folder};

        if (sandbox_is_built())
                give_up_access(folders, false, false, NULL);
}
