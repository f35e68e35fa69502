/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of loans: what is in one. */
#ifndef VMAFS_FIXTURE_LOAN_H
#define VMAFS_FIXTURE_LOAN_H

#include <stdbool.h>
#include <stddef.h>

struct disk_loan;

/* Are the bytes of LOAN's pieces, one piece behind the other, just the LEN bytes at WANT? */
bool loan_equals(const struct disk_loan *loan, const void *want, size_t len);

#endif
