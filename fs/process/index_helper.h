/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper: a helper with access to the archive's surroundings (index/site.h), which the process
 * that reads the archive has given up. It opens the files that the archive names, as far as the
 * user allowed, and stores the index. It touches no other path and creates no file but the index's.
 */
#ifndef VMAFS_INDEX_HELPER_H
#define VMAFS_INDEX_HELPER_H

#include "fs/process/helper.h"

struct error;
struct index_options;
struct site;

/* How a site reaches its keeper, which may keep several. */
struct keeper_line {
        struct helper *helper;
        uint32_t slot;
};

struct index_helper {
        struct helper helper;
        struct keeper_line line;
};

#define INDEX_HELPER_NONE ((struct index_helper){.helper = HELPER_NONE})

/*
 * Start a keeper for SITE. From then on only the keeper accesses SITE's surroundings, and all
 * requests go through it. *K must not move while SITE is used. Returns 0 or -errno, with ERR.
 */
int index_helper_start(struct index_helper *k, struct site *site, struct error *err);

/* End the keeper: there will be no more requests. */
void index_helper_end(struct index_helper *k);

/* ---- for a keeper of several sites (folder_helper.h) ---- */

enum { KEEPER_SITE = 100, KEEPER_LEAVE }; /* its own requests */

/* Slot and number of a request. */
static inline uint32_t keeper_slot(const struct helper_request *in)
{
        return in->number >> 8;
}

/* Do what IN, a request for SITE, asks for. As helper_role.handle. */
int index_helper_handle(struct site *site, const struct helper_request *in, int *fd);

/* Ask by LINE for what a keeper of several has. The reply's descriptor, or -1, is in *FD. */
int index_helper_ask(const struct keeper_line *line, uint32_t what, const char *name, int *fd);

/*
 * The site of the archive at PATH, open as TAKE_ARCHIVE (-1: it is on a server), whose surroundings
 * are reached by LINE, which outlives it. DIR_PATH is the folder of indexes, or NULL: none are used. Sets *OUT. 0 or
 * -ENOMEM.
 */
int index_helper_site(struct keeper_line *line, const char *path, const char *dir_path,
                      int take_archive, const struct index_options *options, struct site **out);

/*
 * A role's begin: keep only what a helper run by root needs to access other users' files and
 * folders.
 */
void index_helper_drop_capabilities(void);

#endif
