/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a server's list of a bucket, or, if the first one is odd, as what the process that
 * lists it says: messages, each with its length before it.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/source/remote/protocol.h"
#include "archive/source/remote/remote_list.h"
#include "fs/fetch/list_page.h"
#include "tests/fuzz/fuzz.h"

static int take_key(void *ctx, const struct list_key *key)
{
        (void)ctx;
        fuzz_require(key->len <= LIST_KEY_MAX && key->key[key->len] == '\0');
        return 0;
}

static int take_entry(void *ctx, const struct remote_entry *e)
{
        size_t len = strlen(e->name);

        (void)ctx;
        fuzz_require(len > 0 && len <= REMOTE_NAME_MAX && !strchr(e->name, '/'));
        fuzz_require(strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0);
        return 0;
}

static void take_messages(const uint8_t *data, size_t size)
{
        static struct {
                struct remote_reply head;
                uint8_t bytes[REMOTE_MESSAGE];
        } message;
        int fds[2];

        fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
        while (size >= 3) {
                size_t len = (size_t)min_u64(load_le16(data + 1), size - 3);

                message.head = (struct remote_reply){.what = data[0], .len = (uint32_t)len};
                memcpy(message.bytes, data + 3, len);
                if (send(fds[1], &message, sizeof message.head + len, 0) < 0)
                        break;
                data += 3 + len;
                size -= 3 + len;
        }
        close(fds[1]);
        remote_list(fds[0], take_entry, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct list_page page;
        char *copy;

        if (size == 0)
                return 0;
        if (data[0] & 1 && data[0] != '<') {
                take_messages(data + 1, size - 1);
                return 0;
        }
        copy = malloc(size);
        fuzz_require(copy);
        memcpy(copy, data, size);
        if (list_page_parse(copy, size, &page, take_key, NULL, NULL) == 0)
                fuzz_require(!page.goes_on || page.token[0]);
        free(copy);
        return 0;
}
