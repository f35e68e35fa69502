/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An S3 object: which address it has, and who asks for it. As other programs have it: AWS_* in the
 * environment, then the profile AWS_PROFILE of ~/.aws/credentials and ~/.aws/config; without
 * credentials the request is not signed, which reads public objects.
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

/* Find who asks. s3_identity_fini frees *OUT in any case. 0 or -errno, with ERR. */
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
