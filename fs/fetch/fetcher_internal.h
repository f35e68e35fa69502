/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fetcher of one archive and those of a folder of them have in common. */
#ifndef VMAFS_FETCHER_INTERNAL_H
#define VMAFS_FETCHER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct remote_options;
struct spool;
struct transfer_object;
struct transfer_server;

/* In a new process: give up what a fetcher does not need, and leave no memory in a core. */
void fetcher_confine(void);

/*
 * Whose certificates are trusted, as curl(1) has it, by OPTIONS or the environment: *OUT, a new
 * string, or NULL for the system's. False: out of memory.
 */
bool fetcher_find_cafile(const struct remote_options *options, char **out);

/*
 * Open the folder for what is fetched, by OPTIONS: *FOLDER, or -1 where none is wanted. It belongs to the
 * fetcher, since what a mount finds there was sent by a server: the process that reads an archive, which
 * may be hostile, is not to have a say in that. 0 or -errno, with ERR.
 */
int fetcher_open_spool(const struct remote_options *options, int *folder, struct error *err);

/* What differs between two versions of O, which is open. */
uint64_t fetcher_version(const struct transfer_object *o);

/* The objects cannot be opened: say on SOCKET WHY, and RC, -errno. */
void fetcher_refuse(int socket, bool with_index, int rc, const struct error *why);

/*
 * Be the fetcher of the object at URL, http or https, and of its index if WITH_INDEX, by SOCKET, and
 * end with that. BELOW: see remote_options. SPOOL: NULL if there is none. Of SERVER a copy is used.
 */
_Noreturn void fetcher_serve(const struct transfer_server *server, const char *url, bool with_index,
                             bool below, struct spool *spool, int socket);

#endif
