/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/reply.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "archive/error.h"
#include "archive/source/remote/protocol.h"

void reply_send(int socket, struct remote_reply *head, const void *bytes, size_t len,
                const void *more, size_t more_len)
{
        struct iovec parts[] = {
            {head, sizeof *head}, {(void *)bytes, len}, {(void *)more, more_len}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
        ssize_t n;

        head->len = (uint32_t)(len + more_len);
        do
                n = sendmsg(socket, &message, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                _exit(0);
}

void reply_failure(int socket, struct remote_reply *head, int rc, const struct error *why)
{
        head->what = REMOTE_FAILED;
        head->rc = rc;
        reply_send(socket, head, why->text, strnlen(why->text, REMOTE_TEXT - 1), NULL, 0);
}
