/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow of version 1, which has a header of its own, and all else as qcow2 has it. */
#include "archive/qcow2/qcow2.h"
#include "archive/qcow2/qcow2_scan.h"
#include "archive/qcow2/qcow_header.h"

static int qcow_open(struct source *source, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return qcow2_open_as(&qcow_format, source, origin, sink, out, err);
}

const struct format qcow_format = {
    .name = "qcow",
    .is_image = true,
    .probe = qcow_probe,
    .open = qcow_open,
    .scan = qcow2_scan,
    .skip_scan = qcow2_skip_scan,
    .check = qcow2_check,
    .close = qcow2_close,
};
