/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a qcow image of version 1. */
#ifndef VMAFS_QCOW_HEADER_H
#define VMAFS_QCOW_HEADER_H

#include "archive/qcow2/qcow2_image.h"

struct error;
struct probe;

/* As struct format's function. */
bool qcow_probe(struct probe *p);

/* As qcow2_read_header, of IMAGE that has is_qcow set. */
int qcow_read_header(struct qcow2_image *image, struct error *err);

#endif
