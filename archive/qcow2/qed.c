/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QED, which has a header of its own, and all else as qcow2 has it. */
#include "archive/qcow2/qcow2.h"
#include "archive/qcow2/qcow2_scan.h"
#include "archive/qcow2/qed_header.h"

static int qed_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        return qcow2_open_as(&qed_format, source, origin, sink, out, err);
}

const struct format qed_format = {
    .name = "qed",
    .is_image = true,
    .probe = qed_probe,
    .open = qed_open,
    .scan = qcow2_scan,
    .skip_scan = qcow2_skip_scan,
    .check = qcow2_check,
    .close = qcow2_close,
};
