/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a backup's configuration file (qemu-server.conf, pct.conf) says about the guest. */
#ifndef VMAFS_GUEST_H
#define VMAFS_GUEST_H

#include <stddef.h>
#include <stdint.h>

struct index;

/* Texts are raw: they are not safe to print to a terminal. */
struct guest {
        char name[256];   /* "": none */
        char notes[4096]; /* lines, decoded; "": none; cut if longer */
        uint32_t id;      /* from its volumes' names; 0: unknown */
};

/* Read the first such file in INDEX. Without one, all fields are empty. */
void guest_find(const struct index *index, struct guest *out);

/* Parse the LEN bytes of such a file at TEXT. */
void guest_parse(const char *text, size_t len, struct guest *out);

#endif
