/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate that reads of one file have to pass. A read is judged when it arrives and again
 * whenever the gate moves: it is answered, failed, or parked. Parked reads hold no thread, so
 * any number of them can wait; the gate's one worker answers them. They end with EINTR when
 * their reader is killed, and with EIO when the gate ends.
 */
#ifndef VMAFS_TESTS_GATEFS_GATE_H
#define VMAFS_TESTS_GATEFS_GATE_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct parked;

struct gate {
        int fd;        /* the caller's */
        uint64_t size; /* bytes of the file */

        pthread_t worker;
        pthread_cond_t moved; /* something that `lock` guards has changed */
        pthread_mutex_t lock; /* guards everything below */
        bool ended;
        uint64_t open;       /* reads up to here are served */
        uint64_t hold_start; /* reads of any of [hold_start, hold_end) wait */
        uint64_t hold_end;
        uint64_t fail_start; /* [fail_start, fail_end) cannot be read; empty: everything can */
        uint64_t fail_end;
        uint64_t end; /* reads stop here; EVERYTHING: at the end of the file */
        uint64_t delay_ms;
        uint64_t served;
        uint64_t bytes;
        uint64_t unconfined;   /* reads by threads that have capabilities, or no filter of calls */
        uint64_t parked_count; /* reads that wait, for whatever reason … */
        uint64_t most;         /* … and how many did at once */
        struct parked *parked; /* oldest first */
};

/*
 * An open gate for FD, of SIZE bytes. gate_start is for after the fork that makes a daemon; it
 * returns 0 or -errno. gate_end fails what is parked, which needs the session still, and ends
 * the worker.
 */
void gate_init(struct gate *g, int fd, uint64_t size);
int gate_start(struct gate *g);
void gate_end(struct gate *g);

/* Answer REQ, a read of LEN bytes at OFFSET, now or when the gate lets it pass. */
void gate_read(struct gate *g, fuse_req_t req, size_t len, off_t offset);

/* Obey the lines of TEXT, which is changed, up to the first that is wrong: 0 or -EINVAL. */
int gate_move(struct gate *g, char *text);

/* The gate and its counters, a line each; freed by the caller. NULL: out of memory. */
char *gate_describe(struct gate *g);

#endif
