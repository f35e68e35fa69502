/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/words.h"

#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/map/clusterlist.h"
#include "index/map/word.h"

enum {
        /*
         * The longer a list is, the longer adding takes, so it is packed at 3/8 of packed's size …
         */
        LIST_BYTES = WORDS_BYTES * 3 / 8,
        /* … and at the end packed becomes a list again if there are at most so many entries. */
        LIST_CLUSTERS = SPAN_CLUSTERS * 7 / 8,
};

/* ---- conversions ---- */

void words_keep(struct span *s, uint64_t *take_words)
{
        s->clusters = take_words;
        s->count = s->capacity = 0;
        s->kind = SPAN_PACKED;
}

/* Make a list of SPAN_CLUSTERS words. NULL: out of memory. */
struct clusterlist *words_list(const uint64_t *words)
{
        struct clusterlist *list = clusterlist_new(0);
        size_t count = 0;

        for (uint32_t i = 0; list && i < SPAN_CLUSTERS; i++) {
                struct cluster_run run = {i, 1, words[i]};

                if (words[i] == WORD_ABSENT)
                        continue;
                if (clusterlist_insert(&list, count, &run) < 0) {
                        free(list);
                        return NULL;
                }
                count = clusterlist_count(list);
        }
        return list;
}

/* Turn a list that has grown into packed, if memory allows. */
void words_pack(struct span *s)
{
        uint64_t *words;

        if (s->kind != SPAN_LISTED || clusterlist_bytes(s->list) < LIST_BYTES)
                return;
        words = malloc(WORDS_BYTES);
        if (!words)
                return;
        memset(words, 0xff, WORDS_BYTES);
        for (size_t i = 0; i < clusterlist_count(s->list); i++) {
                struct cluster_run run = clusterlist_get(s->list, i);

                for (uint64_t k = 0; k < run.count; k++)
                        words[run.cluster + k] = word_plus(run.word, k);
        }
        free(s->list);
        words_keep(s, words);
}

/* Turn packed into a list if that is smaller. */
void words_thin_out(struct span *s)
{
        struct clusterlist *list;
        unsigned there = 0;

        for (uint32_t i = 0; i < SPAN_CLUSTERS; i++)
                there += s->clusters[i] != WORD_ABSENT;
        if (there > LIST_CLUSTERS)
                return;
        list = words_list(s->clusters);
        if (!list)
                return;
        free(s->clusters);
        s->list = list;
        s->kind = SPAN_LISTED;
}

/* ---- both forms ---- */

/*
 * Look up CLUSTER in a list. Sets *WORD to what is known about it, and *ALIKE to how many clusters
 * from it on continue that, or are as unknown. Returns the index of its entry, or of the entry
 * before which it would be inserted.
 */
static size_t list_word(const struct clusterlist *l, uint32_t cluster, uint64_t *word,
                        uint32_t *alike)
{
        size_t i = clusterlist_search(l, cluster);
        struct cluster_run run = {.cluster = SPAN_CLUSTERS};

        if (i < clusterlist_count(l))
                run = clusterlist_get(l, i);
        if (run.cluster > cluster) {
                *alike = (uint32_t)run.cluster - cluster;
                *word = WORD_ABSENT;
        } else {
                *alike = (uint32_t)(run.cluster + run.count) - cluster;
                *word = word_plus(run.word, cluster - run.cluster);
        }
        return i;
}

uint64_t words_listed(const struct span *s, uint32_t cluster, uint32_t *alike)
{
        uint64_t word;

        list_word(s->list, cluster, &word, alike);
        return word;
}

/* Mark N clusters, which are known, as lost. */
static int words_lose(struct span *s, uint32_t cluster, uint32_t n)
{
        struct cluster_run old;
        int rc;

        for (uint32_t i = 0; s->kind == SPAN_PACKED && i < n; i++)
                s->clusters[cluster + i] = WORD_ALL_LOST;
        if (s->kind == SPAN_PACKED)
                return 0;
        while ((rc = clusterlist_take(&s->list, cluster, cluster + n, &old)) > 0)
                ;
        if (rc < 0)
                return rc;
        return clusterlist_insert(&s->list, clusterlist_search(s->list, cluster),
                                  &(struct cluster_run){cluster, n, WORD_ALL_LOST});
}

static void note_again(uint32_t cluster, uint32_t n, struct span_again *again)
{
        if (!again->blocks)
                again->first = cluster * SPAN_CLUSTER_BLOCKS;
        again->blocks += n * SPAN_CLUSTER_BLOCKS;
}

/*
 * Add as many of the N clusters as are all known, or all unknown, in one piece. Returns how many,
 * or -ENOMEM.
 */
static int add_piece(struct span *s, const struct cluster_run *run, struct span_again *again)
{
        uint32_t cluster = (uint32_t)run->cluster, alike = 1, n;
        bool packed = s->kind == SPAN_PACKED;
        uint64_t known;
        size_t i = 0;
        int rc = 0;

        if (packed)
                known = s->clusters[cluster];
        else
                i = list_word(s->list, cluster, &known, &alike);
        n = (uint32_t)min_u64(run->count, alike);
        if (known == WORD_ABSENT && packed) {
                s->clusters[cluster] = run->word;
        } else if (known == WORD_ABSENT) {
                rc = clusterlist_insert(&s->list, i, &(struct cluster_run){cluster, n, run->word});
        } else if (known != WORD_ALL_LOST) {
                if (run->word != WORD_ALL_LOST)
                        note_again(cluster, n, again);
                rc = words_lose(s, cluster, n);
        }
        return rc < 0 ? rc : (int)n;
}

int words_add(struct span *s, uint32_t cluster, uint32_t n, uint64_t word, struct span_again *again)
{
        struct cluster_run left = {cluster, n, word};

        while (left.count) {
                int added = add_piece(s, &left, again);

                if (added < 0)
                        return added;
                left.cluster += (unsigned)added;
                left.count -= (unsigned)added;
                left.word = word_plus(left.word, (unsigned)added);
        }
        return 0;
}

void words_find(const struct span *s, uint32_t at, struct span_hit *hit)
{
        uint32_t cluster = at / SPAN_CLUSTER_BLOCKS, alike;
        uint64_t word = words_at(s, cluster, &alike);
        struct word_range r = {0, SPAN_CLUSTER_BLOCKS, SPAN_ABSENT};

        if (word != WORD_ABSENT)
                r = word_range(word, at % SPAN_CLUSTER_BLOCKS);
        hit->first = cluster * SPAN_CLUSTER_BLOCKS + r.first;
        hit->blocks = r.blocks;
        if (r.blocks == SPAN_CLUSTER_BLOCKS)
                hit->blocks = alike * SPAN_CLUSTER_BLOCKS;
        hit->addr = r.addr;
}
