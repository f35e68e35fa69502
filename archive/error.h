/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a cold path failed, for a person.
 *
 * Functions return 0 or -errno; those that can say more fill a struct error too. Passing NULL
 * for the error is always allowed. The text is one sentence without the file's name and without
 * a full stop, which whoever prints it adds.
 */
#ifndef VMAFS_ERROR_H
#define VMAFS_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error {
        int code;        /* positive errno; 0 while nothing failed */
        bool has_offset; /* offset is meant */
        uint64_t offset; /* byte of the archive's stream at which it went wrong */
        char text[400];
};

__attribute__((format(printf, 3, 4))) void error_fill(struct error *err, int code, const char *fmt,
                                                      ...);
__attribute__((format(printf, 4, 5))) void error_fill_at(struct error *err, int code,
                                                         uint64_t offset, const char *fmt, ...);

/*
 * error_set(err, CODE, fmt, ...): fill ERR, replacing what it said; the value is -CODE.
 * error_set_at(err, CODE, offset, fmt, ...): the same, with the byte OFFSET of the archive's
 * stream. CODE is evaluated twice. Macros, so that compilers and analysers see that the value is
 * never 0: a variadic function cannot be inlined to show it.
 */
#define error_set(err, code, ...) (error_fill(err, code, __VA_ARGS__), -(code))
#define error_set_at(err, code, offset, ...)                                                       \
        (error_fill_at(err, code, offset, __VA_ARGS__), -(code))

/* Control bytes, which a hostile archive may have put into a name, become '?'. */
void error_make_printable(char *text);

/*
 * The sentence, with "at byte N" where an offset is known, into OUT of SIZE bytes, printable.
 */
void error_format(const struct error *err, char *out, size_t size);

#endif
