/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a fuzz target is made of. The same target is run by libFuzzer (make fuzz) and, over files
 * alone and without clang, by replay.c (make check).
 */
#ifndef VMAFS_FUZZ_H
#define VMAFS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer's, or replay.c's stand-in that is never called. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A target's own way to change an input, where blind changes get nowhere. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* What must hold for any input. Not assert: it must stay in every build. */
#define fuzz_require(condition)                                                                    \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
                                #condition);                                                       \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

#endif
