/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "archive/stream/gzip/gzip_recover.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_codec.h"

enum { RECOVERIES = 20 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* After damage: the pass moves on, and a point that it is entered at again is one. */
static void check_recovered(const unsigned char *data, size_t size)
{
        static unsigned char out[(size_t)256 << 10], again[sizeof out], history[GZIP_WINDOW];
        const struct codec_limits limits = {0};
        struct source *in = memory_source(data, size);
        struct codec_lost_range gap = {0};
        uint64_t total = 0, last_bit = 0;
        void *pass = NULL;
        int rc = gzip_codec.pass_open(in, &limits, &pass, NULL);

        for (int recoveries = 0; rc == 0 && total < FUZZ_OUTPUT;) {
                ssize_t n = gzip_codec.pass(pass, out, sizeof out, NULL, NULL);

                if (n > 0 && gap.lost > 0) {
                        /* Right after a gap: a segment from the point gives the same. */
                        struct restart_point point = {
                            .in_bit = gap.in_bit, .aux = gap.aux, .history_len = gap.history_len};

                        fuzz_require(codec_segment(&gzip_codec, in, &point, history, size * 8,
                                                   again, (size_t)n, NULL) == 0);
                        fuzz_require(memcmp(out, again, (size_t)n) == 0);
                }
                gap.lost = 0;
                if (n == 0 || (n < 0 && n != -EIO))
                        break;
                if (n > 0) {
                        total += (size_t)n;
                        continue;
                }
                if (recoveries++ == RECOVERIES || gzip_codec.recover(pass, total, &gap) <= 0)
                        break;
                fuzz_require(gap.in_bit / 8 < size && (gap.in_bit > last_bit || recoveries == 1));
                fuzz_require(gzip_codec.trust(pass).proven <= total &&
                             gap.history_len <= GZIP_WINDOW);
                if (gap.history_len)
                        memcpy(history, gap.history, gap.history_len);
                last_bit = gap.in_bit;
                total += gap.lost;
        }
        if (pass)
                gzip_codec.pass_close(pass);
        source_close(in);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
        check_recovered(data, size);
        return fuzz_codec(&gzip_codec, data, size);
}
