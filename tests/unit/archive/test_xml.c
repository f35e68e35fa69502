/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/xml.h"

/* The tokens of TEXT, one after another: "<a", "</a", "<a/" and texts in brackets. */
static const char *tokens(const char *text)
{
        static char out[400];
        struct xml_reader r = {.text = text, .len = strlen(text)};
        struct xml_token t;
        char word[100];
        size_t len = 0;

        out[0] = '\0';
        while (xml_next(&r, &t)) {
                bool tag = t.kind == XML_OPEN || t.kind == XML_CLOSE;

                xml_text(&t, word, sizeof word);
                len += (size_t)snprintf(out + len, sizeof out - len, "%s%s%s",
                                        !tag                  ? "["
                                        : t.kind == XML_CLOSE ? "</"
                                                              : "<",
                                        word,
                                        !tag       ? "]"
                                        : t.closed ? "/"
                                                   : "");
                assert_true(len < sizeof out);
        }
        return out;
}

static void test_tags_and_text(void **state)
{
        (void)state;
        assert_string_equal(tokens("<?xml version='1.0'?><!-- <a> --><!DOCTYPE x><a>b</a >"),
                            "<a[b]</a");
        assert_string_equal(tokens("<n:a x='>'/><b y=\"'/>\" />"), "<a/<b/");
        assert_string_equal(tokens("<a><![CDATA[<b>&amp;]]></a>"), "<a[<b>&amp;]</a");
        assert_string_equal(tokens(""), "");
}

static void test_what_has_no_end_ends_the_text(void **state)
{
        static const char *const texts[] = {"<",     "<a",       "<a b='>",     "<!--",
                                            "<?xml", "<!DOCTYP", "<![CDATA[ab", "<a b=\"c'>"};

        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
                assert_string_equal(tokens(texts[i]), "");
}

static void expect_text(const char *text, const char *out)
{
        struct xml_token t = {.kind = XML_TEXT, .at = text, .len = strlen(text)};
        char back[40];

        assert_int_equal(xml_text(&t, back, sizeof back), strlen(out));
        assert_string_equal(back, out);
}

static void test_entities(void **state)
{
        (void)state;
        expect_text("&lt;&gt;&amp;&quot;&apos;", "<>&\"'");
        expect_text("&#65;&#x42;&#xe9;&#x20ac;&#x1F600;", "AB\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
        expect_text("&#0;&#xd800;&#9999999;", "???");
        expect_text("&other; & &; &#; &#x; &#xg; &#6a; &amp",
                    "&other; & &; &#; &#x; &#xg; &#6a; &amp");
}

static void test_text_that_has_no_room_is_cut(void **state)
{
        struct xml_token t = {.kind = XML_TEXT, .at = "abc&#x20ac;", .len = 11};
        char back[5];

        (void)state;
        assert_int_equal(xml_text(&t, back, sizeof back), 6);
        assert_memory_equal(back, "abc\xe2", 5);
}

static void test_attributes(void **state)
{
        static const char text[] = "<File ovf:href=\"a&amp;b\" ovf:id = 'f 1' size=\"3\"bad>";
        struct xml_reader r = {.text = text, .len = sizeof text - 1};
        struct xml_token t;
        char value[20];

        (void)state;
        assert_true(xml_next(&r, &t));
        assert_true(xml_is(&t, "File"));
        assert_true(xml_attribute(&t, "href", value, sizeof value));
        assert_string_equal(value, "a&b");
        assert_true(xml_attribute(&t, "id", value, sizeof value));
        assert_string_equal(value, "f 1");
        assert_true(xml_attribute(&t, "size", value, sizeof value));
        assert_string_equal(value, "3");
        assert_false(xml_attribute(&t, "bad", value, sizeof value));
        assert_false(xml_attribute(&t, "ref", value, sizeof value));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_tags_and_text),
            cmocka_unit_test(test_what_has_no_end_ends_the_text),
            cmocka_unit_test(test_entities),
            cmocka_unit_test(test_text_that_has_no_room_is_cut),
            cmocka_unit_test(test_attributes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
