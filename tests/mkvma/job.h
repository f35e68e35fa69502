/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkvma writes a VMA archive from raw images, right or wrong, for end-to-end tests.
 *
 *   argv ─> options.c ─> struct job ─> plan.c ─> struct plan ─> tools/mkvma.c ─> vma_writer
 *
 * It is a short-lived program: what is wrong ends it with a message, and memory is the
 * system's to take back.
 */
#ifndef VMAFS_TESTS_MKVMA_JOB_H
#define VMAFS_TESTS_MKVMA_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_MAX 255u /* as many as ids other than 0; 255 is no device, which tests want too */
#define LIST_MAX   64u

enum order { ORDER_SEQ, ORDER_REVERSE, ORDER_INTERLEAVE, ORDER_SHUFFLE, ORDER_LIVE, ORDER_BUSY };

struct device {
        uint8_t id;
        const char *name;
        int fd;              /* -1: synthetic */
        uint64_t size;       /* bytes, a multiple of 512 */
        uint64_t declared;   /* bytes, what the header says */
        bool in_sequence;    /* clusters are stored in order whatever the order of slots */
        uint8_t *occupied;   /* one bit a cluster: not wholly in a hole of the raw file */
        uint32_t next_place; /* of a device in sequence, while the plan is numbered */
};

struct config {
        const char *name;
        const char *path;
};

/* A place named on the command line; its device is looked up when all devices are known. */
struct place {
        char dev[256];
        uint32_t cluster;
};

struct damage {
        uint64_t extent;
        unsigned what; /* of enum vma_damage */
};

struct list {
        struct place places[LIST_MAX];
        size_t count;
};

struct job {
        const char *out;
        uint8_t uuid[16];
        int64_t ctime;
        uint32_t header_size;
        unsigned slots;
        uint64_t seed;
        enum order order;
        bool ragged;
        bool truncated;
        uint64_t truncate_to;
        uint64_t vmstate_size; /* 0: not given */
        struct config configs[256];
        size_t config_count;
        struct device devices[DEVICE_MAX];
        size_t device_count;
        struct list drops, duplicates, beyonds;
        struct damage damages[LIST_MAX];
        size_t damage_count;
};

/* One slot to be written. */
struct item {
        uint32_t cluster;
        uint8_t device; /* index into job.devices */
};

/* All slots of the archive, in its order. */
struct plan {
        struct item *items;
        size_t count;
};

/* Say what is wrong and exit with STATUS: 1 the work failed, 2 wrong usage. */
__attribute__((noreturn, format(printf, 2, 3))) void die(int status, const char *fmt, ...);

/* Fill JOB from the command line, which it keeps pointing into. Opens raw images. */
void parse_command_line(int argc, char **argv, struct job *job);

/* Put every cluster of JOB into PLAN, in the order asked for, and what is wrong after. */
void make_plan(struct job *job, struct plan *plan);

/* xorshift64*: the next number of the sequence that *STATE, not 0, is in. */
uint64_t next_random(uint64_t *state);

#endif
