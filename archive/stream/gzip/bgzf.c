/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/gzip/bgzf.h"

#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"

enum { HEADER = 12, FIELD = 6, LENGTH = 4, OUT_MAX = 65536, FIELDS_MAX = 64 };

bool bgzf_member(struct source *in, uint64_t at, struct bgzf_member *out)
{
        static const uint8_t magic[] = {0x1f, 0x8b, 0x08, 0x04};
        uint8_t h[HEADER + FIELDS_MAX], length[LENGTH];
        ssize_t n = source_pread(in, h, sizeof h, at);
        size_t end;

        if (n < HEADER + FIELD || memcmp(h, magic, sizeof magic) != 0)
                return false;
        end = (size_t)min_u64((uint64_t)n, HEADER + (uint64_t)load_le16(h + 10));
        for (size_t i = HEADER; i + FIELD <= end; i += 4 + (size_t)load_le16(h + i + 2)) {
                if (h[i] != 'B' || h[i + 1] != 'C' || load_le16(h + i + 2) != 2)
                        continue;
                out->next = at + load_le16(h + i + 4) + 1;
                if (source_pread(in, length, LENGTH, out->next - LENGTH) != LENGTH)
                        return false;
                out->out = load_le32(length);
                return out->next > at + HEADER + LENGTH && out->out <= OUT_MAX;
        }
        return false;
}
