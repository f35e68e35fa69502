/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The extent map at 1 TiB and at 64: its memory by mallinfo2, and the time of a look-up, each
 * beside its target. One line a figure: name, value, unit, target.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "index/map/map.h"

enum { BLOCK = MAP_BLOCK, CLUSTER = 65536, EXTENT_CLUSTERS = 58, EXTENT_HEADER = 512 };

#define TIB      (UINT64_C(1) << 40)
#define CLUSTERS (TIB / CLUSTER)

static double now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double heap(void)
{
        struct mallinfo2 info = mallinfo2();

        return (double)(info.uordblks + info.hblkhd);
}

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static void must(ssize_t rc)
{
        if (rc >= 0)
                return;
        fprintf(stderr, "bench_map: the map failed: %zd\n", rc);
        exit(1);
}

/* One cluster with MASK as a format emits it. Returns the extents in OUT. */
static size_t cluster_extents(uint64_t start, unsigned mask, uint64_t addr, struct extent *out)
{
        size_t n = 0;

        for (unsigned i = 0; i < 16; i++) {
                bool stored = mask >> i & 1;

                if (n && (out[n - 1].addr == EXTENT_ZERO) == !stored)
                        out[n - 1].len += BLOCK;
                else
                        out[n++] = (struct extent){start + (uint64_t)i * BLOCK, BLOCK,
                                                   stored ? addr : EXTENT_ZERO};
                addr += stored ? BLOCK : 0;
        }
        return n;
}

static struct extent_map *dense_in_order(void)
{
        struct extent_map *m;
        uint64_t addr = 12800;
        struct map_twice twice = {0};

        must(map_new(TIB, MAP_GAP_LOST, &m));
        for (uint64_t at = 0; at < TIB;) {
                uint64_t len = (uint64_t)EXTENT_CLUSTERS * CLUSTER;
                struct extent e = {at, len < TIB - at ? len : TIB - at, addr};

                must(map_add(m, &e, 1, &twice));
                at += e.len;
                addr += e.len + EXTENT_HEADER;
        }
        map_seal(m);
        return m;
}

/* Every cluster once, in a scattered order, with a random mask: the worst that a VMA can be. */
static struct extent_map *shuffled_ragged(void)
{
        struct extent_map *m;
        uint64_t addr = 12800, seed = 88172645463325252u;
        struct map_twice twice = {0};

        must(map_new(TIB, MAP_GAP_LOST, &m));
        for (uint64_t i = 0; i < CLUSTERS; i++) {
                uint64_t cluster = (i * 9973757 + 12345) % CLUSTERS;
                unsigned mask = (unsigned)next_random(&seed) & 0xffff;
                struct extent e[16] = {0};
                size_t n = cluster_extents(cluster * CLUSTER, mask, addr, e);

                must(map_add(m, e, n, &twice));
                addr += (uint64_t)__builtin_popcount(mask) * BLOCK;
                if (i % EXTENT_CLUSTERS == 0)
                        addr += EXTENT_HEADER;
        }
        map_seal(m);
        return m;
}

/* A VMA names zero clusters, too: 64 TiB of them, but for one extent's worth in each GiB. */
static struct extent_map *sparse_in_order(void)
{
        struct extent_map *m;
        uint64_t addr = 12800;
        struct map_twice twice = {0};

        must(map_new(64 * TIB, MAP_GAP_LOST, &m));
        for (uint64_t at = 0; at < 64 * TIB;) {
                uint64_t len = (uint64_t)EXTENT_CLUSTERS * CLUSTER;
                bool stored = at % (UINT64_C(1) << 30) == 0;
                uint64_t gib_end = (at >> 30 << 30) + (UINT64_C(1) << 30);
                struct extent e = {at, len < gib_end - at ? len : gib_end - at,
                                   stored ? addr : EXTENT_ZERO};

                must(map_add(m, &e, 1, &twice));
                at += e.len;
                addr += (stored ? e.len : 0) + EXTENT_HEADER;
        }
        map_seal(m);
        return m;
}

static double find_ns(const struct extent_map *m)
{
        enum { LOOKUPS = 4000000 };
        uint64_t seed = 362436069362436069u, sum = 0;
        double start = now(), elapsed;

        for (int i = 0; i < LOOKUPS; i++) {
                struct extent e;

                map_find(m, next_random(&seed) % map_size(m), &e);
                sum += e.addr;
        }
        elapsed = now() - start;
        if (sum == 42) /* keeps the loop from being optimised away */
                puts("");
        return elapsed / LOOKUPS * 1e9;
}

static void measure(const char *name, struct extent_map *(*build)(void), double per, double target,
                    const char *unit)
{
        double before = heap(), start = now();
        struct extent_map *m = build();
        double built = now() - start;

        printf("map %s\t%.2f\t%s\t<= %.0f\n", name, (heap() - before) / per, unit, target);
        printf("find %s\t%.0f\tns\t<= 200\n", name, find_ns(m));
        printf("build %s\t%.2f\ts\t\n", name, built);
        map_free(m);
}

int main(void)
{
        measure("1 TiB dense in order", dense_in_order, 1024 * 1024, 8, "MiB/TiB");
        measure("1 TiB shuffled ragged", shuffled_ragged, 16777216.0, 10, "bytes/cluster");
        measure("64 TiB sparse", sparse_in_order, 64.0 * 1024 * 1024, 8, "MiB/TiB");
        return 0;
}
