/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The partitions of a disk, each as a disk of its own, which is read as any other:
 *
 *   disk-a.raw      [ table | . . . . . . . . . | . . . . . . . . ]
 *   disk-a.parts/           [ 1.raw: a range    ][ 2.raw ]
 *
 * The table is looked at when it is first asked for, and the file systems likewise. While the index
 * grows, what that takes may not be known yet: -EAGAIN. Everything here is thread-safe.
 */
#ifndef VMAFS_PARTS_H
#define VMAFS_PARTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/error.h"
#include "archive/inside/part_volume.h"
#include "archive/inside/partitions.h"
#include "index/disk.h"

struct index;
struct index_folder;
struct lvm_logical;
struct parted;

/* Which file system something has, once it was looked for. */
struct inside_look {
        bool done;               /* the lock of what has it */
        const char *name;        /* as filesystem_look; the lock, until done */
        _Atomic uint64_t wanted; /* the byte that was not known when it was last looked for */
};

/* A partition, or a logical volume (groups.h), that is shown as a file. */
struct part {
        struct disk disk;          /* first: index_disk_of its node; named "disk-a.parts/1.raw" */
        struct part_volume volume; /* of a partition */
        const struct partition *entry;     /* of a partition: in its disk's table; or NULL */
        const struct lvm_logical *logical; /* of a logical volume, or NULL */
        pthread_mutex_t *lock;             /* its parted's, or its groups' */
        struct inside_look look;
        _Atomic bool counted; /* disk.totals are known */
};

/* What is inside of a disk. */
struct parted {
        struct disk *disk;
        const struct index_folder *folder; /* where its partitions are shown */
        pthread_mutex_t lock;
        bool loaded;                  /* lock; what follows does not change any more then */
        struct error failure;         /* lock: why it could not be loaded the last time */
        struct partition_table table; /* lock until loaded */
        struct part *parts;           /* lock until loaded: those that are not empty … */
        size_t count;                 /* … nor only hold others */
        _Atomic uint64_t wanted;      /* as in inside_look, for the table */
        struct inside_look look;      /* of the disk as a whole */
};

/*
 * What P is, which is zeroed, has the content V, and is shown in FOLDER as NAME. 0 or -ENOMEM.
 * free(disk.name) in any case.
 */
int part_init(struct part *p, struct index *index, struct volume *v,
              const struct index_folder *folder, const char *name, pthread_mutex_t *lock);

/* A volume that remembers where it was last asked: there it was not known, if that failed so. */
struct asked {
        struct volume base;
        struct volume *below;
        uint64_t last;
};

struct asked ask(struct volume *below);

/*
 * Something was read of A, with RC, after the index was SEALED or not. RC, or what it means then;
 * *WANTED becomes the byte to wait for.
 */
int asked_judge(struct index *index, const struct asked *a, bool sealed, int rc,
                _Atomic uint64_t *wanted);

/* Is the byte WANTED of D, which asked_judge has set, known by now? */
bool asked_known(struct disk *d, uint64_t wanted);

/* FOLDER is where D's partitions are shown; both outlive *OUT. 0 or -ENOMEM. */
int parted_new(struct disk *d, const struct index_folder *folder, struct parted **out);
void parted_free(struct parted *p); /* NULL is allowed */

/*
 * Look at the table, if that was not done yet. 0, also where there is none; -EAGAIN; -EIO where it
 * is lost; -ESTALE, -ENOMEM; with the reason in ERR.
 */
int parted_load(struct parted *p, struct error *err);

/* May parted_load give anything but -EAGAIN? Reads no archive. */
bool parted_ready(struct parted *p);

/* Why the table is not, or not wholly, to be had, into OUT. False: it is, or was not looked at. */
bool parted_why(struct parted *p, char *out, size_t size);

/* The file system of the disk as a whole, where it has no table. As filesystem_look. */
int parted_filesystem(struct parted *p, const char **out);

/* The partition that D is, or NULL. */
static inline struct part *part_of(struct disk *d)
{
        return d->is_part ? (struct part *)d : NULL;
}

/* The file system of P. As filesystem_look, with -EAGAIN as parted_load. */
int part_filesystem(struct part *p, const char **out);

/* May part_filesystem give anything but -EAGAIN? Reads no archive. */
bool part_ready(struct part *p);

/* Count what is stored of P and lost, if the index is sealed and that was not done yet. */
void part_count(struct part *p);

/* How many partitions P has by now. */
size_t parted_count(struct parted *p);

/* The node that P has in the tree, which stays, or NULL. */
void part_set_node(struct part *p, struct node *n);
struct node *part_node(struct part *p);

#endif
