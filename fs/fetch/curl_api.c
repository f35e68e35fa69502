/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_CURL
#include "fs/fetch/curl_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "archive/error.h"

#define LIBRARY "libcurl.so.4" /* its interface has been this one since 2006 */

#define SYMBOL(name, field)                                                                        \
        {                                                                                          \
                name, offsetof(struct curl_api, field)                                             \
        }

static const struct {
        const char *name;
        size_t at;
} symbols[] = {
    SYMBOL("curl_global_init", global_init),       SYMBOL("curl_easy_init", easy_init),
    SYMBOL("curl_easy_setopt", easy_setopt),       SYMBOL("curl_easy_perform", easy_perform),
    SYMBOL("curl_easy_getinfo", easy_getinfo),     SYMBOL("curl_easy_reset", easy_reset),
    SYMBOL("curl_easy_strerror", easy_strerror),   SYMBOL("curl_slist_append", slist_append),
    SYMBOL("curl_slist_free_all", slist_free_all),
};

int curl_api_load(struct curl_api *out, struct error *err)
{
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

        if (!library)
                return error_set(err, ENOTSUP,
                                 "is on a server, and %s, which fetches it, is not installed (in "
                                 "Debian: libcurl4)",
                                 LIBRARY);
        for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
                void *symbol = dlsym(library, symbols[i].name);

                if (!symbol)
                        return error_set(err, ENOTSUP, "%s has no %s", LIBRARY, symbols[i].name);
                memcpy((char *)out + symbols[i].at, &symbol, sizeof symbol);
        }
        if (out->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return error_set(err, ENOTSUP, "%s cannot be initialised", LIBRARY);
        return 0;
}
#endif
