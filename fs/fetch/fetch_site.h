/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_FETCH_SITE_H
#define VMAFS_FETCH_SITE_H

#include <stdint.h>

struct error;
struct index_options;
struct site;

/* What the fetchers of a folder are asked for with an archive, according to OPTIONS: fetchers.h. */
uint32_t fetch_flags(const struct index_options *options);

/*
 * site_open for what is a path or an address (url.h). For an address a process is started that
 * fetches what is read of it; call it before any thread is started. The site's path, for messages,
 * is the address without what may be secret.
 */
int fetch_site(const char *path, const struct index_options *options, struct site **out,
               struct error *err);

#endif
