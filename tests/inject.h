/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults on demand, put between the program and its libraries by the linker (--wrap): reads of one
 * file that fail or stop short, memory that runs out, a disk that is full, a sudden end. Only calls
 * from the program's own objects are seen, not what its libraries do inside.
 */
#ifndef VMAFS_TESTS_INJECT_H
#define VMAFS_TESTS_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum read_fault {
        READ_SOUND,
        READ_FAILS, /* a read of the byte fails with EIO */
        READ_STOPS, /* a read ends in front of the byte, as signals may do; the next goes on */
        READ_ENDS,  /* the file ends in front of the byte, whatever fstat says */
};

/* From now on FAULT strikes at byte OFFSET of the file PATH. */
void inject_read(const char *path, enum read_fault fault, uint64_t offset);
void inject_nothing(void);

/* Reads there were so far, of any file; one that has many buffers is one. */
uint64_t inject_reads(void);

/*
 * The NTH (from 1) request for memory from now on fails, and with REST all behind it. A thread or
 * a decoder is memory, too.
 */
void inject_no_memory(uint64_t nth, bool rest);

/*
 * The NTH (from 1) step of keeping a file from now on, which creates, writes, syncs or names it,
 * fails for lack of room; or the process is killed in its place.
 */
void inject_step(uint64_t nth, bool kill);

/* Since then: did one fail? */
bool inject_struck(void);

#endif
