/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/xva/xva_machine.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/error.h"
#include "archive/xml.h"

/* Structures by how deep they are, as far as they matter. */
enum {
        LEVEL_DOCUMENT = 1,
        LEVEL_OBJECT,
        LEVEL_RECORD,
        LEVELS,
};

enum { TEXT_MAX = 256, NAME_MAX_LEN = 32 };

struct text {
        char bytes[TEXT_MAX];
        size_t len; /* TEXT_MAX or more: it is cut */
};

enum collecting { NOTHING, NAME, VALUE };

/* An object while it is read. */
struct object {
        char class[NAME_MAX_LEN];
        struct xva_disk disk;   /* class VDI */
        struct xva_drive drive; /* class VBD */
        bool is_iso;            /* class SR */
};

struct parser {
        struct xva_machine *machine;
        struct error *err;
        unsigned depth;                   /* of structures */
        char names[LEVELS][NAME_MAX_LEN]; /* of the member that is read, at each level */
        enum collecting collecting;
        struct text text;
        struct object object;
};

/* ---- objects ---- */

/* TEXT into OUT of SIZE bytes; "" where it has no room, since half a reference is another one. */
static void copy_whole(const struct text *text, char *out, size_t size)
{
        out[0] = '\0';
        if (text->len < size)
                memcpy(out, text->bytes, text->len + 1);
}

static void copy_label(const struct text *text, struct xva_disk *disk)
{
        snprintf(disk->label, sizeof disk->label, "%.*s", (int)sizeof disk->label - 1, text->bytes);
}

static bool parse_size(const struct text *text, uint64_t *out)
{
        char *end;

        if (!isdigit((unsigned char)text->bytes[0]) || text->len >= TEXT_MAX)
                return false;
        errno = 0;
        *out = strtoull(text->bytes, &end, 10);
        return errno == 0 && *end == '\0';
}

/* NAME of an object's record is TEXT. */
static void take_field(struct object *o, const char *name, const struct text *text)
{
        if (strcmp(name, "virtual_size") == 0)
                o->disk.has_size = parse_size(text, &o->disk.size);
        else if (strcmp(name, "name_label") == 0)
                copy_label(text, &o->disk);
        else if (strcmp(name, "SR") == 0)
                copy_whole(text, o->disk.repository, sizeof o->disk.repository);
        else if (strcmp(name, "VDI") == 0)
                copy_whole(text, o->drive.disk, sizeof o->drive.disk);
        else if (strcmp(name, "userdevice") == 0)
                copy_whole(text, o->drive.device, sizeof o->drive.device);
        else if (strcmp(name, "type") == 0)
                o->drive.is_cd = strcmp(text->bytes, "CD") == 0;
        else if (strcmp(name, "content_type") == 0)
                o->is_iso = strcmp(text->bytes, "iso") == 0;
}

static int add_repository(struct xva_machine *m, const struct object *o)
{
        struct xva_repository iso;

        memcpy(iso.ref, o->disk.ref, sizeof iso.ref);
        return o->is_iso ? array_add(&m->isos, iso) : 0;
}

/* All of an object has been read. 0 or -errno. */
static int take_object(struct parser *p)
{
        struct xva_machine *m = p->machine;
        const struct object *o = &p->object;
        int rc = 0;

        if (m->disks.count > XVA_DISKS_MAX || m->drives.count + m->isos.count > XVA_OBJECTS_MAX)
                return -E2BIG;
        if (strcmp(o->class, "VDI") == 0)
                rc = array_add(&m->disks, o->disk);
        else if (strcmp(o->class, "VBD") == 0)
                rc = array_add(&m->drives, o->drive);
        else if (strcmp(o->class, "SR") == 0)
                rc = add_repository(m, o);
        p->object = (struct object){0};
        return rc;
}

/* The member whose names are on P's levels has the value that was collected. */
static void take_value(struct parser *p)
{
        const char *name = p->depth < LEVELS ? p->names[p->depth] : "";

        if (p->depth < LEVEL_OBJECT || strcmp(p->names[LEVEL_DOCUMENT], "objects") != 0)
                return;
        if (p->depth == LEVEL_OBJECT && strcmp(name, "class") == 0)
                copy_whole(&p->text, p->object.class, sizeof p->object.class);
        else if (p->depth == LEVEL_OBJECT && strcmp(name, "id") == 0)
                copy_whole(&p->text, p->object.disk.ref, sizeof p->object.disk.ref);
        else if (p->depth == LEVEL_RECORD && strcmp(p->names[LEVEL_OBJECT], "snapshot") == 0)
                take_field(&p->object, name, &p->text);
}

/* ---- tokens ---- */

static void collect(struct parser *p, enum collecting what)
{
        p->collecting = what;
        p->text.len = 0;
        p->text.bytes[0] = '\0';
}

static int enter_struct(struct parser *p)
{
        collect(p, NOTHING);
        if (p->depth == XVA_DEPTH_MAX)
                return error_set(p->err, EIO, "has a damaged ova.xml: it is nested too deeply");
        if (++p->depth < LEVELS)
                p->names[p->depth][0] = '\0';
        if (p->depth == LEVEL_OBJECT)
                p->object = (struct object){0};
        return 0;
}

static int leave_struct(struct parser *p)
{
        int rc = 0;

        if (p->depth == LEVEL_OBJECT && strcmp(p->names[LEVEL_DOCUMENT], "objects") == 0)
                rc = take_object(p);
        if (p->depth == 0)
                return error_set(p->err, EIO, "has a damaged ova.xml: its tags do not match");
        p->depth--;
        collect(p, NOTHING);
        if (rc == -E2BIG)
                return error_set(p->err, E2BIG, "describes more than %d disks", XVA_DISKS_MAX);
        return rc < 0 ? error_set(p->err, ENOMEM, "out of memory") : 0;
}

static int take_open(struct parser *p, const struct xml_token *t)
{
        if (xml_is(t, "struct"))
                return enter_struct(p);
        if (xml_is(t, "array"))
                collect(p, NOTHING);
        else if (xml_is(t, "name"))
                collect(p, NAME);
        else if (xml_is(t, "value") || p->collecting == VALUE)
                collect(p, VALUE); /* or <string> in it, where blanks before that do not count */
        return 0;
}

static int take_close(struct parser *p, const struct xml_token *t)
{
        if (xml_is(t, "struct"))
                return leave_struct(p);
        if (xml_is(t, "name") && p->collecting == NAME) {
                if (p->depth < LEVELS)
                        copy_whole(&p->text, p->names[p->depth], NAME_MAX_LEN);
                collect(p, NOTHING);
        } else if (p->collecting == VALUE) {
                take_value(p);
                collect(p, NOTHING);
        }
        return 0;
}

static void take_text(struct parser *p, const struct xml_token *t)
{
        size_t len = p->text.len;

        if (p->collecting != NOTHING && len < TEXT_MAX)
                p->text.len += xml_text(t, p->text.bytes + len, TEXT_MAX - len);
}

static int take_token(struct parser *p, const struct xml_token *t)
{
        int rc;

        switch (t->kind) {
        case XML_OPEN:
                rc = take_open(p, t);
                return rc == 0 && t->closed ? take_close(p, t) : rc;
        case XML_CLOSE:
                return take_close(p, t);
        case XML_TEXT:
        case XML_CDATA:
                break;
        }
        take_text(p, t);
        return 0;
}

/* ---- the machine ---- */

/* Is DISK a CD? xapi describes those, but does not export what is on them. Sets its device. */
static bool is_cd(const struct xva_machine *m, struct xva_disk *disk)
{
        for (size_t i = 0; i < m->drives.count; i++) {
                const struct xva_drive *drive = &m->drives.items[i];

                if (strcmp(drive->disk, disk->ref) != 0)
                        continue;
                if (drive->is_cd)
                        return true;
                memcpy(disk->device, drive->device, sizeof disk->device);
        }
        for (size_t i = 0; i < m->isos.count && disk->repository[0]; i++)
                if (strcmp(m->isos.items[i].ref, disk->repository) == 0)
                        return true;
        return false;
}

static int check_disk(const struct xva_machine *m, size_t i, struct error *err)
{
        const struct xva_disk *disk = &m->disks.items[i];

        if (!disk->ref[0])
                return error_set(err, EIO, "has a damaged ova.xml: a disk has no reference");
        if (!disk->has_size)
                return error_set(err, EIO, "has a damaged ova.xml: %s has no size", disk->ref);
        for (size_t k = 0; k < i; k++)
                if (strcmp(m->disks.items[k].ref, disk->ref) == 0)
                        return error_set(err, EIO, "has a damaged ova.xml: %s is there twice",
                                         disk->ref);
        return 0;
}

/* Keep the disks that the archive holds. */
static int settle(struct xva_machine *m, struct error *err)
{
        size_t kept = 0;

        for (size_t i = 0; i < m->disks.count; i++) {
                int rc = check_disk(m, i, err);

                if (rc < 0)
                        return rc;
        }
        for (size_t i = 0; i < m->disks.count; i++)
                if (!is_cd(m, &m->disks.items[i]))
                        m->disks.items[kept++] = m->disks.items[i];
        m->disks.count = kept;
        return 0;
}

int xva_machine_parse(const char *text, size_t len, struct xva_machine *out, struct error *err)
{
        struct xml_reader reader = {.text = text, .len = len};
        struct parser p = {.machine = out, .err = err};
        struct xml_token token;
        bool any = false;
        int rc = 0;

        *out = (struct xva_machine){0};
        while (rc == 0 && xml_next(&reader, &token)) {
                rc = take_token(&p, &token);
                any |= p.depth > 0;
        }
        if (rc == 0 && (!any || p.depth || reader.at < len))
                rc = error_set(err, EIO, "has a damaged ova.xml: it ends too early");
        return rc < 0 ? rc : settle(out, err);
}

void xva_machine_fini(struct xva_machine *m)
{
        array_free(&m->disks);
        array_free(&m->drives);
        array_free(&m->isos);
}
