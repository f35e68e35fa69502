/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/mkvma/job.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/vma_writer.h"

enum {
        LIVE_BURST = 16,   /* clusters */
        LIVE_FORWARD = 64, /* one burst in so many is brought forward */
        BUSY_STRAYS = 3,   /* in 100 clusters */
};

uint64_t next_random(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t cluster_count(const struct device *d)
{
        return round_up(d->size, VMA_CLUSTER) / VMA_CLUSTER;
}

static void push(struct plan *plan, size_t device, uint64_t cluster)
{
        plan->items[plan->count++] =
            (struct item){.device = (uint8_t)device, .cluster = (uint32_t)cluster};
}

static void plan_device_by_device(const struct job *job, struct plan *plan)
{
        for (size_t i = 0; i < job->device_count; i++)
                for (uint64_t c = 0; c < cluster_count(&job->devices[i]); c++)
                        push(plan, i, c);
}

static void plan_interleaved(const struct job *job, struct plan *plan)
{
        uint64_t longest = 0;

        for (size_t i = 0; i < job->device_count; i++)
                longest = max_u64(longest, cluster_count(&job->devices[i]));
        for (uint64_t c = 0; c < longest; c++)
                for (size_t i = 0; i < job->device_count; i++)
                        if (c < cluster_count(&job->devices[i]))
                                push(plan, i, c);
}

static void swap_items(struct item *a, struct item *b)
{
        struct item old = *a;

        *a = *b;
        *b = old;
}

static void reverse(struct plan *plan)
{
        for (size_t i = 0; i < plan->count / 2; i++)
                swap_items(&plan->items[i], &plan->items[plan->count - 1 - i]);
}

static void shuffle_items(struct item *items, size_t count, uint64_t *state)
{
        for (size_t i = count; i > 1; i--)
                swap_items(&items[i - 1], &items[next_random(state) % i]);
}

static void shuffle(struct plan *plan, uint64_t seed)
{
        uint64_t state = seed * 2 + 1;

        shuffle_items(plan->items, plan->count, &state);
}

/* Move the burst at FROM before the one at TO, which comes earlier. */
static void bring_forward(struct plan *plan, size_t from, size_t to)
{
        struct item burst[LIVE_BURST];

        memcpy(burst, &plan->items[from], sizeof burst);
        memmove(&plan->items[to + LIVE_BURST], &plan->items[to], (from - to) * sizeof *plan->items);
        memcpy(&plan->items[to], burst, sizeof burst);
}

/*
 * As from a running guest: in order on the whole, out of order where several copies are in
 * flight, and now and then a burst that the guest was about to overwrite, taken early.
 */
static void enliven(struct plan *plan, uint64_t seed)
{
        uint64_t state = seed * 2 + 1;

        for (size_t at = 0; at + LIVE_BURST <= plan->count; at += LIVE_BURST) {
                shuffle_items(&plan->items[at], LIVE_BURST, &state);
                if (next_random(&state) % LIVE_FORWARD == 0)
                        bring_forward(plan, at,
                                      next_random(&state) % (at / LIVE_BURST + 1) * LIVE_BURST);
        }
}

/* A cluster and the place that it is stored before; those in their own place come after strays. */
struct stray {
        struct item item;
        size_t before, own;
};

static int compare_strays(const void *a, const void *b)
{
        const struct stray *x = a, *y = b;

        if (x->before != y->before)
                return x->before < y->before ? -1 : 1;
        if ((x->before == x->own) != (y->before == y->own))
                return x->before == x->own ? 1 : -1;
        return x->own < y->own ? -1 : 1;
}

/*
 * As from a guest with a database: single clusters, each about to be overwritten at any time since
 * the backup began, are stored that early.
 */
static void scatter(struct plan *plan, uint64_t seed)
{
        struct stray *all = calloc(plan->count + 1, sizeof *all);
        uint64_t state = seed * 2 + 1;

        if (!all)
                die(1, "out of memory");
        for (size_t i = 0; i < plan->count; i++) {
                all[i] = (struct stray){.item = plan->items[i], .before = i, .own = i};
                if (i > 0 && next_random(&state) % 100 < BUSY_STRAYS)
                        all[i].before = next_random(&state) % i;
        }
        qsort(all, plan->count, sizeof *all, compare_strays);
        for (size_t i = 0; i < plan->count; i++)
                plan->items[i] = all[i].item;
        free(all);
}

/* A stream's clusters come in order, at whatever places the order left for them. */
static void number_streams(struct job *job, struct plan *plan)
{
        for (size_t i = 0; i < plan->count; i++) {
                struct device *d = &job->devices[plan->items[i].device];

                if (d->in_sequence)
                        plan->items[i].cluster = d->next_place++;
        }
}

/* The device that the command line calls NAME, by its name or else by its id. */
static size_t find_device(const struct job *job, const char *name)
{
        for (size_t i = 0; i < job->device_count; i++)
                if (strcmp(job->devices[i].name, name) == 0)
                        return i;
        for (size_t i = 0; i < job->device_count; i++)
                if (isdigit((unsigned char)name[0]) &&
                    job->devices[i].id == strtoul(name, NULL, 10))
                        return i;
        die(2, "there is no device '%s'", name);
}

static size_t find_inside(const struct job *job, const struct place *p)
{
        size_t device = find_device(job, p->dev);

        if (p->cluster >= cluster_count(&job->devices[device]))
                die(2, "device %s has no cluster %u", p->dev, p->cluster);
        return device;
}

static void drop(struct plan *plan, size_t device, uint32_t cluster)
{
        size_t kept = 0;

        for (size_t i = 0; i < plan->count; i++)
                if (plan->items[i].device != device || plan->items[i].cluster != cluster)
                        plan->items[kept++] = plan->items[i];
        plan->count = kept;
}

static void add_what_is_wrong(const struct job *job, struct plan *plan)
{
        for (size_t i = 0; i < job->drops.count; i++) {
                const struct place *p = &job->drops.places[i];

                drop(plan, find_inside(job, p), p->cluster);
        }
        for (size_t i = 0; i < job->duplicates.count; i++) {
                const struct place *p = &job->duplicates.places[i];

                push(plan, find_inside(job, p), p->cluster);
        }
        for (size_t i = 0; i < job->beyonds.count; i++) {
                const struct place *p = &job->beyonds.places[i];
                size_t device = find_device(job, p->dev);

                if (p->cluster < cluster_count(&job->devices[device]))
                        die(2, "--beyond: cluster %u is within device %s", p->cluster, p->dev);
                push(plan, device, p->cluster);
        }
}

void make_plan(struct job *job, struct plan *plan)
{
        uint64_t room = job->duplicates.count + job->beyonds.count;

        for (size_t i = 0; i < job->device_count; i++) {
                if (cluster_count(&job->devices[i]) > UINT32_MAX)
                        die(2, "device %s has more clusters than 32 bits count",
                            job->devices[i].name);
                room += cluster_count(&job->devices[i]);
        }
        *plan = (struct plan){.items = calloc(room + 1, sizeof *plan->items)};
        if (!plan->items)
                die(1, "out of memory");
        if (job->order == ORDER_INTERLEAVE)
                plan_interleaved(job, plan);
        else
                plan_device_by_device(job, plan);
        if (job->order == ORDER_REVERSE)
                reverse(plan);
        if (job->order == ORDER_SHUFFLE)
                shuffle(plan, job->seed);
        if (job->order == ORDER_LIVE)
                enliven(plan, job->seed);
        if (job->order == ORDER_BUSY)
                scatter(plan, job->seed);
        number_streams(job, plan);
        add_what_is_wrong(job, plan);
}
