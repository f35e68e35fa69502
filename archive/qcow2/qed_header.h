/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a QED image. */
#ifndef VMAFS_QED_HEADER_H
#define VMAFS_QED_HEADER_H

#include "archive/qcow2/qcow2_image.h"

struct error;
struct probe;

/* As struct format's function. */
bool qed_probe(struct probe *p);

/* As qcow2_read_header, of IMAGE that has is_qed set. */
int qed_read_header(struct qcow2_image *image, struct error *err);

#endif
