/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a name: what comes out can be shown, created, and put into JSON. */
#include <jansson.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/names.h"
#include "tests/fuzz/fuzz.h"

static void check_name(const char *name)
{
        size_t len;
        json_t *json;

        fuzz_require(name != NULL);
        len = strlen(name);
        fuzz_require(len > 0 && len <= NAME_LEN_MAX);
        fuzz_require(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
        for (size_t i = 0; i < len; i++)
                fuzz_require(name[i] != '/' && (unsigned char)name[i] >= ' ' && name[i] != 0x7f);
        json = json_string(name); /* NULL for what is not UTF-8 */
        fuzz_require(json != NULL);
        json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *raw = malloc(size + 1), *name, *again, *numbered;
        unsigned number = 2;

        memcpy(raw, data, size);
        raw[size] = '\0';
        if (size >= sizeof number)
                memcpy(&number, data, sizeof number);
        name = name_make_safe(raw);
        check_name(name);
        again = name_make_safe(name);
        fuzz_require(strcmp(name, again) == 0);
        numbered = name_number(name, number);
        check_name(numbered);
        fuzz_require(strcmp(name, numbered) != 0);
        free(numbered);
        free(again);
        free(name);
        free(raw);
        return 0;
}
