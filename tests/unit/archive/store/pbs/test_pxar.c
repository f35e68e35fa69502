/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pxar archives made by hand: every kind of node, and folders that lead astray. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/store/pbs/pxar.h"
#include "archive/store/pbs/pxar_internal.h"
#include "archive/volume.h"
#include "tests/fixtures/pxar_writer.h"

/* ---- a volume in memory ---- */

struct memory {
        struct volume base;
        const uint8_t *data;
};

static int memory_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        (void)v;
        (void)pos;
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED};
        return 0;
}

static int memory_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        memcpy(buf, ((struct memory *)v)->data + pos, len);
        return 0;
}

static const struct volume_ops memory_ops = {.extent = memory_extent, .read = memory_read};

static struct memory as_volume(struct bytes b)
{
        return (struct memory){.base = {.ops = &memory_ops, .size = b.len}, .data = b.data};
}

/* ---- what is in an archive, as lines of text ---- */

struct lister {
        struct pxar *pxar;
        char text[65536];
        size_t len;
        unsigned depth;
        uint64_t damaged;
        size_t entries, owned; /* owned: with the owner and the time that the writer gives all */
        int error;
};

__attribute__((format(printf, 2, 3))) static void say(struct lister *l, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        l->len += (size_t)vsnprintf(l->text + l->len, sizeof l->text - l->len, fmt, args);
        va_end(args);
        assert_true(l->len < sizeof l->text);
}

static int list_folder(struct lister *l, const struct pxar_folder *folder);

static void say_content(struct lister *l, const struct pxar_entry *e)
{
        char data[64] = "";
        struct volume *v;

        assert_int_equal(pxar_content(l->pxar, e, &v), 0);
        assert_int_equal(v->size, e->size);
        if (e->size > sizeof data - 1)
                say(l, " %llu bytes", (unsigned long long)e->size);
        else
                say(l, " \"%s\"",
                    pxar_read(v, data, (size_t)e->size, 0, NULL) == 0 ? data : "lost");
        v->ops->close(v);
}

static int say_entry(void *ctx, const struct pxar_entry *e)
{
        struct lister *l = ctx;

        say(l, "%*s%s %o", (int)(2 * l->depth), "", e->name, (unsigned)e->mode);
        if (S_ISREG(e->mode))
                say_content(l, e);
        if (S_ISLNK(e->mode))
                say(l, " -> %s", e->target);
        if (S_ISBLK(e->mode))
                say(l, " %u:%u", major(e->rdev), minor(e->rdev));
        if (e->same_as)
                say(l, " linked");
        for (size_t i = 0; i < e->xattr_count; i++)
                say(l, " %s=%.*s", e->xattrs[i].name, (int)e->xattrs[i].len,
                    (const char *)e->xattrs[i].value);
        say(l, "\n");
        assert_true(e->id > 0);
        l->owned += e->uid == 1000 && e->gid == 1001 && e->mtime.tv_sec == 1767323045 &&
                    e->mtime.tv_nsec == 250000000;
        l->entries++;
        return S_ISDIR(e->mode) ? list_folder(l, &e->folder) : 0;
}

static int list_folder(struct lister *l, const struct pxar_folder *folder)
{
        uint64_t damaged;
        int rc;

        assert_true(l->depth++ < PXARW_DEPTH);
        rc = pxar_list(l->pxar, folder, say_entry, l, &damaged, NULL);
        l->depth--;
        l->damaged += damaged;
        if (rc < 0)
                l->error = rc;
        return 0;
}

/* All of what W has, as text; l->error where a folder cannot be believed. */
static void list(struct pxar_writer *w, struct lister *l)
{
        struct memory meta = as_volume(w->meta), payload = as_volume(w->payload);
        struct pxar_folder root;
        int rc;

        memset(l, 0, sizeof *l);
        rc = pxar_open(&meta.base, w->split ? &payload.base : NULL, &l->pxar, &root, NULL);
        if (rc == 0)
                list_folder(l, &root);
        else
                l->error = rc;
        pxar_free(l->pxar);
}

static void expect(struct pxar_writer *w, const char *text)
{
        static struct lister l;

        list(w, &l);
        assert_string_equal(l.text, text);
        assert_int_equal(l.error, 0);
        assert_int_equal(l.damaged, 0);
        assert_int_equal(l.owned, l.entries);
}

/* ---- what is whole ---- */

static void write_all_kinds(struct pxar_writer *w, bool split)
{
        uint64_t file;

        pxarw_start(w, split);
        pxarw_device(w, "block", 8, 17);
        pxarw_folder(w, "etc", 0700);
        pxarw_folder(w, "empty", 0755);
        pxarw_leave(w);
        file = pxarw_file(w, "passwd", "root", 4);
        pxarw_leave(w);
        pxarw_fifo(w, "fifo");
        pxarw_link(w, "link", "etc/passwd");
        pxarw_hard_link(w, "other", file);
        pxarw_file_with_xattr(w, "x", "user.a\0value", 12);
        pxarw_leave(w);
}

static const char all_kinds[] = "  block 60660 8:17\n"
                                "  etc 40700\n"
                                "    empty 40755\n"
                                "    passwd 100640 \"root\"\n"
                                "  fifo 10600\n"
                                "  link 120777 -> etc/passwd\n"
                                "  other 100640 \"root\" linked\n"
                                "  x 100640 \"x\" user.a=value\n";

static void test_every_kind_of_node_is_read(void **state)
{
        struct pxar_writer w;

        (void)state;
        write_all_kinds(&w, false);
        expect(&w, all_kinds);
        pxarw_free(&w);
}

/* What we do not show, such as the id of a project quota, costs nothing else of its node. */
static void test_items_of_other_kinds_are_passed_over(void **state)
{
        static const uint64_t project = 0xe07540e82f7d1cbb;
        struct pxar_writer w;
        uint8_t id[8], entry[40] = {0};

        (void)state;
        store_le64(id, 4711);
        store_le64(entry, S_IFREG | 0640);
        store_le32(entry + 16, 1000);
        store_le32(entry + 20, 1001);
        store_le64(entry + 24, 1767323045);
        store_le32(entry + 32, 250000000);
        pxarw_start(&w, false);
        pxarw_child(&w);
        pxarw_item(&w, PXAR_FILENAME, "x", 2);
        pxarw_item(&w, PXAR_ENTRY, entry, sizeof entry);
        pxarw_item(&w, PXAR_XATTR, "user.a\0value", 12);
        pxarw_item(&w, project, id, sizeof id);
        pxarw_item(&w, PXAR_PAYLOAD, "data", 4);
        pxarw_leave(&w);
        expect(&w, "  x 100640 \"data\" user.a=value\n");
        pxarw_free(&w);
}

static void test_data_in_a_payload_of_their_own_are_read(void **state)
{
        struct pxar_writer w;

        (void)state;
        write_all_kinds(&w, true);
        expect(&w, all_kinds);
        pxarw_free(&w);
}

static int note_mode(void *ctx, const struct pxar_entry *e)
{
        *(mode_t *)ctx = e->mode;
        return 0;
}

static void test_the_root_has_attributes_of_its_own(void **state)
{
        (void)state;
        for (int split = 0; split <= 1; split++) {
                struct pxar_writer w;
                struct memory meta, payload;
                struct pxar_folder root;
                struct pxar *p;
                mode_t mode = 0;

                write_all_kinds(&w, split);
                meta = as_volume(w.meta);
                payload = as_volume(w.payload);
                assert_int_equal(
                    pxar_open(&meta.base, split ? &payload.base : NULL, &p, &root, NULL), 0);
                assert_int_equal(pxar_root(p, &root, note_mode, &mode, NULL), 0);
                assert_int_equal(mode, S_IFDIR | 0755);
                pxar_free(p);
                pxarw_free(&w);
        }
}

static int count_entry(void *ctx, const struct pxar_entry *e)
{
        (void)e;
        ++*(size_t *)ctx;
        return 0;
}

static void test_a_folder_of_many_is_listed(void **state)
{
        enum { MANY = 10000 };
        struct pxar_writer w;
        struct memory meta;
        struct pxar_folder root;
        struct pxar *p;
        uint64_t damaged;
        size_t count = 0;

        (void)state;
        pxarw_start(&w, false);
        for (int i = 0; i < MANY; i++) {
                char name[16];

                snprintf(name, sizeof name, "f%05d", i);
                pxarw_file(&w, name, name, 6);
        }
        pxarw_leave(&w);
        meta = as_volume(w.meta);
        assert_int_equal(pxar_open(&meta.base, NULL, &p, &root, NULL), 0);
        assert_int_equal(pxar_list(p, &root, count_entry, &count, &damaged, NULL), 0);
        assert_int_equal(count, MANY);
        assert_int_equal(damaged, 0);
        pxar_free(p);
        pxarw_free(&w);
}

/* ---- access control lists ---- */

struct wanted_acl {
        const char *file, *name;
        const uint8_t *value;
        size_t len;
        bool found;
};

static int look_for_acl(void *ctx, const struct pxar_entry *e)
{
        struct wanted_acl *w = ctx;

        if (strcmp(e->name, w->file) != 0)
                return 0;
        for (size_t i = 0; i < e->xattr_count; i++) {
                assert_false(w->found);
                assert_string_equal(e->xattrs[i].name, w->name);
                assert_int_equal(e->xattrs[i].len, w->len);
                assert_memory_equal(e->xattrs[i].value, w->value, w->len);
                w->found = true;
        }
        return 0;
}

/* The file or folder FILE in the root has exactly this one attribute. */
static void expect_acl(struct pxar_writer *w, const char *file, const char *name,
                       const uint8_t *value, size_t len)
{
        struct wanted_acl wanted = {file, name, value, len, false};
        struct memory meta = as_volume(w->meta);
        struct pxar_folder root;
        struct pxar *p;
        uint64_t damaged;

        assert_int_equal(pxar_open(&meta.base, NULL, &p, &root, NULL), 0);
        assert_int_equal(pxar_list(p, &root, look_for_acl, &wanted, &damaged, NULL), 0);
        assert_int_equal(damaged, 0);
        assert_true(wanted.found);
        pxar_free(p);
}

/* Tag, permissions and id, as the kernel has them. */
#define ACL_VERSION                         2, 0, 0, 0
#define ACL_ENTRY(tag, permissions, id)     tag, 0, permissions, 0, (id)&255, (id) >> 8, 0, 0
#define ACL_ENTRY_WITHOUT(tag, permissions) tag, 0, permissions, 0, 255, 255, 255, 255

static void test_access_control_lists_are_attributes(void **state)
{
        static const uint8_t access[] = {
            ACL_VERSION,
            ACL_ENTRY_WITHOUT(0x01, 6),
            ACL_ENTRY(0x02, 4, 1500),
            ACL_ENTRY(0x02, 6, 2000),
            ACL_ENTRY_WITHOUT(0x04, 4),
            ACL_ENTRY(0x08, 4, 3000),
            ACL_ENTRY_WITHOUT(0x10, 6),
            ACL_ENTRY_WITHOUT(0x20, 0),
        };
        static const uint8_t by_default[] = {
            ACL_VERSION,
            ACL_ENTRY_WITHOUT(0x01, 7),
            ACL_ENTRY(0x02, 7, 2000),
            ACL_ENTRY_WITHOUT(0x04, 5),
            ACL_ENTRY(0x08, 5, 3000),
            ACL_ENTRY_WITHOUT(0x10, 7),
            ACL_ENTRY_WITHOUT(0x20, 0),
        };
        struct pxar_writer w;

        (void)state;
        pxarw_start(&w, false);
        pxarw_file_with_acl(&w, "f");
        pxarw_folder(&w, "d", 0750);
        pxarw_default_acl(&w);
        pxarw_leave(&w);
        pxarw_leave(&w);
        expect_acl(&w, "f", "system.posix_acl_access", access, sizeof access);
        expect_acl(&w, "d", "system.posix_acl_default", by_default, sizeof by_default);
        pxarw_free(&w);
}

/* Named entries alone: the kernel would take no list without a mask. And what is given twice. */
static void test_a_list_that_lacks_entries_is_completed_from_the_mode(void **state)
{
        static const uint8_t access[] = {
            ACL_VERSION,
            ACL_ENTRY_WITHOUT(0x01, 7),
            ACL_ENTRY(0x02, 7, 1),
            ACL_ENTRY_WITHOUT(0x04, 5),
            ACL_ENTRY_WITHOUT(0x10, 5),
            ACL_ENTRY_WITHOUT(0x20, 1),
        };
        static const uint8_t by_default[] = {
            ACL_VERSION,
            ACL_ENTRY_WITHOUT(0x01, 7),
            ACL_ENTRY_WITHOUT(0x04, 5),
            ACL_ENTRY_WITHOUT(0x20, 0),
        };
        uint8_t body[32] = {0};
        struct pxar_writer w;

        (void)state;
        pxarw_start(&w, false);
        pxarw_folder(&w, "d", 0751);
        body[0] = 1;
        body[8] = 0xff; /* more than there are */
        pxarw_item(&w, PXAR_ACL_USER, body, 16);
        pxarw_leave(&w);
        pxarw_folder(&w, "e", 0751);
        memset(body, 0, sizeof body);
        body[0] = 7;
        body[8] = 5;
        memset(body + 24, 255, 8); /* no mask */
        pxarw_item(&w, PXAR_ACL_DEFAULT, body, 32);
        memset(body, 0, 24);
        pxarw_item(&w, PXAR_ACL_DEFAULT, body, 32);
        pxarw_leave(&w);
        pxarw_leave(&w);
        expect_acl(&w, "d", "system.posix_acl_access", access, sizeof access);
        expect_acl(&w, "e", "system.posix_acl_default", by_default, sizeof by_default);
        pxarw_free(&w);
}

static void expect_damaged(struct pxar_writer *w, const char *text, uint64_t damaged);

static void test_a_damaged_list_costs_its_node(void **state)
{
        static const uint64_t types[] = {PXAR_ACL_USER,         PXAR_ACL_GROUP,
                                         PXAR_ACL_GROUP_OBJ,    PXAR_ACL_DEFAULT,
                                         PXAR_ACL_DEFAULT_USER, PXAR_ACL_DEFAULT_GROUP};
        uint8_t body[40];
        struct pxar_writer w;

        (void)state;
        memset(body, 255, sizeof body); /* an id that nobody can have */
        pxarw_start(&w, false);
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
                pxarw_folder(&w, "d", 0700);
                pxarw_item(&w, types[i], body, 40);
                pxarw_leave(&w);
        }
        pxarw_folder(&w, "d", 0700);
        pxarw_item(&w, PXAR_ACL_USER, body, 16);
        pxarw_leave(&w);
        pxarw_file(&w, "good", "y", 1);
        expect_damaged(&w, "  good 100640 \"y\"\n", 7);
}

/* ---- what is not ---- */

static void expect_damaged(struct pxar_writer *w, const char *text, uint64_t damaged)
{
        static struct lister l;

        pxarw_leave(w);
        list(w, &l);
        assert_string_equal(l.text, text);
        assert_int_equal(l.damaged, damaged);
        assert_int_equal(l.error, 0);
        pxarw_free(w);
}

static void test_names_that_cannot_be_are_passed_over(void **state)
{
        static const char *const names[] = {"a/b", ".", "..", ""};
        struct pxar_writer w;

        (void)state;
        pxarw_start(&w, false);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                pxarw_file(&w, names[i], "x", 1);
        pxarw_child(&w);
        pxarw_item(&w, PXAR_FILENAME, "no end", 6);
        pxarw_file(&w, "good", "y", 1);
        expect_damaged(&w, "  good 100640 \"y\"\n", 5);
}

static void test_a_name_of_100_kb_is_passed_over(void **state)
{
        struct pxar_writer w;
        char *name = malloc(100001);

        (void)state;
        memset(name, 'n', 100000);
        name[100000] = '\0';
        pxarw_start(&w, false);
        pxarw_file(&w, name, "x", 1);
        pxarw_file(&w, "good", "y", 1);
        free(name);
        expect_damaged(&w, "  good 100640 \"y\"\n", 1);
}

static void test_hard_links_to_what_is_no_file_before_are_passed_over(void **state)
{
        struct pxar_writer w;
        uint64_t folder, file;

        (void)state;
        pxarw_start(&w, false);
        folder = pxarw_folder(&w, "d", 0755);
        pxarw_leave(&w);
        file = pxarw_file(&w, "f", "data", 4);
        pxarw_hard_link(&w, "to a folder", folder);
        pxarw_hard_link(&w, "to no name", file + 16);
        pxarw_hard_link(&w, "to later", file + 100000);
        pxarw_hard_link(&w, "to the root", 0);
        expect_damaged(&w, "  d 40755\n  f 100640 \"data\"\n", 4);
}

/* A folder's table says that a child, a folder, reaches as far as another one, or around itself. */
static void test_folders_that_overlap_are_shown_once(void **state)
{
        struct pxar_writer w;
        struct pxarw_folder *root;

        (void)state;
        pxarw_start(&w, false);
        pxarw_folder(&w, "a", 0755);
        pxarw_folder(&w, "b", 0755);
        pxarw_file(&w, "f", "x", 1);
        pxarw_leave(&w);
        pxarw_leave(&w);
        root = &w.folders[0];
        /* b, once more, in the root. */
        pxarw_child(&w);
        root->children[1] = (struct pxarw_child){.start = root->children[0].start + 16 + 2 + 56,
                                                 .size = root->children[0].size - 16 - 2 - 56 - 64};
        pxarw_leave(&w);
        {
                static struct lister l;

                list(&w, &l);
                assert_non_null(strstr(l.text, "  a 40755\n    b 40755\n      f 100640 \"x\"\n"));
                assert_int_equal(l.damaged, 1);
        }
        pxarw_free(&w);
}

static void test_a_reference_to_something_else_is_lost(void **state)
{
        struct pxar_writer w;
        static struct lister l;

        (void)state;
        write_all_kinds(&w, true);
        /* The type of the first payload item, after the start and its padding. */
        w.payload.data[16 + 7] ^= 1;
        list(&w, &l);
        assert_non_null(strstr(l.text, "passwd 100640 \"lost\""));
        assert_non_null(strstr(l.text, "x 100640 \"x\""));
        pxarw_free(&w);
}

static void test_version_2_without_its_payload_is_refused(void **state)
{
        struct pxar_writer w;
        struct memory meta;
        struct pxar_folder root;
        struct pxar *p;
        struct error err;

        (void)state;
        write_all_kinds(&w, true);
        meta = as_volume(w.meta);
        assert_int_equal(pxar_open(&meta.base, NULL, &p, &root, &err), -EIO);
        assert_non_null(strstr(err.text, ".ppxar"));
        pxarw_free(&w);
}

/* Whatever byte is wrong, and wherever it ends: no crash, and the walk ends. */
static void test_any_wrong_byte_is_survived(void **state)
{
        static struct lister l;
        struct pxar_writer w;
        size_t whole;

        (void)state;
        write_all_kinds(&w, true);
        for (size_t i = 0; i < w.meta.len; i++) {
                static const uint8_t masks[] = {0x01, 0x80, 0xff};

                for (size_t m = 0; m < sizeof masks; m++) {
                        w.meta.data[i] ^= masks[m];
                        list(&w, &l);
                        assert_true(l.entries <= 8);
                        w.meta.data[i] ^= masks[m];
                }
        }
        whole = w.meta.len;
        for (w.meta.len = 0; w.meta.len < whole; w.meta.len++) {
                list(&w, &l);
                assert_int_equal(l.error, -EIO);
        }
        pxarw_free(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_kind_of_node_is_read),
            cmocka_unit_test(test_items_of_other_kinds_are_passed_over),
            cmocka_unit_test(test_data_in_a_payload_of_their_own_are_read),
            cmocka_unit_test(test_the_root_has_attributes_of_its_own),
            cmocka_unit_test(test_a_folder_of_many_is_listed),
            cmocka_unit_test(test_access_control_lists_are_attributes),
            cmocka_unit_test(test_a_list_that_lacks_entries_is_completed_from_the_mode),
            cmocka_unit_test(test_a_damaged_list_costs_its_node),
            cmocka_unit_test(test_names_that_cannot_be_are_passed_over),
            cmocka_unit_test(test_a_name_of_100_kb_is_passed_over),
            cmocka_unit_test(test_hard_links_to_what_is_no_file_before_are_passed_over),
            cmocka_unit_test(test_folders_that_overlap_are_shown_once),
            cmocka_unit_test(test_a_reference_to_something_else_is_lost),
            cmocka_unit_test(test_version_2_without_its_payload_is_refused),
            cmocka_unit_test(test_any_wrong_byte_is_survived),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
