/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tags and the text of an XML document that is in memory, one after another:
 *
 *   <File ovf:href="a.vmdk"/><name>b</name>
 *   open (closed too)        open  text close
 *
 * It is read as far as descriptions of machines need it: without document types, whose entities
 * stay as they are written, and without a check whether tags match. So nothing is kept of what came
 * before, and any bytes can be read in linear time.
 */
#ifndef VMAFS_XML_H
#define VMAFS_XML_H

#include <stdbool.h>
#include <stddef.h>

enum xml_kind {
        XML_OPEN,
        XML_CLOSE,
        XML_TEXT,  /* between two tags, with its entities */
        XML_CDATA, /* text that has none */
};

struct xml_token {
        enum xml_kind kind;
        const char *at; /* OPEN, CLOSE: the name, without its namespace; otherwise the text */
        size_t len;
        bool closed;            /* OPEN: <name/>, which nothing else closes */
        const char *attributes; /* OPEN: what is after the name */
        size_t attributes_len;
};

/* A position in the text, which stays the caller's. */
struct xml_reader {
        const char *text;
        size_t len;
        size_t at;
};

/* The next token. False: the end, or a tag that has none. */
bool xml_next(struct xml_reader *r, struct xml_token *out);

/* Is T a tag of the name NAME? */
bool xml_is(const struct xml_token *t, const char *name);

/*
 * T's text as a string in OUT of SIZE bytes, which is not 0, without the entities that XML itself
 * has. Returns its length; what has no room is left out, and then that is SIZE or more.
 */
size_t xml_text(const struct xml_token *t, char *out, size_t size);

/* The same for the value of T's attribute NAME, without its namespace. False: T has none. */
bool xml_attribute(const struct xml_token *t, const char *name, char *out, size_t size);

#endif
