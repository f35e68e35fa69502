/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the formats of the qcow2 family have in common. */
#ifndef VMAFS_QCOW2_H
#define VMAFS_QCOW2_H

#include "archive/format.h"

/* As struct format's functions. OPS is the image's own. */
int qcow2_open_as(const struct format *ops, struct source *source,
                  const struct archive_origin *origin, const struct archive_sink *sink,
                  struct archive **out, struct error *err);
int qcow2_check(struct archive *a);
void qcow2_close(struct archive *a);

#endif
