/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what a fetcher says: messages, each with its length before it. And as what a server
 * says of its answer: lines.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/source/remote/remote_internal.h"
#include "fs/fetch/answer.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE = 40 * RANGE_PIECE + 17, PIECES = 8 };

/* Where requests go, and who takes them. */
static int socket_of_requests(void)
{
        static int fds[2] = {-1, -1};
        char request[sizeof(struct remote_request)];

        if (fds[0] < 0)
                fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
        while (read(fds[1], request, sizeof request) > 0)
                ;
        return fds[0];
}

static void take_lines(const uint8_t *data, size_t size)
{
        struct answer a;

        answer_init(&a);
        while (size > 0) {
                const uint8_t *end = memchr(data, '\n', size);
                size_t len = end ? (size_t)(end - data) + 1 : size;

                answer_take(&a, (const char *)data, len);
                data += len;
                size -= len;
        }
        if (!answer_fault(&a, 10, 20, 100))
                fuzz_require(a.start == 10 && a.end == 20 && a.size == 100);
        fuzz_require(a.retry_after <= 30 && strlen(a.is.etag) < VALIDATOR_MAX);
        answer_time(a.is.modified);
}

/* All that is in memory, as far as it is filled. */
static void check_pieces(struct remote *r)
{
        for (uint64_t i = 0; i <= SIZE / RANGE_PIECE; i++) {
                const struct range_piece *p = range_cache_find(r->cache, REMOTE_ARCHIVE, i);

                fuzz_require(!p || p->filled <= RANGE_PIECE);
                fuzz_require(!p || p->state != RANGE_READY ||
                             p->filled == min_u64(RANGE_PIECE, SIZE - i * RANGE_PIECE));
        }
}

static void take_messages(struct remote *r, const uint8_t *data, size_t size)
{
        static struct remote_message m;

        bool fits = true;

        while (size >= 2 && fits) {
                size_t given = (size_t)min_u64(load_le16(data), size - 2), len = given;

                memset(&m, 0, sizeof m.head);
                memcpy(&m, data + 2, min_u64(given, sizeof m));
                /* A short one may stand for one that is long. */
                if (m.head.what == REMOTE_DATA && given == sizeof m.head &&
                    m.head.len <= REMOTE_MESSAGE)
                        len += m.head.len;
                fits = len <= sizeof m && remote_take(r, &m, len);
                data += 2 + given;
                size -= 2 + given;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct remote_file named = {.opened = false};
        struct remote *r;

        if (size == 0)
                return 0;
        take_lines(data + 1, size - 1);
        r = calloc(1, sizeof *r);
        fuzz_require(r && range_cache_new(32, &r->cache) == 0);
        pthread_mutex_init(&r->lock, NULL);
        pthread_cond_init(&r->changed, NULL);
        r->fd = socket_of_requests();
        /* One was named, and is not open yet. */
        for (r->count = 0; r->count < REMOTE_OBJECTS; r->count++)
                r->files[r->count] = &r->first[r->count];
        r->files[r->count++] = &named;
        r->first[REMOTE_ARCHIVE] = (struct remote_file){.opened = true, .is.size = SIZE};
        for (uint64_t i = 0; i < PIECES; i++)
                if (data[0] >> i & 1)
                        remote_ask(r, REMOTE_ARCHIVE, i * 5, i * 5 + 3, 2, false);
        take_messages(r, data + 1, size - 1);
        check_pieces(r);
        remote_lose(r);
        fuzz_require(r->asked_count == 0);
        check_pieces(r);
        range_cache_free(r->cache);
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
        return 0;
}
