/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plugin's parameters, as they are on nbdkit's command line. */
#ifndef VMAFS_SETTINGS_H
#define VMAFS_SETTINGS_H

#include <stdbool.h>

#include "index/options.h"

struct settings {
        char *archive; /* absolute, or an address; NULL: not given */
        char *index;   /* absolute, or "none"; NULL likewise, and below */
        char *keyfile, *passfile;
        char *disk;
        char *endpoint, *cafile, *spool;
        bool partitions;              /* to be listed */
        struct index_options opening; /* what the rest means */
};

#define SETTINGS_HELP                                                                              \
        "[archive=]ARCHIVE   (required) The archive, its address, or a datastore's snapshot.\n"    \
        "disk=NAME                      Export this disk alone; without it all, by their names.\n" \
        "partitions=true                List partitions and logical volumes, too.\n"               \
        "index=PATH|none                Where the index is kept, or nowhere.\n"                    \
        "cache=SIZE                     Memory for decoded data (default: 256M).\n"                \
        "threads=N                      Threads to decode with (default: one for each "            \
        "processor).\n"                                                                            \
        "window=SIZE                    Largest history a compressed archive may ask for.\n"       \
        "backing=dir|any                Open the backing files that images name.\n"                \
        "recover=eio|zero               What is lost is an error (default), or zeros.\n"           \
        "keyfile=PATH                   The key of an encrypted datastore.\n"                      \
        "passfile=PATH                  The file whose first line is the key's password.\n"        \
        "endpoint=URL                   The server that has s3:// archives.\n"                     \
        "cafile=PATH                    Authorities to trust with https.\n"                        \
        "timeout=SECONDS                When to give up a server (default: 60).\n"                 \
        "spool=DIR,SIZE                 Keep what is fetched from servers in DIR."

/* Take KEY=VALUE. 0, or -1 with the reason logged. */
int settings_set(struct settings *s, const char *key, const char *value);

/* All are given: is anything missing? As settings_set. */
int settings_complete(struct settings *s);
void settings_fini(struct settings *s);

#endif
