/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_TESTS_S3CHECK_H
#define VMAFS_TESTS_S3CHECK_H

#include <stdbool.h>

/*
 * Has the request HEAD, from its first line on, a right AWS signature (version 4, service s3) of
 * KEY_ID with SECRET in REGION? Written after Amazon's documents, and not after the product.
 */
bool s3check(const char *head, const char *key_id, const char *secret, const char *region);

#endif
