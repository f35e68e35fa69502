/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can a zstd frame be entered at this block boundary, and what of the bytes before it is
 * needed? Answered exactly from compressed bytes alone (RFC 8878), block by block as a pass moves
 * on; no literal is decoded.
 *
 *        window
 *   |<-------------->| boundary
 *   ...====..==......|[block][block][block] ...      the pass, one block at a time
 *      ^^^^  ^^      |    |
 *      what sequences after the boundary refer to
 *
 * A boundary can be entered when after it
 *   (a) every entropy table is defined before a block repeats it ("treeless" literals,
 * Repeat_Mode), (b) no repeat offset is used before sequences have overwritten it, (c) the bytes in
 * front that sequences copy from are at hand. Only the blocks within one window can refer to them.
 *
 * The verdict is PROVEN once all three are settled for good, REFUTED at the first violation and
 * for malformed blocks, PENDING until then. PENDING can last: raw blocks neither define tables
 * nor overwrite offsets.
 */
#ifndef VMAFS_ZSTD_PARSE_H
#define VMAFS_ZSTD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZSTD_PARSE_BLOCK_MAX (128 << 10) /* RFC 8878, 3.1.1.2.4 Block_Maximum_Size */

enum zstd_block_type {
        ZSTD_BLOCK_RAW = 0,
        ZSTD_BLOCK_RLE = 1,
        ZSTD_BLOCK_COMPRESSED = 2,
        ZSTD_BLOCK_RESERVED = 3,
};

struct zstd_block_header {
        bool last;
        enum zstd_block_type type;
        uint32_t size;    /* Block_Size: for RLE the regenerated size */
        uint32_t content; /* bytes that follow the header in the file */
};

#define ZSTD_BLOCK_HEADER_SIZE 3

/* Any three bytes are a header; whether its values are allowed is the caller's to judge. */
struct zstd_block_header zstd_block_header(const uint8_t *bytes);

enum zstd_verdict {
        ZSTD_PENDING,
        ZSTD_PROVEN,
        ZSTD_REFUTED,
};

struct zstd_parse;

/* For frames of windows up to WINDOW bytes; memory is about WINDOW / 8. -ENOMEM. */
int zstd_parse_new(uint64_t window, struct zstd_parse **out);
void zstd_parse_free(struct zstd_parse *p); /* NULL is allowed */

/* The window it was made for. */
uint64_t zstd_parse_window(const struct zstd_parse *p);

/*
 * Consider the boundary before the next block. What refers to more than REACH_MAX bytes in
 * front of it refutes it; the window allows all.
 */
void zstd_parse_start(struct zstd_parse *p, uint64_t reach_max);

/* The next block: its header, and HEADER.content bytes. Bytes may be anything at all. */
enum zstd_verdict zstd_parse_block(struct zstd_parse *p, const struct zstd_block_header *header,
                                   const uint8_t *content);

/* The frame has ended: what did not happen until now cannot any more. */
enum zstd_verdict zstd_parse_end(struct zstd_parse *p);

enum zstd_verdict zstd_parse_verdict(const struct zstd_parse *p);

/* Bytes of output after the boundary so far. */
uint64_t zstd_parse_position(const struct zstd_parse *p);

/*
 * What sequences so far refer to before the boundary. reach: how far back the furthest byte
 * lies, 0 if none. next: ranges from the furthest to the nearest, [boundary - *back, + *len);
 * *BACK is zstd_parse_reach at first, then as the last call left it; false after the last.
 */
uint32_t zstd_parse_reach(const struct zstd_parse *p);
bool zstd_parse_next(const struct zstd_parse *p, uint32_t *back, uint32_t *len);

#endif
