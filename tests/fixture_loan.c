/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fixture_loan.h"

#include <string.h>

#include "index/pin.h"

bool loan_equals(const struct disk_loan *loan, const void *want, size_t len)
{
        const char *rest = want;

        for (size_t i = 0; i < loan->count; i++) {
                const struct iovec *piece = &loan->pieces[i];

                if (piece->iov_len > len || memcmp(piece->iov_base, rest, piece->iov_len) != 0)
                        return false;
                rest += piece->iov_len;
                len -= piece->iov_len;
        }
        return len == 0;
}
