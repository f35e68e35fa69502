/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcurl, loaded by the process that fetches, and by no other: it brings some thirty libraries
 * along, which the process that reads archives is better off without, and most mounts do not need.
 */
#ifndef VMAFS_CURL_API_H
#define VMAFS_CURL_API_H

#include <curl/curl.h>

struct error;

struct curl_api {
        CURLcode (*global_init)(long flags);
        CURL *(*easy_init)(void);
        CURLcode (*easy_setopt)(CURL *handle, CURLoption option, ...);
        CURLcode (*easy_perform)(CURL *handle);
        CURLcode (*easy_getinfo)(CURL *handle, CURLINFO info, ...);
        void (*easy_reset)(CURL *handle);
        const char *(*easy_strerror)(CURLcode code);
        struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
        void (*slist_free_all)(struct curl_slist *list);
};

/* Load it, and initialise it. 0 or -ENOTSUP, with ERR. */
int curl_api_load(struct curl_api *out, struct error *err);

#endif
