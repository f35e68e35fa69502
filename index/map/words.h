/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two forms of a span that have a word (word.h) for each cluster: listed and packed. Only
 * span.c uses this. Cluster numbers count from the span's start.
 */
#ifndef VMAFS_WORDS_H
#define VMAFS_WORDS_H

#include <stdint.h>

#include "index/map/span_forms.h"

enum { WORDS_BYTES = SPAN_CLUSTERS * 8 };

/* A list of SPAN_CLUSTERS words; free it with free. NULL: out of memory. */
struct clusterlist *words_list(const uint64_t *words);

/* Make the empty span S packed, with WORDS_BYTES of words. */
void words_keep(struct span *s, uint64_t *take_words);

/* Turn a list that has grown into packed, if memory allows. */
void words_pack(struct span *s);

/* Turn packed into a list, if that is smaller. */
void words_thin_out(struct span *s);

/* As words_at, for a listed span. */
uint64_t words_listed(const struct span *s, uint32_t cluster, uint32_t *alike);

/* What is known about CLUSTER, or WORD_ABSENT. *ALIKE clusters from it on continue it. */
static inline uint64_t words_at(const struct span *s, uint32_t cluster, uint32_t *alike)
{
        if (s->kind == SPAN_LISTED)
                return words_listed(s, cluster, alike);
        *alike = 1;
        return s->clusters[cluster];
}

/* As span_add_word. */
int words_add(struct span *s, uint32_t cluster, uint32_t n, uint64_t word,
              struct span_again *again);

/* As span_find, but ignores blocks marked as lost. */
void words_find(const struct span *s, uint32_t at, struct span_hit *hit);

#endif
