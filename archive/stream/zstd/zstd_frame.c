/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_frame.h"

#include "archive/bytes.h"

#define MAGIC      UINT32_C(0xFD2FB528)
#define MAGIC_SKIP UINT32_C(0x184D2A50) /* and the 15 after it */

#define DESCRIPTOR     4 /* its offset, and two of its bits */
#define SINGLE_SEGMENT 0x20
#define CHECKSUM       0x04

#define AUX_INSIDE   0x100
#define AUX_CHECKSUM 0x200

/* 3.1.1.1.2 */
static uint64_t window_of(uint8_t descriptor)
{
        uint64_t base = UINT64_C(1) << (10 + (descriptor >> 3));

        return base + base / 8 * (descriptor & 7);
}

static uint8_t descriptor_for(uint64_t window)
{
        uint8_t exponent = 0;

        while (exponent < 31 && UINT64_C(1) << (10 + exponent) < window)
                exponent++;
        return (uint8_t)(exponent << 3);
}

static uint64_t load_field(const uint8_t *p, size_t size)
{
        uint64_t v = 0;

        for (size_t i = 0; i < size; i++)
                v |= (uint64_t)p[i] << (8 * i);
        return v;
}

enum zstd_frame_kind zstd_frame_parse(const uint8_t *head, size_t len, struct zstd_frame *out)
{
        static const uint8_t dictionary_sizes[4] = {0, 1, 2, 4};
        static const uint8_t content_sizes[4] = {0, 2, 4, 8};
        size_t window_size, dictionary_size, content_size;
        const uint8_t *at;
        uint32_t magic;
        bool single;

        *out = (struct zstd_frame){0};
        if (len < 4)
                return ZSTD_FRAME_SHORT;
        magic = load_le32(head);
        if ((magic & ~UINT32_C(15)) == MAGIC_SKIP) {
                if (len < ZSTD_FRAME_SKIPPABLE)
                        return ZSTD_FRAME_SHORT;
                out->header_size = ZSTD_FRAME_SKIPPABLE;
                out->skip = load_le32(head + 4);
                return ZSTD_FRAME_SKIP;
        }
        if (magic != MAGIC)
                return ZSTD_FRAME_FOREIGN;
        if (len < 5)
                return ZSTD_FRAME_SHORT;
        single = head[DESCRIPTOR] & SINGLE_SEGMENT;
        window_size = single ? 0 : 1;
        dictionary_size = dictionary_sizes[head[4] & 3];
        content_size = content_sizes[head[4] >> 6];
        if (single && content_size == 0)
                content_size = 1;
        out->header_size = 5 + window_size + dictionary_size + content_size;
        if (len < out->header_size)
                return ZSTD_FRAME_SHORT;
        out->checksum = head[DESCRIPTOR] & CHECKSUM;
        out->reserved = head[4] & 0x08;
        at = head + 5;
        if (!single) {
                out->descriptor = *at++;
                out->window = window_of(out->descriptor);
        }
        out->dictionary = (uint32_t)load_field(at, dictionary_size);
        at += dictionary_size;
        out->content = ZSTD_FRAME_CONTENT_UNKNOWN;
        if (content_size)
                out->content = load_field(at, content_size) + (content_size == 2 ? 256 : 0);
        if (single) {
                out->window = out->content;
                out->descriptor = descriptor_for(out->window);
        }
        return ZSTD_FRAME_DATA;
}

void zstd_frame_hide_checksum(uint8_t *head)
{
        head[DESCRIPTOR] &= (uint8_t)~CHECKSUM;
}

void zstd_frame_standin(uint8_t *out, uint8_t descriptor)
{
        out[0] = MAGIC & 0xFF;
        out[1] = MAGIC >> 8 & 0xFF;
        out[2] = MAGIC >> 16 & 0xFF;
        out[3] = MAGIC >> 24;
        out[4] = 0;
        out[5] = descriptor;
}

uint64_t zstd_frame_aux(const struct zstd_frame *frame)
{
        return AUX_INSIDE | (frame->checksum ? AUX_CHECKSUM : 0u) | frame->descriptor;
}

bool zstd_frame_from_aux(uint64_t aux, struct zstd_frame *out)
{
        if (!(aux & AUX_INSIDE))
                return false;
        *out = (struct zstd_frame){
            .descriptor = (uint8_t)aux,
            .window = window_of((uint8_t)aux),
            .content = ZSTD_FRAME_CONTENT_UNKNOWN,
            .checksum = aux & AUX_CHECKSUM,
        };
        return true;
}
