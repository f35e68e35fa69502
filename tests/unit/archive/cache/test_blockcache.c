/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"
#include "tests/fixtures/threads_fixture.h"

#define SIZE 100000

enum { CROWD = 8 };

struct loader {
        _Atomic int loads;
        int result;
        _Atomic int asking; /* threads that are about to ask for what is loaded … */
        int crowd;          /* … of so many, all of whom a load waits for; 0: for nobody */
};

static int load(void *ctx, uint64_t key, void *buf, size_t len)
{
        struct loader *l = ctx;

        l->loads++;
        while (l->asking < l->crowd)
                usleep(1000);
        if (l->crowd)
                threads_await_sleep();
        memset(buf, (int)key, len);
        return l->result;
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

static void test_second_get_does_not_load(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {0};
        (void)state;

        touch(c, 7, &l);
        touch(c, 7, &l);
        assert_int_equal(l.loads, 1);
        free_cache(c);
}

static void test_bound_holds_and_oldest_goes_first(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {0};
        (void)state;

        for (uint64_t key = 0; key < 30; key++) {
                touch(c, 0, &l);
                touch(c, key, &l);
                assert_true(blockcache_bytes(cache) <= 10 * SIZE);
        }
        assert_true(blockcache_contains(c, 0));
        assert_true(blockcache_contains(c, 29));
        assert_false(blockcache_contains(c, 1));
        free_cache(c);
}

static void read_from(struct cache_owner *c, uint64_t key, size_t n, struct loader *l)
{
        struct block *b;

        assert_int_equal(blockcache_get(c, key, SIZE, load, l, &b), 0);
        blockcache_put_read(c, b, n);
}

static void test_what_was_read_goes_before_what_is_older(void **state)
{
        struct cache_owner *c = new_cache(3 * SIZE);
        struct loader l = {0};
        (void)state;

        touch(c, 1, &l);
        read_from(c, 2, SIZE / 2, &l);
        read_from(c, 2, SIZE - SIZE / 2, &l);
        touch(c, 3, &l);
        touch(c, 4, &l);
        assert_true(blockcache_contains(c, 1));
        assert_false(blockcache_contains(c, 2));
        free_cache(c);
}

static void test_what_was_read_in_part_is_not_spent(void **state)
{
        struct cache_owner *c = new_cache(3 * SIZE);
        struct loader l = {0};
        (void)state;

        touch(c, 1, &l);
        read_from(c, 2, SIZE - SIZE / 100, &l);
        touch(c, 3, &l);
        touch(c, 4, &l);
        assert_false(blockcache_contains(c, 1));
        assert_true(blockcache_contains(c, 2));
        free_cache(c);
}

static void test_what_is_read_once_takes_little_room(void **state)
{
        struct cache_owner *c = new_cache(100 * SIZE);
        struct loader l = {0};
        (void)state;

        for (uint64_t key = 0; key < 90; key++)
                read_from(c, key, SIZE, &l);
        assert_true(blockcache_contains(c, 89));
        assert_false(blockcache_contains(c, 60));
        assert_true(blockcache_bytes(cache) <= 10 * SIZE);
        free_cache(c);
}

/* New memory is slow: what a sequential reader has done with is where it goes on. */
static void test_spent_memory_is_used_again(void **state)
{
        struct cache_owner *c = new_cache(100 * SIZE);
        struct loader l = {0};
        struct block *b;
        void *first;
        (void)state;

        assert_int_equal(blockcache_get(c, 0, SIZE, load, &l, &b), 0);
        first = block_data(b);
        blockcache_put_read(c, b, SIZE);
        read_from(c, 1, SIZE, &l);
        assert_int_equal(blockcache_get(c, 2, SIZE, load, &l, &b), 0);
        assert_ptr_equal(block_data(b), first);
        assert_int_equal(*(uint8_t *)block_data(b), 2);
        blockcache_put(c, b);
        assert_false(blockcache_contains(c, 0));
        assert_true(blockcache_contains(c, 1));
        assert_int_equal(blockcache_bytes(cache), 2 * SIZE);
        free_cache(c);
}

/* A buffer that is far too large for it would keep its size for nothing. */
static void test_spent_memory_of_another_size_goes(void **state)
{
        struct cache_owner *c = new_cache(100 * SIZE);
        struct loader l = {0};
        struct block *b;
        (void)state;

        read_from(c, 0, SIZE, &l);
        read_from(c, 1, SIZE, &l);
        assert_int_equal(blockcache_get(c, 2, SIZE / 10, load, &l, &b), 0);
        assert_int_equal(blockcache_bytes(cache), SIZE + SIZE / 10);
        blockcache_put(c, b);
        free_cache(c);
}

/* A block of LEN bytes that was read: where its memory is. */
static void *spend(struct cache_owner *c, uint64_t key, size_t len, struct loader *l)
{
        struct block *b;
        void *data;

        assert_int_equal(blockcache_get(c, key, len, load, l, &b), 0);
        data = block_data(b);
        blockcache_put_read(c, b, len);
        return data;
}

static void test_small_spent_blocks_make_way(void **state)
{
        struct cache_owner *c = new_cache(100 * SIZE);
        struct loader l = {0};
        struct block *b;
        void *first;
        (void)state;

        for (uint64_t key = 10; key < 15; key++)
                spend(c, key, SIZE / 10, &l);
        first = spend(c, 0, SIZE, &l);
        spend(c, 1, SIZE, &l);
        assert_int_equal(blockcache_get(c, 2, SIZE, load, &l, &b), 0);
        assert_ptr_equal(block_data(b), first);
        assert_false(blockcache_contains(c, 14));
        assert_int_equal(blockcache_bytes(cache), 2 * SIZE);
        blockcache_put(c, b);
        free_cache(c);
}

/* Memory for other uses than a load, if it is much. */
static void test_spent_memory_is_used_for_what_is_prepared(void **state)
{
        enum { LARGE = 2 << 20 };
        struct cache_owner *c = new_cache(100 * LARGE);
        struct loader l = {0};
        struct buffer work;
        struct block *b;
        void *first = spend(c, 0, LARGE, &l), *second = spend(c, 1, LARGE, &l);
        (void)state;

        assert_int_equal(blockcache_prepare(c, 10, 1000, &b), 0);
        blockcache_put(c, b);
        assert_true(blockcache_contains(c, 0));
        assert_int_equal(blockcache_prepare(c, 11, LARGE, &b), 0);
        assert_ptr_equal(block_data(b), first);
        assert_false(blockcache_contains(c, 0));
        blockcache_add(c, b, LARGE);
        blockcache_put_read(c, b, LARGE);
        assert_int_equal(blockcache_pin_memory(c, LARGE, &work), 0);
        assert_ptr_equal(work.data, second);
        assert_int_equal(blockcache_bytes(cache), LARGE);
        blockcache_unpin_memory(c, &work);
        free_cache(c);
}

/* However small the cache, a block whose end is read twice is decoded once. */
static void test_last_spent_block_stays(void **state)
{
        struct cache_owner *c = new_cache(2 * SIZE);
        struct loader l = {0};
        (void)state;

        read_from(c, 1, SIZE, &l);
        read_from(c, 1, 10, &l);
        assert_int_equal(l.loads, 1);
        free_cache(c);
}

static void test_who_asks_for_a_spent_block_saves_it(void **state)
{
        struct cache_owner *c = new_cache(3 * SIZE);
        struct loader l = {0};
        (void)state;

        read_from(c, 1, SIZE, &l);
        touch(c, 2, &l);
        touch(c, 1, &l);
        touch(c, 3, &l);
        touch(c, 4, &l);
        assert_true(blockcache_contains(c, 1));
        assert_false(blockcache_contains(c, 2));
        free_cache(c);
}

/* What the pass decodes is read while it grows. */
static void test_what_was_read_before_it_was_added_counts(void **state)
{
        struct cache_owner *c = new_cache(3 * SIZE);
        struct loader l = {0};
        struct block *b;
        (void)state;

        touch(c, 1, &l);
        assert_int_equal(blockcache_prepare(c, 2, SIZE, &b), 0);
        blockcache_hold(c, b);
        blockcache_put_read(c, b, SIZE);
        blockcache_add(c, b, SIZE);
        blockcache_put(c, b);
        touch(c, 3, &l);
        touch(c, 4, &l);
        assert_true(blockcache_contains(c, 1));
        assert_false(blockcache_contains(c, 2));
        free_cache(c);
}

static void test_held_blocks_stay(void **state)
{
        struct cache_owner *c = new_cache(3 * SIZE);
        struct loader l = {0};
        struct block *held;
        (void)state;

        assert_int_equal(blockcache_get(c, 99, SIZE, load, &l, &held), 0);
        for (uint64_t key = 0; key < 20; key++)
                touch(c, key, &l);
        assert_true(blockcache_contains(c, 99));
        assert_int_equal(((uint8_t *)block_data(held))[SIZE - 1], 99);
        blockcache_put(c, held);
        free_cache(c);
}

static void test_block_over_the_bound_works_and_goes(void **state)
{
        struct cache_owner *c = new_cache(SIZE / 2);
        struct loader l = {0};
        (void)state;

        touch(c, 1, &l);
        assert_false(blockcache_contains(c, 1));
        assert_int_equal(blockcache_bytes(cache), 0);
        free_cache(c);
}

static void test_failure_is_not_kept(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {.result = -EIO};
        struct block *b;
        (void)state;

        assert_int_equal(blockcache_get(c, 5, SIZE, load, &l, &b), -EIO);
        l.result = 0;
        touch(c, 5, &l);
        assert_int_equal(l.loads, 2);
        free_cache(c);
}

static void test_prepared_block_is_found_once_added(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {0};
        struct block *b;
        (void)state;

        assert_int_equal(blockcache_prepare(c, 3, SIZE * 4, &b), 0);
        assert_false(blockcache_contains(c, 3));
        memset(block_data(b), 3, SIZE);
        blockcache_add(c, b, SIZE);
        blockcache_put(c, b);
        touch(c, 3, &l);
        assert_int_equal(l.loads, 0);
        free_cache(c);
}

static void test_only_unread_blocks_are_dropped(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {0};
        struct block *b;
        (void)state;

        for (uint64_t key = 0; key < 3; key++) {
                assert_int_equal(blockcache_prepare(c, key, SIZE, &b), 0);
                memset(block_data(b), (int)key, SIZE);
                blockcache_add(c, b, SIZE);
                if (key != 2)
                        blockcache_put(c, b);
        }
        touch(c, 1, &l);
        for (uint64_t key = 0; key < 4; key++)
                blockcache_drop_unread(c, key);
        assert_false(blockcache_contains(c, 0));
        assert_true(blockcache_contains(c, 1));
        assert_true(blockcache_contains(c, 2));
        blockcache_put(c, b);
        free_cache(c);
}

/* Of no bytes at all, it still has to be freed: LeakSanitizer watches. */
static void test_empty_block_is_freed(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct block *b;
        (void)state;

        assert_int_equal(blockcache_prepare(c, 1, SIZE, &b), 0);
        blockcache_add(c, b, 0);
        blockcache_put(c, b);
        assert_true(blockcache_contains(c, 1));
        free_cache(c);
}

struct reader {
        struct cache_owner *owner;
        struct loader *loader;
        int result;
};

static void *get_one(void *arg)
{
        struct reader *r = arg;
        struct block *b;

        r->loader->asking++;
        r->result = blockcache_get(r->owner, 1, SIZE, load, r->loader, &b);
        if (r->result == 0)
                blockcache_put(r->owner, b);
        return NULL;
}

/* All ask while the first still loads. */
static int get_at_once(int result)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {.result = result, .crowd = CROWD};
        struct reader readers[CROWD];
        pthread_t threads[CROWD];

        for (int i = 0; i < CROWD; i++) {
                readers[i] = (struct reader){.owner = c, .loader = &l};
                assert_int_equal(pthread_create(&threads[i], NULL, get_one, &readers[i]), 0);
        }
        for (int i = 0; i < CROWD; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(readers[i].result, result);
        }
        free_cache(c);
        return l.loads;
}

static void test_waiters_share_one_load(void **state)
{
        (void)state;
        assert_int_equal(get_at_once(0), 1);
}

static void test_waiters_share_a_failure(void **state)
{
        (void)state;
        assert_int_equal(get_at_once(-EIO), 1);
}

static void *churn(void *arg)
{
        struct reader *r = arg;

        for (uint64_t i = 0; i < 3000; i++) {
                uint64_t key = i * (uint64_t)(r->result * 2 + 3) % 40;
                struct block *b;

                if (blockcache_get(r->owner, key, SIZE, load, r->loader, &b) < 0)
                        return arg;
                if (((uint8_t *)block_data(b))[i % SIZE] != (uint8_t)key)
                        return arg;
                blockcache_put(r->owner, b);
        }
        return NULL;
}

static void test_many_readers_and_evictions(void **state)
{
        struct cache_owner *c = new_cache(10 * SIZE);
        struct loader l = {0};
        struct reader readers[4];
        pthread_t threads[4];
        (void)state;

        for (int i = 0; i < 4; i++) {
                readers[i] = (struct reader){.owner = c, .loader = &l, .result = i};
                assert_int_equal(pthread_create(&threads[i], NULL, churn, &readers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
                void *wrong;

                pthread_join(threads[i], &wrong);
                assert_null(wrong);
        }
        assert_true(blockcache_bytes(cache) <= 10 * SIZE);
        free_cache(c);
}

/* What a caller fills by and by makes room for itself as it grows. */
static void test_what_is_filled_counts(void **state)
{
        struct cache_owner *c = new_cache(2 * SIZE);
        struct loader l = {0};
        struct block *b;
        (void)state;

        touch(c, 7, &l);
        touch(c, 8, &l);
        assert_int_equal(blockcache_prepare(c, 9, SIZE, &b), 0);
        assert_true(blockcache_contains(c, 7));
        blockcache_fill(c, b, SIZE / 2);
        assert_int_equal(blockcache_bytes(cache), SIZE + SIZE / 2);
        assert_false(blockcache_contains(c, 7));
        blockcache_fill(c, b, SIZE);
        assert_int_equal(blockcache_bytes(cache), 2 * SIZE);
        blockcache_put(c, b);
        assert_int_equal(blockcache_bytes(cache), SIZE);
        free_cache(c);
}

static void test_what_takes_memory_for_longer_makes_room(void **state)
{
        struct cache_owner *c = new_cache(2 * SIZE);
        struct loader l = {0};
        (void)state;

        touch(c, 7, &l);
        touch(c, 8, &l);
        blockcache_account(c, 0, SIZE);
        assert_int_equal(blockcache_bytes(cache), 2 * SIZE);
        assert_false(blockcache_contains(c, 7));
        blockcache_account(c, SIZE, 0);
        assert_int_equal(blockcache_bytes(cache), SIZE);
        free_cache(c);
}

/* Or each part of it that is read would have all of it decoded. */
static void test_last_block_stays_whatever_is_held(void **state)
{
        struct cache_owner *c = new_cache(2 * SIZE);
        struct loader l = {0};
        struct block *held;
        (void)state;

        assert_int_equal(blockcache_prepare(c, 9, 2 * SIZE, &held), 0);
        blockcache_fill(c, held, 2 * SIZE);
        blockcache_account(c, 0, 5 * SIZE);
        for (int i = 0; i < 3; i++)
                touch(c, 7, &l);
        assert_int_equal(l.loads, 1);
        touch(c, 8, &l);
        assert_false(blockcache_contains(c, 7));
        blockcache_account(c, 5 * SIZE, 0);
        blockcache_put(c, held);
        assert_int_equal(blockcache_bytes(cache), SIZE);
        free_cache(c);
}

struct crowd {
        struct cache_owner *owner;
        _Atomic uint64_t next_key;
        _Atomic unsigned running, most; /* loads and work, at the same time */
};

/* Take some time, and note how many do meanwhile. */
static void linger(struct crowd *crowd)
{
        unsigned running = ++crowd->running, most = crowd->most;

        while (running > most && !atomic_compare_exchange_weak(&crowd->most, &most, running))
                ;
        usleep(2000);
        crowd->running--;
}

static int load_in_crowd(void *ctx, uint64_t key, void *buf, size_t len)
{
        linger(ctx);
        memset(buf, (int)key, len);
        return 0;
}

static void *get_another(void *arg)
{
        struct crowd *crowd = arg;

        for (int i = 0; i < 5; i++) {
                struct block *b;

                if (blockcache_get(crowd->owner, crowd->next_key++, SIZE, load_in_crowd, crowd,
                                   &b) < 0)
                        return arg;
                blockcache_put(crowd->owner, b);
        }
        return NULL;
}

/* Sixteen, each of whom wants something else, where there is room for four. */
static void test_bound_holds_while_many_load(void **state)
{
        struct crowd crowd = {.owner = new_cache(4 * SIZE)};
        pthread_t threads[16];
        (void)state;

        for (int i = 0; i < 16; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, get_another, &crowd), 0);
        for (int i = 0; i < 16; i++) {
                void *wrong;

                pthread_join(threads[i], &wrong);
                assert_null(wrong);
        }
        assert_int_equal(crowd.next_key, 80);
        assert_in_range(crowd.most, 1, 4);
        free_cache(crowd.owner);
}

static void *get_and_work(void *arg)
{
        struct crowd *crowd = arg;

        for (int i = 0; i < 5; i++) {
                struct block *b;

                if (blockcache_get_beside(crowd->owner, crowd->next_key++, SIZE, 2 * SIZE,
                                          load_in_crowd, crowd, &b) < 0)
                        return arg;
                blockcache_put(crowd->owner, b);
                blockcache_begin_work(crowd->owner, 3 * SIZE);
                linger(crowd);
                blockcache_end_work(crowd->owner, 3 * SIZE);
        }
        return NULL;
}

/* The same for loads that take twice as much memory, or work of their own. */
static void test_bound_holds_while_many_work(void **state)
{
        struct crowd crowd = {.owner = new_cache(12 * SIZE)};
        pthread_t threads[16];
        (void)state;

        for (int i = 0; i < 16; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, get_and_work, &crowd), 0);
        for (int i = 0; i < 16; i++) {
                void *wrong;

                pthread_join(threads[i], &wrong);
                assert_null(wrong);
        }
        assert_in_range(crowd.most, 1, 4);
        free_cache(crowd.owner);
}

/* A block of LEN bytes that nobody has asked for. */
static void feed(struct cache_owner *c, uint64_t key, size_t len)
{
        struct block *b;

        assert_int_equal(blockcache_prepare(c, key, len, &b), 0);
        memset(block_data(b), (int)key, len);
        blockcache_add(c, b, len);
        blockcache_put(c, b);
}

static void test_peeking_is_not_asking(void **state)
{
        struct cache_owner *c = new_cache(8 << 20);
        (void)state;

        feed(c, 1, SIZE);
        feed(c, 2, SIZE);
        assert_null(blockcache_peek_ready(c, 3));
        blockcache_put(c, blockcache_peek_ready(c, 1));
        blockcache_put(c, blockcache_get_ready(c, 2));
        blockcache_drop_unread(c, 1);
        blockcache_drop_unread(c, 2);
        assert_false(blockcache_contains(c, 1));
        assert_true(blockcache_contains(c, 2));
        free_cache(c);
}

/* Two unused buffers, a quarter of the bound, and then blocks that leave room for only one. */
static void test_unused_buffers_go_before_blocks(void **state)
{
        struct cache_owner *c = new_cache(8 << 20);
        struct loader l = {0};
        (void)state;

        feed(c, 100, 1 << 20);
        feed(c, 101, 1 << 20);
        blockcache_drop_unread(c, 100);
        blockcache_drop_unread(c, 101);
        for (uint64_t key = 0; key < 70; key++)
                touch(c, key, &l);
        assert_int_equal(l.loads, 70);
        for (uint64_t key = 0; key < 70; key++)
                assert_true(blockcache_contains(c, key));
        free_cache(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_second_get_does_not_load),
            cmocka_unit_test(test_peeking_is_not_asking),
            cmocka_unit_test(test_unused_buffers_go_before_blocks),
            cmocka_unit_test(test_bound_holds_and_oldest_goes_first),
            cmocka_unit_test(test_what_was_read_goes_before_what_is_older),
            cmocka_unit_test(test_what_was_read_in_part_is_not_spent),
            cmocka_unit_test(test_what_is_read_once_takes_little_room),
            cmocka_unit_test(test_spent_memory_is_used_again),
            cmocka_unit_test(test_spent_memory_of_another_size_goes),
            cmocka_unit_test(test_small_spent_blocks_make_way),
            cmocka_unit_test(test_spent_memory_is_used_for_what_is_prepared),
            cmocka_unit_test(test_last_spent_block_stays),
            cmocka_unit_test(test_who_asks_for_a_spent_block_saves_it),
            cmocka_unit_test(test_what_was_read_before_it_was_added_counts),
            cmocka_unit_test(test_held_blocks_stay),
            cmocka_unit_test(test_block_over_the_bound_works_and_goes),
            cmocka_unit_test(test_failure_is_not_kept),
            cmocka_unit_test(test_prepared_block_is_found_once_added),
            cmocka_unit_test(test_only_unread_blocks_are_dropped),
            cmocka_unit_test(test_empty_block_is_freed),
            cmocka_unit_test(test_waiters_share_one_load),
            cmocka_unit_test(test_waiters_share_a_failure),
            cmocka_unit_test(test_many_readers_and_evictions),
            cmocka_unit_test(test_what_is_filled_counts),
            cmocka_unit_test(test_what_takes_memory_for_longer_makes_room),
            cmocka_unit_test(test_last_block_stays_whatever_is_held),
            cmocka_unit_test(test_bound_holds_while_many_load),
            cmocka_unit_test(test_bound_holds_while_many_work),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
