/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tar as a tree of files: which tars are, what its members become, and tars that mean ill. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "archive/tarfile/tar_meta.h"
#include "archive/volume.h"
#include "index/index.h"
#include "index/members/members.h"
#include "index/tree/tree.h"
#include "tests/fixtures/tar_fixture.h"

/* A header of TYPE that links to TARGET. */
static void add_link(const char *name, char type, const char *target)
{
        uint8_t *h = tarball_header(name, type, 0);

        memcpy(h + 157, target, strlen(target));
        tarball_sign(h);
}

/* A pax header of N pairs of key and value; a record's length counts its own digits. */
static void add_pax(size_t n, const char *const *pairs)
{
        char text[1024] = "", *at = text;

        for (size_t i = 0; i < n; i++, pairs += 2) {
                size_t rest = strlen(pairs[0]) + strlen(pairs[1]) + 3, len = rest + 1;

                while ((size_t)snprintf(NULL, 0, "%zu", len) + rest != len)
                        len++;
                at += snprintf(at, sizeof text - (size_t)(at - text), "%zu %s=%s\n", len, pairs[0],
                               pairs[1]);
        }
        tarball_pax(text);
}

#define PAX(...)                                                                                   \
        do {                                                                                       \
                const char *const pairs_[] = {__VA_ARGS__};                                        \
                                                                                                   \
                add_pax(sizeof pairs_ / sizeof *pairs_ / 2, pairs_);                               \
        } while (0)

/* A link, by which any tar is a tree. */
static void begin_tree(void)
{
        add_link("link", '2', "target");
}

static struct image tree(void)
{
        struct image o;

        tarball_finish();
        o = tarball_scan();
        assert_true(index_is_tree(o.index));
        assert_non_null(index_members(o.index));
        tree_limit(index_tree(o.index), SIZE_MAX);
        return o;
}

/* The node PATH, or NULL. */
static struct node *find(const struct image *o, const char *path)
{
        struct node *n = tree_root(index_tree(o->index)), *below;

        while (*path) {
                size_t len = strcspn(path, "/");
                char name[256];

                snprintf(name, sizeof name, "%.*s", (int)len, path);
                if (tree_lookup(n, name, &below) < 0)
                        return NULL;
                tree_release(below, 1);
                n = below;
                path += len + (path[len] == '/');
        }
        return n;
}

static const struct members_node *member(const struct image *o, const char *path)
{
        const struct node *n = find(o, path);

        if (!n)
                fail_msg("there is no %s", path);
        return index_member_of(o->index, n);
}

/* As volume_read of all of the file PATH, into BUF. */
static int read_file(const struct image *o, const char *path, void *buf, size_t len)
{
        struct members_volume open;
        struct volume *v = index_member_open(o->index, member(o, path), &open);

        assert_int_equal(v->size, len);
        return volume_read(v, buf, len, 0);
}

static void expect_file(const struct image *o, const char *path, const char *text)
{
        char buf[256];

        assert_int_equal(read_file(o, path, buf, strlen(text)), 0);
        assert_memory_equal(buf, text, strlen(text));
}

static void expect_xattr(const struct image *o, const char *path, const char *name,
                         const void *value, size_t len)
{
        const struct node_extra *x = tree_extra(find(o, path));
        uint32_t found;

        assert_non_null(x);
        for (size_t at = 0; at < x->xattrs_len; at += sizeof found + found) {
                const char *here = x->xattrs + at;

                at += strlen(here) + 1;
                memcpy(&found, x->xattrs + at, sizeof found);
                if (strcmp(here, name) != 0)
                        continue;
                assert_int_equal(found, len);
                assert_memory_equal(x->xattrs + at + sizeof found, value, len);
                return;
        }
        fail_msg("%s has no %s", path, name);
}

/* ---- which view ---- */

static bool is_tree_then(void)
{
        struct image o;
        bool is_tree;

        tarball_finish();
        o = tarball_scan();
        is_tree = index_is_tree(o.index);
        image_end(&o);
        tarball_reset(NULL);
        return is_tree;
}

static void test_a_configuration_of_a_container_makes_a_tree(void **state)
{
        (void)state;
        tarball_member("./etc/vzdump/pct.conf", "arch: amd64\n", 12);
        tarball_member("disk.raw", "x", 1);
        assert_true(is_tree_then());
}

static void test_links_and_devices_make_a_tree(void **state)
{
        static const char types[] = "12346";

        (void)state;
        for (const char *type = types; *type; type++) {
                add_link("a", *type, "b");
                tarball_member("disk.raw", "x", 1);
                assert_true(is_tree_then());
        }
}

static void test_an_image_before_them_makes_images(void **state)
{
        (void)state;
        tarball_member("web01.ovf", "<Envelope/>", 11);
        add_link("a", '2', "b");
        assert_false(is_tree_then());
        tarball_header("images/", '5', 0);
        tarball_member("images/disk.QCOW2", "x", 1);
        assert_false(is_tree_then());
}

static void test_a_folder_makes_a_tree_and_files_alone_do_not(void **state)
{
        (void)state;
        tarball_header("./", '5', 0);
        tarball_member("./README", "x", 1);
        assert_false(is_tree_then());
        tarball_header("src/", '5', 0);
        tarball_member("src/README", "x", 1);
        assert_true(is_tree_then());
}

/* ---- members ---- */

static void test_owner_mode_and_time(void **state)
{
        const struct members_node *m;
        struct image o;
        uint8_t *h;

        (void)state;
        begin_tree();
        PAX("uid", "4000000000", "gid", "70000000", "mtime", "1600000000.123456789");
        h = tarball_header("file", '0', 0);
        memcpy(h + 100, "0004751", 8);
        tarball_sign(h);
        PAX("mtime", "-1.5");
        tarball_member("old", "x", 1);
        o = tree();
        m = member(&o, "file");
        assert_int_equal(m->mode, S_IFREG | 04751);
        assert_int_equal(m->uid, 4000000000);
        assert_int_equal(m->gid, 70000000);
        assert_int_equal(m->mtime, 1600000000);
        assert_int_equal(m->mtime_ns, 123456789);
        m = member(&o, "old");
        assert_int_equal(m->mtime, -2);
        assert_int_equal(m->mtime_ns, 500000000);
        image_end(&o);
}

static void test_devices_and_pipes(void **state)
{
        struct image o;
        uint8_t *h;

        (void)state;
        h = tarball_header("null", '3', 0);
        memcpy(h + 329, "0000001", 8);
        memcpy(h + 337, "0000003", 8);
        tarball_sign(h);
        tarball_header("pipe", '6', 0);
        o = tree();
        assert_true(S_ISCHR(member(&o, "null")->mode));
        assert_int_equal(find(&o, "null")->rdev, makedev(1, 3));
        assert_true(S_ISFIFO(member(&o, "pipe")->mode));
        image_end(&o);
}

static void test_links_of_both_kinds(void **state)
{
        char target[301] = "";
        struct image o;

        (void)state;
        memset(target, 't', 300);
        tarball_member("a/file", "text", 4);
        add_link("b/same", '1', "./a/file");
        tarball_header("././@LongLink", 'K', 301);
        tarball_append(target, 301);
        add_link("far", '2', "cut");
        o = tree();
        expect_file(&o, "b/same", "text");
        assert_int_equal(find(&o, "b/same")->ino, find(&o, "a/file")->ino);
        assert_int_equal(member(&o, "a/file")->links, 2);
        assert_string_equal(tree_extra(find(&o, "far"))->target, target);
        image_end(&o);
}

static void test_attributes_of_three_kinds(void **state)
{
        static const uint8_t acl[] = {
            2, 0,    0,    0,    1,    0,    6,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,   5,
            0, 0xe8, 3,    0,    0,    4,    0,  4, 0,    0xff, 0xff, 0xff, 0xff, 16,  0,
            5, 0,    0xff, 0xff, 0xff, 0xff, 32, 0, 0,    0,    0xff, 0xff, 0xff, 0xff};
        struct image o;

        (void)state;
        begin_tree();
        PAX("SCHILY.xattr.user.a%3Db", "c=d", "LIBARCHIVE.xattr.user.%20", "aGVsbG8A",
            "RHT.security.selinux", "system_u", "SCHILY.acl.access",
            "other::---,user::rw-,user:web:r-x:1000,group::r--,mask::r-x");
        tarball_member("file", "x", 1);
        o = tree();
        expect_xattr(&o, "file", "user.a=b", "c=d", 3);
        expect_xattr(&o, "file", "user. ", "hello", 6);
        expect_xattr(&o, "file", "security.selinux", "system_u", 9);
        expect_xattr(&o, "file", "system.posix_acl_access", acl, sizeof acl);
        image_end(&o);
}

#define ACL_ENTRY(tag, permissions, id) tag, 0, permissions, 0, id, 0, 0, 0
#define ACL_ALL(tag, permissions)       tag, 0, permissions, 0, 0xff, 0xff, 0xff, 0xff

/*
 * A name without a number means no user here. The rest of the list holds, since the group would have the
 * mask's rights without it, and gives nobody more than all of it did.
 */
static void test_a_list_that_names_somebody_unknown_is_kept_in_part(void **state)
{
        static const uint8_t granted[] = {2,
                                          0,
                                          0,
                                          0,
                                          ACL_ALL(1, 6),
                                          ACL_ENTRY(2, 4, 7),
                                          ACL_ALL(4, 0),
                                          ACL_ALL(16, 5),
                                          ACL_ALL(32, 0)};
        static const uint8_t denied[] = {2,
                                         0,
                                         0,
                                         0,
                                         ACL_ALL(1, 6),
                                         ACL_ALL(4, 0),
                                         ACL_ENTRY(8, 0, 9),
                                         ACL_ALL(16, 7),
                                         ACL_ALL(32, 0)};
        static const uint8_t group[] = {
            2, 0, 0, 0, ACL_ALL(1, 6), ACL_ALL(4, 7), ACL_ALL(16, 5), ACL_ALL(32, 4)};
        struct members_counts counts;
        struct image o;

        (void)state;
        begin_tree();
        PAX("SCHILY.acl.access",
            "user::rw-,user:web:r-x,user:7:r--,group::---,mask::r-x,other::---");
        tarball_member("granted", "x", 1);
        PAX("SCHILY.acl.access",
            "user::rw-,user:web:---,group::r-x,group:9:rwx,mask::rwx,other::r-x");
        tarball_member("denied", "x", 1);
        PAX("SCHILY.acl.access", "user::rw-,group::rwx,group:web:rw-,mask::r-x,other::r-x");
        tarball_member("group", "x", 1);
        PAX("SCHILY.acl.access", "user::rw-,user:web:what");
        tarball_member("none", "x", 1);
        o = tree();
        expect_xattr(&o, "granted", "system.posix_acl_access", granted, sizeof granted);
        expect_xattr(&o, "denied", "system.posix_acl_access", denied, sizeof denied);
        expect_xattr(&o, "group", "system.posix_acl_access", group, sizeof group);
        assert_null(tree_extra(find(&o, "none")));
        members_tally(index_members(o.index), &counts);
        assert_int_equal(counts.dropped, 4);
        image_end(&o);
}

static void test_a_later_member_replaces_an_earlier_one(void **state)
{
        struct members_counts counts;
        struct image o;

        (void)state;
        begin_tree();
        tarball_member("a", "one", 3);
        add_link("b", '1', "a");
        tarball_member("./a", "three", 5);
        o = tree();
        expect_file(&o, "a", "three");
        expect_file(&o, "b", "one");
        assert_int_equal(member(&o, "a")->links, 1);
        members_tally(index_members(o.index), &counts);
        assert_int_equal(counts.replaced, 1);
        image_end(&o);
}

static void test_a_sparse_file_has_holes(void **state)
{
        uint8_t *h;
        char buf[3000];
        struct image o;

        (void)state;
        begin_tree();
        h = tarball_gnu_sparse("sparse", 3000, 4, false);
        tarball_pair(h + 386, 2000, 4);
        tarball_pair(h + 410, 3000, 0);
        tarball_sign(h);
        tarball_append("data", 4);
        o = tree();
        assert_int_equal(read_file(&o, "sparse", buf, sizeof buf), 0);
        assert_memory_equal(buf + 2000, "data", 4);
        assert_int_equal(buf[1999], 0);
        assert_int_equal(buf[2004], 0);
        assert_int_equal(members_stored(index_members(o.index), member(&o, "sparse")), 4096);
        image_end(&o);
}

static void test_the_configuration_is_in_the_root_too(void **state)
{
        struct image o;

        (void)state;
        tarball_member("./etc/vzdump/pct.conf", "arch: amd64\n", 12);
        tarball_member("./etc/vzdump/pct.fw", "[OPTIONS]\n", 10);
        o = tree();
        assert_string_equal(index_config(o.index), "arch: amd64\n");
        expect_file(&o, "pct.conf", "arch: amd64\n");
        expect_file(&o, "pct.fw", "[OPTIONS]\n");
        assert_int_equal(member(&o, "etc/vzdump/pct.conf")->links, 1);
        image_end(&o);
}

static void test_a_file_pct_conf_of_the_root_stays(void **state)
{
        struct image o;

        (void)state;
        tarball_member("./etc/vzdump/pct.conf", "arch: amd64\n", 12);
        tarball_member("./pct.conf", "its own", 7);
        o = tree();
        expect_file(&o, "pct.conf", "its own");
        image_end(&o);
}

/* ---- hostile ones ---- */

static void test_names_that_escape_are_made_safe(void **state)
{
        struct image o;

        (void)state;
        begin_tree();
        tarball_member("/etc/shadow", "one", 3);
        tarball_member("../../x", "two", 3);
        tarball_member("a/../b", "three", 5);
        o = tree();
        expect_file(&o, "etc/shadow", "one");
        expect_file(&o, "%2E%2E/%2E%2E/x", "two");
        expect_file(&o, "a/%2E%2E/b", "three");
        image_end(&o);
}

static void test_below_a_link_is_a_folder(void **state)
{
        struct image o;

        (void)state;
        add_link("a", '2', "/etc");
        tarball_member("a/passwd", "evil", 4);
        o = tree();
        assert_true(S_ISDIR(member(&o, "a")->mode));
        expect_file(&o, "a/passwd", "evil");
        image_end(&o);
}

static void test_once_a_file_and_once_a_folder(void **state)
{
        struct members_counts counts;
        struct image o;

        (void)state;
        begin_tree();
        tarball_member("a", "file", 4);
        tarball_header("a/", '5', 0);
        tarball_member("a/b", "below", 5);
        tarball_member("a", "again", 5);
        tarball_header("empty/", '5', 0);
        tarball_member("empty", "now a file", 10);
        o = tree();
        assert_true(S_ISDIR(member(&o, "a")->mode));
        expect_file(&o, "a/b", "below");
        expect_file(&o, "empty", "now a file");
        members_tally(index_members(o.index), &counts);
        assert_int_equal(counts.unshown, 1);
        image_end(&o);
}

static void test_hard_links_to_what_is_not_there(void **state)
{
        struct image o;

        (void)state;
        add_link("a", '1', "nowhere");
        add_link("self", '1', "self");
        tarball_header("dir/", '5', 0);
        add_link("b", '1', "dir");
        o = tree();
        assert_true(find(&o, "a")->flags & NODE_BROKEN);
        assert_true(find(&o, "self")->flags & NODE_BROKEN);
        assert_true(find(&o, "b")->flags & NODE_BROKEN);
        image_end(&o);
}

static void test_a_name_of_100_kilobytes_is_cut(void **state)
{
        enum { LONG = 100000 };
        char *name = malloc(LONG + 1);
        struct tree_cursor c = {0};
        struct image o;
        struct node *n;

        (void)state;
        memset(name, 'n', LONG);
        name[LONG] = '\0';
        tarball_header("././@LongLink", 'L', LONG + 1);
        tarball_append(name, LONG + 1);
        begin_tree();
        free(name);
        o = tree();
        assert_int_equal(tree_open(tree_root(index_tree(o.index))), 0);
        n = tree_next(tree_root(index_tree(o.index)), &c);
        assert_int_equal(strlen(n->name), 255);
        assert_int_equal(n->name[254], '~');
        image_end(&o);
}

static void test_an_attribute_of_megabytes_is_left_out(void **state)
{
        enum { LONG = 2 << 20 };
        char *records = malloc(LONG + 1);
        int head = snprintf(records, LONG, "%d SCHILY.xattr.user.big=", LONG);
        struct image o;

        (void)state;
        memset(records + head, 'v', (size_t)(LONG - head));
        records[LONG - 1] = '\n';
        records[LONG] = '\0';
        begin_tree();
        tarball_pax(records);
        tarball_member("file", "x", 1);
        free(records);
        o = tree();
        expect_file(&o, "file", "x");
        assert_null(tree_extra(find(&o, "file")));
        image_end(&o);
}

static void test_more_attributes_than_any_file_has_are_left_out(void **state)
{
        enum { MANY = 20000, EACH = 28 };
        char *records = malloc(MANY * EACH + 1), *at = records;
        struct members_counts counts;
        struct image o;

        (void)state;
        for (unsigned i = 0; i < MANY; i++)
                at += snprintf(at, EACH + 1, "28 SCHILY.xattr.user.%05u=\n", i);
        begin_tree();
        tarball_pax(records);
        tarball_member("file", "x", 1);
        free(records);
        o = tree();
        expect_file(&o, "file", "x");
        assert_int_equal(tree_extra(find(&o, "file"))->xattrs_len,
                         TAR_XATTR_COUNT_MAX * (sizeof "user.00000" + sizeof(uint32_t)));
        members_tally(index_members(o.index), &counts);
        assert_int_equal(counts.dropped, MANY - TAR_XATTR_COUNT_MAX);
        image_end(&o);
}

static void test_a_million_folders_in_each_other(void **state)
{
        enum { DEEP = 1000000 };
        char *path = malloc(2 * DEEP + 2);
        struct image o;

        (void)state;
        for (size_t i = 0; i < DEEP; i++)
                memcpy(path + 2 * i, "d/", 2);
        memcpy(path + 2 * (size_t)DEEP, "f", 2);
        tarball_header("././@LongLink", 'L', 2 * DEEP + 2);
        tarball_append(path, 2 * DEEP + 2);
        begin_tree();
        free(path);
        o = tree();
        assert_int_equal(members_count(index_members(o.index)), DEEP + 2);
        assert_true(S_ISDIR(member(&o, "d/d/d/d")->mode));
        image_end(&o);
}

/* A map of more pieces than any file has: the file is there, and cannot be read. */
static void test_a_sparse_map_of_over_a_million_pieces(void **state)
{
        enum { PIECES = (1 << 20) + 8, TEXT = PIECES * 12 };
        char *map = malloc(TEXT + 64), *at = map;
        struct image o;
        char byte;

        (void)state;
        begin_tree();
        at += sprintf(at, "%d\n", PIECES);
        for (size_t i = 0; i < PIECES; i++)
                at += sprintf(at, "%zu\n1\n", i * 2);
        PAX("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "the-sparse",
            "GNU.sparse.realsize", "999999999");
        tarball_header("./GNUSparseFile.0/x", '0', (size_t)(at - map) + 512);
        tarball_append(map, (size_t)(at - map) + 512);
        free(map);
        o = tree();
        assert_true(member(&o, "the-sparse")->flags & MEMBERS_LOST);
        {
                struct members_volume open;
                struct volume *v = index_member_open(o.index, member(&o, "the-sparse"), &open);

                assert_int_equal(volume_read(v, &byte, 1, 0), -EIO);
        }
        assert_true(image_damage_says(&o, "sparse map"));
        image_end(&o);
}

static void test_what_is_cut_off_cannot_be_read(void **state)
{
        struct members_volume open;
        struct image o;
        char buf[100];

        (void)state;
        begin_tree();
        tarball_member("whole", "whole", 5);
        tarball_header("cut", '0', 100000);
        tarball_append(NULL, 512);
        o = tarball_scan();
        expect_file(&o, "whole", "whole");
        assert_int_equal(
            volume_read(index_member_open(o.index, member(&o, "cut"), &open), buf, 100, 0), 0);
        assert_int_equal(
            volume_read(index_member_open(o.index, member(&o, "cut"), &open), buf, 100, 50000),
            -EIO);
        assert_true(image_damage_says(&o, "cut off"));
        image_end(&o);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_teardown(name, tarball_reset)
            TEST(test_a_configuration_of_a_container_makes_a_tree),
            TEST(test_links_and_devices_make_a_tree),
            TEST(test_an_image_before_them_makes_images),
            TEST(test_a_folder_makes_a_tree_and_files_alone_do_not),
            TEST(test_owner_mode_and_time),
            TEST(test_devices_and_pipes),
            TEST(test_links_of_both_kinds),
            TEST(test_attributes_of_three_kinds),
            TEST(test_a_list_that_names_somebody_unknown_is_kept_in_part),
            TEST(test_a_later_member_replaces_an_earlier_one),
            TEST(test_a_sparse_file_has_holes),
            TEST(test_the_configuration_is_in_the_root_too),
            TEST(test_a_file_pct_conf_of_the_root_stays),
            TEST(test_names_that_escape_are_made_safe),
            TEST(test_below_a_link_is_a_folder),
            TEST(test_once_a_file_and_once_a_folder),
            TEST(test_hard_links_to_what_is_not_there),
            TEST(test_a_name_of_100_kilobytes_is_cut),
            TEST(test_an_attribute_of_megabytes_is_left_out),
            TEST(test_more_attributes_than_any_file_has_are_left_out),
            TEST(test_a_million_folders_in_each_other),
            TEST(test_a_sparse_map_of_over_a_million_pieces),
            TEST(test_what_is_cut_off_cannot_be_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
