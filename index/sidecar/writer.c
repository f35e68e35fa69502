/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/writer.h"

#include <errno.h>
#include <unistd.h>

void writer_put(struct writer *w, const void *data, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len && w->error == 0) {
                ssize_t n =
                    pwrite(w->fd, (const char *)data + done, len - done, (off_t)(offset + done));

                if (n < 0 && errno != EINTR)
                        w->error = -errno;
                if (n > 0)
                        done += (size_t)n;
        }
}

void writer_append(struct writer *w, const void *data, size_t len)
{
        writer_put(w, data, len, w->at);
        w->at += len;
}

void writer_fail(struct writer *w, int rc)
{
        if (w->error == 0)
                w->error = rc;
}
