/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper of a folder of archives: what index_helper.h is for one archive, for as many as are
 * open at a time, each with a slot. It opens an archive of the folder by its path, following no
 * link, and keeps its surroundings until the slot is left.
 */
#ifndef VMAFS_FOLDER_HELPER_H
#define VMAFS_FOLDER_HELPER_H

#include <stdbool.h>

#include "fs/process/index_helper.h"

struct error;
struct index_options;
struct site;

enum { FOLDER_SLOTS = 200 };

struct folder_helper {
        struct helper helper;
        const char *path;                    /* of the folder; the caller keeps it */
        bool far;                            /* it is on a server */
        char *dir_path;                      /* of the folder of indexes; NULL: none are used */
        const struct index_options *options; /* the caller keeps them */
        struct keeper_line lines[FOLDER_SLOTS];
};

#define FOLDER_HELPER_NONE ((struct folder_helper){.helper = HELPER_NONE})

/*
 * Start the keeper of the folder PATH, which is open as FOLDER; -1: it is on a server. *K must not move. 0 or -errno, with
 * ERR.
 */
int folder_helper_start(struct folder_helper *k, const char *path, int folder,
                        const struct index_options *options, struct error *err);

/*
 * The archive NAME, a path below the folder, for slot SLOT, which is free: sets *OUT. As
 * site_open_at. site_close it, and leave the slot. One on a server is not opened: site_set_remote.
 */
int folder_helper_site(struct folder_helper *k, unsigned slot, const char *name, struct site **out,
                       struct error *err);
void folder_helper_leave(struct folder_helper *k, unsigned slot);

void folder_helper_end(struct folder_helper *k);

#endif
