/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/mount_log.h"

#include <inttypes.h>
#include <syslog.h>

#include "fs/process/log.h"
#include "index/index.h"
#include "index/owner.h"

void mount_log_damage(const struct log *log, struct index *index)
{
        const struct index_damage *list;
        uint64_t lost = 0;

        for (size_t i = 0; i < index_disk_count(index); i++)
                lost += index_disk(index, i)->totals.lost;
        if (index_damages(index, &list))
                log_line(log, LOG_WARNING, "at byte %" PRIu64 ": %s", list[0].offset, list[0].text);
        if (lost)
                log_line(log, LOG_WARNING,
                         "%" PRIu64 " bytes are lost and read as %s; vmafs verify names them", lost,
                         index_recover_zero(index) ? "ZEROS (recover=zero)" : "I/O errors");
}

void mount_log_note(const struct log *log, const struct index *index)
{
        if (index_is_tree(index) && index_info(index)->note[0])
                log_line(log, LOG_NOTICE, "%s", index_info(index)->note);
}
