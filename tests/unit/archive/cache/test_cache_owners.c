/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several owners of blocks in one cache. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/cache/blockcache.h"

#define SIZE 100000

struct loader {
        _Atomic int loads;
};

static int load(void *ctx, uint64_t key, void *buf, size_t len)
{
        struct loader *l = ctx;

        l->loads++;
        memset(buf, (int)key, len);
        return 0;
}

/* The one of the test that runs. */
static struct blockcache *cache;

static struct cache_owner *new_owner(enum cache_kind kind)
{
        struct cache_owner *o;

        assert_int_equal(blockcache_join(cache, kind, &o), 0);
        return o;
}

/* A cache with one owner. */
static struct cache_owner *new_cache(size_t bytes)
{
        assert_int_equal(blockcache_new(bytes, &cache), 0);
        return new_owner(CACHE_STREAM);
}

static void free_cache(struct cache_owner *o)
{
        blockcache_leave(o);
        assert_int_equal(blockcache_bytes(cache), 0);
        blockcache_free(cache);
}

static void touch(struct cache_owner *c, uint64_t key, struct loader *l)
{
        struct block *b;

        assert_int_equal(blockcache_get(c, key, SIZE, load, l, &b), 0);
        assert_int_equal(*(uint8_t *)block_data(b), (uint8_t)key);
        blockcache_put(c, b);
}

static void read_from(struct cache_owner *c, uint64_t key, size_t n, struct loader *l)
{
        struct block *b;

        assert_int_equal(blockcache_get(c, key, SIZE, load, l, &b), 0);
        blockcache_put_read(c, b, n);
}

static void test_owners_have_keys_of_their_own(void **state)
{
        struct cache_owner *a = new_cache(10 * SIZE), *b = new_owner(CACHE_STREAM);
        struct loader of_a = {0}, of_b = {0};
        (void)state;

        touch(a, 7, &of_a);
        assert_false(blockcache_contains(b, 7));
        touch(b, 7, &of_b);
        touch(a, 7, &of_a);
        assert_int_equal(of_a.loads, 1);
        assert_int_equal(of_b.loads, 1);
        blockcache_leave(b);
        free_cache(a);
}

static void test_who_leaves_takes_his_blocks_along(void **state)
{
        struct cache_owner *a = new_cache(10 * SIZE), *b = new_owner(CACHE_CLUSTERS);
        struct loader l = {0};
        (void)state;

        touch(a, 1, &l);
        for (uint64_t key = 0; key < 5; key++)
                touch(b, key, &l);
        read_from(b, 3, SIZE, &l);
        blockcache_leave(b);
        assert_int_equal(blockcache_bytes(cache), SIZE);
        assert_true(blockcache_contains(a, 1));
        free_cache(a);
}

/* The bound is for all of them together. */
static void test_bound_holds_for_all_owners(void **state)
{
        struct cache_owner *owners[4] = {new_cache(10 * SIZE)};
        struct loader l = {0};
        (void)state;

        for (size_t i = 1; i < 4; i++)
                owners[i] = new_owner((enum cache_kind)(i - 1));
        for (uint64_t key = 0; key < 100; key++) {
                touch(owners[key % 4], key, &l);
                assert_true(blockcache_bytes(cache) <= 10 * SIZE);
        }
        for (size_t i = 1; i < 4; i++)
                blockcache_leave(owners[i]);
        free_cache(owners[0]);
}

/* However much one reads, the other keeps his part: of half the bound, half. */
static void test_who_has_little_keeps_it(void **state)
{
        struct cache_owner *greedy = new_cache(20 * SIZE), *modest = new_owner(CACHE_STREAM);
        struct loader l = {0};
        (void)state;

        for (uint64_t key = 0; key < 8; key++)
                touch(modest, key, &l);
        for (uint64_t key = 0; key < 100; key++)
                touch(greedy, key, &l);
        for (uint64_t key = 0; key < 3; key++)
                assert_false(blockcache_contains(modest, key));
        for (uint64_t key = 3; key < 8; key++)
                assert_true(blockcache_contains(modest, key));
        blockcache_leave(modest);
        free_cache(greedy);
}

/* Among many owners a part is too small for a table; a quarter of the bound is for all tables. */
static void test_data_pushes_no_tables_out(void **state)
{
        struct cache_owner *data = new_cache(20 * SIZE), *tables = new_owner(CACHE_TABLES);
        struct cache_owner *others[30];
        struct loader l = {0};
        (void)state;

        for (size_t i = 0; i < 30; i++)
                others[i] = new_owner(CACHE_STREAM);
        for (uint64_t key = 0; key < 5; key++)
                touch(tables, key, &l);
        for (uint64_t key = 0; key < 100; key++)
                touch(data, key, &l);
        for (uint64_t key = 0; key < 5; key++)
                assert_true(blockcache_contains(tables, key));
        for (size_t i = 0; i < 30; i++)
                blockcache_leave(others[i]);
        blockcache_leave(tables);
        free_cache(data);
}

/* More tables than their part go by age, as data does. */
static void test_tables_push_each_other_out(void **state)
{
        struct cache_owner *data = new_cache(20 * SIZE), *tables = new_owner(CACHE_TABLES);
        struct loader l = {0};
        (void)state;

        touch(data, 1, &l);
        for (uint64_t key = 0; key < 100; key++)
                touch(tables, key, &l);
        assert_true(blockcache_contains(data, 1));
        assert_false(blockcache_contains(tables, 1));
        blockcache_leave(tables);
        free_cache(data);
}

/* A cluster of an image that is compressed itself: to load it, load what it is decoded from. */
struct nested {
        struct cache_owner *stream;
        struct loader *loader;
};

static int load_nested(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct nested *n = ctx;

        touch(n->stream, 0, n->loader);
        memset(buf, (int)key, len);
        return 0;
}

/* Also where there is no room for either, and who loads a cluster waits for himself. */
static void test_load_through_another_owner(void **state)
{
        const size_t bounds[] = {1, SIZE, 2 * SIZE, 20 * SIZE};
        (void)state;

        for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
                struct cache_owner *stream = new_cache(bounds[i]);
                struct cache_owner *clusters = new_owner(CACHE_CLUSTERS);
                struct loader l = {0};
                struct nested n = {stream, &l};

                for (uint64_t key = 0; key < 10; key++) {
                        struct block *b;

                        assert_int_equal(
                            blockcache_get(clusters, key, SIZE / 8, load_nested, &n, &b), 0);
                        blockcache_put(clusters, b);
                }
                /* The bound allows for what is being read from: it is decoded once. */
                if (bounds[i] >= SIZE)
                        assert_int_equal(l.loads, 1);
                blockcache_leave(clusters);
                free_cache(stream);
        }
}

struct visitor {
        struct loader *loader;
        enum cache_kind kind;
};

/* Come, read and go. */
static void *visit(void *arg)
{
        struct visitor *v = arg;

        for (int i = 0; i < 50; i++) {
                struct cache_owner *o;

                if (blockcache_join(cache, v->kind, &o) < 0)
                        return arg;
                for (uint64_t key = 0; key < 20; key++) {
                        struct block *b;

                        if (blockcache_get(o, key, SIZE, load, v->loader, &b) < 0)
                                return arg;
                        blockcache_put_read(o, b, key % 2 ? SIZE : 0);
                }
                blockcache_leave(o);
        }
        return NULL;
}

static void test_owners_come_and_go(void **state)
{
        struct cache_owner *stays = new_cache(10 * SIZE);
        struct loader l = {0};
        struct visitor visitors[3];
        pthread_t threads[3];
        (void)state;

        for (int i = 0; i < 3; i++) {
                visitors[i] = (struct visitor){&l, (enum cache_kind)i};
                assert_int_equal(pthread_create(&threads[i], NULL, visit, &visitors[i]), 0);
        }
        for (uint64_t i = 0; i < 2000; i++)
                touch(stays, i % 15, &l);
        for (int i = 0; i < 3; i++) {
                void *wrong;

                pthread_join(threads[i], &wrong);
                assert_null(wrong);
        }
        free_cache(stays);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_owners_have_keys_of_their_own),
            cmocka_unit_test(test_who_leaves_takes_his_blocks_along),
            cmocka_unit_test(test_bound_holds_for_all_owners),
            cmocka_unit_test(test_who_has_little_keeps_it),
            cmocka_unit_test(test_data_pushes_no_tables_out),
            cmocka_unit_test(test_tables_push_each_other_out),
            cmocka_unit_test(test_load_through_another_owner),
            cmocka_unit_test(test_owners_come_and_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
