/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a qcow2 image, and its extensions. */
#ifndef VMAFS_QCOW2_HEADER_H
#define VMAFS_QCOW2_HEADER_H

#include "archive/qcow2/qcow2_image.h"

struct error;
struct probe;

/* As struct format's function. */
bool qcow2_probe(struct probe *p);

/* Parse the header of IMAGE's source. 0, or -EIO, -ENOTSUP with the reason in ERR, -ENOMEM. */
int qcow2_read_header(struct qcow2_image *image, struct error *err);

#endif
