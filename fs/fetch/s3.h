/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address of an S3 object, and the identity that signs requests for it. As in other programs, that
 * comes from AWS_* in the environment, or else from the profile AWS_PROFILE of ~/.aws/credentials and
 * ~/.aws/config. Without credentials a request is not signed, which is enough for public objects.
 */
#ifndef VMAFS_S3_H
#define VMAFS_S3_H

#include <stdbool.h>

struct error;

struct s3_identity {
        char *key_id, *secret; /* NULL: nobody */
        char *token;           /* or NULL */
        char *region;
};

/* Find the identity. s3_identity_fini frees *OUT in any case. 0 or -errno, with ERR. */
int s3_identity_find(struct s3_identity *out, struct error *err);
void s3_identity_fini(struct s3_identity *who);

/*
 * The http or https address of the object URL, s3://BUCKET/KEY, at ENDPOINT, or NULL: at the one of
 * the environment, or Amazon's in REGION. A new string, or NULL with ERR.
 */
char *s3_address(const char *url, const char *endpoint, const char *region, struct error *err);

/* Overwrite what is secret in this process's environment. */
void s3_forget_environment(void);

#endif
