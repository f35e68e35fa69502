/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "archive/error.h"
#include "fs/process/landlock.h"

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
 * Make the libraries read and load now what they otherwise would when they first need it.
 * pthread_exit and pthread_cancel load the unwinder; a first digest reads OpenSSL's configuration,
 * which may name modules; and syslog(3) puts the local time into each line.
 */
static void load_what_is_late(void)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, end_thread, NULL) == 0)
                pthread_join(thread, NULL);
        OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
        tzset();
}

/* ---- entering ---- */

static int drop_capabilities(const struct sandbox *s)
{
        capng_clear(CAPNG_SELECT_BOTH);
        /* Files of a datastore are the server's; which of them are read is Landlock's to say. */
        if (s->has_folder)
                capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
        /*
         * Only root can change the bounding set, and it matters little to a process that cannot run
         * programs.
         */
        if (capng_apply(CAPNG_SELECT_BOTH) == 0)
                return 0;
        return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

static int confine_paths(const struct sandbox *s)
{
        struct landlock_rule rules[7];
        char folder[64], chunks[80];
        size_t n = 0;
        int rc;

        /* The number of processors, as libc and its malloc see it. */
        rules[n++] = (struct landlock_rule){"/sys/devices/system/cpu", LANDLOCK_LOOK};
        if (s->serves) {
                /* fs/process/loopdev.c; the first is full of links to the second */
                rules[n++] = (struct landlock_rule){"/sys/block", LANDLOCK_LOOK};
                rules[n++] = (struct landlock_rule){"/sys/devices/virtual/block", LANDLOCK_LOOK};
        }
        if (s->has_folder) {
                snprintf(folder, sizeof folder, "/proc/self/fd/%d", s->folder);
                rules[n++] = (struct landlock_rule){folder, LANDLOCK_LOOK};
        }
        if (s->has_folder && !s->archives) {
                /* which may be a link to another disk */
                snprintf(chunks, sizeof chunks, "%s/.chunks", folder);
                rules[n++] = (struct landlock_rule){chunks, LANDLOCK_LOOK};
        }
        if (s->indexes)
                rules[n++] = (struct landlock_rule){s->indexes, LANDLOCK_LOOK};
        if (s->clone_fd)
                rules[n++] = (struct landlock_rule){"/dev/fuse", LANDLOCK_DRIVE};
        rc = landlock_confine(rules, n);
        return rc == -ENOSYS || rc == -EOPNOTSUPP ? 0 : rc;
}

int sandbox_enter(const struct sandbox *s, struct error *err)
{
        struct error filter = {0};
        int rc, confined, filtered;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!sandbox_is_built())
                return 0;
        load_what_is_late();
        rc = drop_capabilities(s);
        confined = confine_paths(s);
        filtered = seccomp_apply(s, &filter);
        if (filtered < 0 && err)
                *err = filter;
        if (filtered < 0)
                return filtered;
        if (rc < 0)
                return error_set(err, -rc, "capabilities cannot be dropped");
        if (confined < 0)
                return error_set(err, -confined, "paths cannot be restricted: %s",
                                 strerror(-confined));
        return 0;
}
