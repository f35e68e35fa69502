/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where an archive on a server is: http://, https:// and s3:// addresses. */
#ifndef VMAFS_URL_H
#define VMAFS_URL_H

#include <stdbool.h>
#include <stddef.h>

struct error;

/* Is WORD an address, and not a path? */
bool url_is(const char *word);

/*
 * Is it one that can be fetched? 0; -EINVAL with the reason in ERR, such as a password in it, which
 * everybody could read in the list of processes.
 */
int url_check(const char *url, struct error *err);

/*
 * Does URL, which url_check has found right, name a bucket, or all objects whose names begin alike, up
 * to a '/' at its end, and not one object?
 */
bool url_is_prefix(const char *url);

/*
 * URL for people and logs, as a new string: what follows a '?' may be a signature, and is left out.
 * A path stays as it is. NULL: out of memory.
 */
char *url_shown(const char *url);

/* Bytes of the http or https URL up to its query or fragment, which may be a signature. */
size_t url_path_len(const char *url);

/* Has it a name, after the last '/' of its path? */
bool url_has_name(const char *url);

/*
 * The address of NAME, a path without "..", from the folder that the http or https URL is in, as a
 * new string: as a relative reference is resolved (RFC 3986), so the query of URL does not belong to
 * it. NULL: out of memory.
 */
char *url_beside(const char *url, const char *name);

/*
 * Has a server that was asked for FROM, http or https, the right to send us to TO? Not from https
 * to anything else, nor to files. *SAME_HOST: credentials for the one are for the other.
 */
bool url_may_lead(const char *from, const char *to, bool *same_host);

/* TEXT with each byte that a path in a URL cannot have as %XX, as S3 has it. NULL: out of memory. */
char *url_encode(const char *text);

/* The same with '/' encoded, too, for a value in a query. */
char *url_encode_value(const char *text);

/* Where host, port and what follows begin in an http or https URL; NULL: it is none. */
const char *url_host(const char *url);

#endif
