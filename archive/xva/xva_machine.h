/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ova.xml, the description of a machine in an XVA: XML-RPC of a list of objects, each of which is a
 * record of xapi's database.
 *
 *   objects: [ {class: VDI, id: Ref:4, snapshot: {virtual_size, name_label, SR, …}}, … ]
 */
#ifndef VMAFS_XVA_MACHINE_H
#define VMAFS_XVA_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"

struct error;

enum {
        XVA_DISKS_MAX = 256,
        XVA_OBJECTS_MAX = 4096, /* drives and storage repositories */
        XVA_REF_MAX = 64,       /* bytes of a reference, with its NUL */
        XVA_LABEL_MAX = 128,
        XVA_DEPTH_MAX = 64, /* structures in one another */
};

struct xva_disk {
        char ref[XVA_REF_MAX]; /* "Ref:4", and so the folder of its chunks */
        char label[XVA_LABEL_MAX];
        char device[16]; /* as the machine numbers its drives; "": none has it */
        char repository[XVA_REF_MAX];
        bool has_size;
        uint64_t size; /* bytes */
};

struct xva_drive {
        char disk[XVA_REF_MAX];
        char device[16];
        bool is_cd;
};

struct xva_repository {
        char ref[XVA_REF_MAX];
};

struct xva_machine {
        ARRAY(struct xva_disk) disks; /* those that the archive holds */
        ARRAY(struct xva_drive) drives;
        ARRAY(struct xva_repository) isos; /* of CDs */
};

/*
 * Parse the LEN bytes at TEXT, which may be any. 0, or -errno with the reason in ERR: -EIO where
 * they are damaged, -E2BIG, -ENOMEM. xva_machine_fini in any case.
 */
int xva_machine_parse(const char *text, size_t len, struct xva_machine *out, struct error *err);
void xva_machine_fini(struct xva_machine *m);

#endif
