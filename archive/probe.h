/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning and end of a source, by which its format is recognised. Each part is read once,
 * when it is first needed.
 *
 *   |== head ==|== more of it ==|                    |== tail ==|
 *
 * Only a plain file, or a part of one, has a tail: the end of a compressed stream is known only
 * when all of it is decoded.
 */
#ifndef VMAFS_PROBE_H
#define VMAFS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

enum { PROBE_HEAD = 512, PROBE_TAIL = 512 }; /* bytes; there is always so much of a head */

struct probe {
        struct source *source;
        const char *name; /* of the file, without folders; NULL: it has none */
        uint8_t *head;    /* at least PROBE_HEAD bytes, zeros after those that there are … */
        size_t len;       /* … of which there are so many */
        bool tail_read;
        bool has_tail;
        uint8_t tail[PROBE_TAIL];
};

/*
 * Read the head of SOURCE, which the caller keeps, and which must outlive *P. 0, also for an empty
 * source; -errno with the reason in ERR if the head cannot be read; -ENOMEM. Call probe_fini in any
 * case.
 */
int probe_init(struct probe *p, struct source *source, struct error *err);
void probe_fini(struct probe *p);

/* Load LEN bytes of the head, or fewer if there are no more. 0 or -ENOMEM. */
int probe_more(struct probe *p, size_t len);

/* The last PROBE_TAIL bytes; NULL: unknown, or there are fewer. */
const uint8_t *probe_tail(struct probe *p);

/* Does the head have the LEN bytes MAGIC at OFFSET? */
bool probe_has(const struct probe *p, size_t offset, const void *magic, size_t len);

#endif
