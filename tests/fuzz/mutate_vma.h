/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing VMA archives so that they still get past their checksums. */
#ifndef VMAFS_MUTATE_VMA_H
#define VMAFS_MUTATE_VMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does it begin like a VMA archive, with a header's fixed part? */
bool is_vma(const uint8_t *data, size_t size);

/* Make the sums of the header and of every extent header right, as far as they can be found. */
void vma_fix_sums(uint8_t *data, size_t size);

/*
 * As LLVMFuzzerCustomMutator: change what matters in an archive, and nearly always make the sums
 * right. What is no archive is changed anywhere.
 */
size_t vma_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
