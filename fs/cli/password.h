/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking for a password on the terminal. */
#ifndef VMAFS_PASSWORD_H
#define VMAFS_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

/* Is somebody there to be asked, at standard input and standard error? */
bool password_can_ask(void);

/*
 * Ask for the password of FILE, and read a line of less than SIZE bytes into OUT, without showing
 * it. Returns its length, or -errno: -EINTR if it was cancelled, -E2BIG.
 */
int password_ask(const char *file, char *out, size_t size);

#endif
