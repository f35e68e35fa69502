/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the process that reads an archive and the one that fetches it from a server say to each
 * other, in messages on a socket pair (SOCK_SEQPACKET). Neither trusts the other: the reader may
 * have been taken over by a hostile archive, the fetcher by a hostile server.
 *
 *   fetcher   OPENED or FAILED, one for each object, before any request
 *   reader    struct remote_request, for bytes of an object
 *   fetcher   DATA, in order, until all bytes of the request are there; or FAILED, which ends it
 *   reader    struct remote_named, for one more object
 *   fetcher   OPENED or FAILED, for that
 *
 * A list of a folder on a server comes by a socket pair of its own, on which nothing is asked:
 *
 *   fetcher   LISTED, as often as it takes, and then ALL_LISTED or FAILED
 *
 * Parts of many objects come by a socket pair of their own, too, one after another:
 *
 *   reader    struct remote_part_request
 *   fetcher   OPENED with nothing after it, then DATA, in order, until all is there; or FAILED, which
 *             ends it
 */
#ifndef VMAFS_PROTOCOL_H
#define VMAFS_PROTOCOL_H

#include <stdint.h>

enum remote_object {
        REMOTE_ARCHIVE,
        REMOTE_INDEX,   /* the file beside it: its name and ".vmafs" */
        REMOTE_OBJECTS, /* and more, as they are named */
        REMOTE_OBJECTS_MAX = 512,
};

enum {
        REMOTE_MESSAGE = 65536,       /* bytes in a message, at most, after its head */
        REMOTE_REQUEST_MAX = 2 << 20, /* bytes in a request */
        REMOTE_REQUESTS = 64,         /* on their way at the same time */
        REMOTE_TEXT = 320,            /* bytes of what FAILED says, with its NUL */
        REMOTE_NAME_MAX = 1024,       /* bytes in a name of a list: S3's limit of a whole key */
        REMOTE_NAMES_MAX = 1 << 20,   /* names in a list */
};

struct remote_request {
        uint32_t object;
        uint32_t number; /* the asker's, below REMOTE_REQUESTS: not one that is on its way */
        uint64_t offset;
        uint32_t len;   /* 1 to REMOTE_REQUEST_MAX, within the object */
        uint32_t ahead; /* 1: nobody waits for it yet */
};

/* What is beside the archive, or below its folder if the user allows that. */
struct remote_named {
        uint32_t object;                /* REMOTE_OBJECTS the first time, then the next number */
        char name[REMOTE_NAME_MAX + 1]; /* from the archive's folder; ends in a NUL */
};

/*
 * The answer has LEN bytes, or as many as there are from OFFSET on; none of an object that has more
 * than MAX.
 */
struct remote_part_request {
        uint64_t offset, len; /* len: not 0 */
        uint64_t max;
        char path[REMOTE_NAME_MAX + 1]; /* below the folder; ends in a NUL */
};

enum remote_what {
        REMOTE_OPENED, /* struct remote_opened follows, and then the object's first bytes */
        REMOTE_DATA,   /* LEN bytes follow */
        REMOTE_FAILED, /* text follows, of LEN bytes, which the server may have chosen */
        REMOTE_LISTED, /* names follow, each a struct remote_name and its bytes */
        REMOTE_ALL_LISTED,
};

struct remote_reply {
        uint32_t what;
        uint32_t object;
        uint32_t number; /* the request's */
        int32_t rc;      /* FAILED: -errno */
        uint32_t len;    /* bytes that follow */
};

struct remote_opened {
        uint64_t size;
        uint64_t version; /* differs between two versions of the object */
        int64_t mtime;    /* seconds since 1970; 0: not known */
};

struct remote_name {
        uint64_t size; /* of an object */
        uint64_t
            version;   /* differs between two versions of it; another number than remote_opened's */
        int64_t mtime; /* seconds since 1970; 0: not known */
        uint32_t len;  /* of the name that follows: 1 to REMOTE_NAME_MAX, without '/' and NUL */
        uint32_t folder; /* 1: it is the beginning of others' names, up to a '/' */
};

#endif
