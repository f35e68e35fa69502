/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image or a tar whose bytes a test has made, as the program sees it: opened, scanned, refused.
 * Each function fails the test where what it does fails.
 */
#ifndef VMAFS_TESTS_IMAGE_FIXTURE_H
#define VMAFS_TESTS_IMAGE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/error.h"

struct disk;
struct index;

struct image {
        int fd;        /* of a file in memory */
        char path[64]; /* by which the program can open it */
        struct index *index;
        struct disk *disk; /* the first one, once it is scanned; or NULL */
        struct error err;
};

struct image image_new(void);
void image_end(struct image *m);

/* As index_open, which may fail, once DATA are written to the file's beginning. */
int image_open(struct image *m, const void *data, size_t len);
/* The same, and scan it; which must work. */
void image_scan(struct image *m, const void *data, size_t len);
/* All three. */
struct image image_scanned(const void *data, size_t len);

/* DATA are refused with -CODE, and the text holds WORD. */
void image_expect_refused(const void *data, size_t len, int code, const char *word);

/* Whether the text of any damage holds WORD. */
bool image_damage_says(const struct image *m, const char *word);

#endif
