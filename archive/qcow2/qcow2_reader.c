/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_reader.h"

#include <stdio.h>

void qcow2_note(struct qcow2 *q, const char *text)
{
        if (!q->base.info.note[0])
                snprintf(q->base.info.note, sizeof q->base.info.note, "%s", text);
}
