/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/inject.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

/* Set while no thread of the program runs. */
static enum read_fault read_fault;
static uint64_t read_offset;
static struct stat read_file;
static _Atomic uint64_t reads;

static uint64_t fail_at; /* 0: never */
static bool fail_rest;
static _Atomic uint64_t requests;
static atomic_bool struck;

static uint64_t step_at; /* 0: never */
static bool step_kills;
static _Atomic uint64_t steps;

void inject_read(const char *path, enum read_fault fault, uint64_t offset)
{
        if (stat(path, &read_file) < 0)
                abort();
        read_fault = fault;
        read_offset = offset;
}

void inject_no_memory(uint64_t nth, bool rest)
{
        requests = 0;
        struck = false;
        fail_rest = rest;
        fail_at = nth;
}

void inject_step(uint64_t nth, bool with_kill)
{
        steps = 0;
        struck = false;
        step_kills = with_kill;
        step_at = nth;
}

void inject_nothing(void)
{
        read_fault = READ_SOUND;
        fail_at = 0;
        step_at = 0;
}

bool inject_struck(void)
{
        return struck;
}

/* ---- reads ---- */

uint64_t inject_reads(void)
{
        return reads;
}

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap___pread64_chk(int fd, void *buf, size_t len, off_t offset, size_t room);
ssize_t __wrap_preadv64(int fd, const struct iovec *parts, int count, off_t offset);

/* One buffer of a read. */
static ssize_t read_part(int fd, void *buf, size_t len, off_t offset)
{
        uint64_t at = (uint64_t)offset;
        struct stat st;

        if (read_fault == READ_SOUND || at + len <= read_offset || fstat(fd, &st) < 0 ||
            st.st_ino != read_file.st_ino || st.st_dev != read_file.st_dev)
                return __real_pread64(fd, buf, len, offset);
        switch (read_fault) {
        case READ_FAILS:
                if (at > read_offset)
                        break;
                errno = EIO;
                return -1;
        case READ_STOPS:
                if (at < read_offset)
                        len = (size_t)(read_offset - at);
                break;
        case READ_ENDS:
                len = at < read_offset ? (size_t)(read_offset - at) : 0;
                break;
        case READ_SOUND:
                break;
        }
        return __real_pread64(fd, buf, len, offset);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
        reads++;
        return read_part(fd, buf, len, offset);
}

ssize_t __wrap___pread64_chk(int fd, void *buf, size_t len, off_t offset, size_t room)
{
        if (len > room)
                abort();
        return __wrap_pread64(fd, buf, len, offset);
}

/* As the kernel does it: what is in front of a failure counts. */
ssize_t __wrap_preadv64(int fd, const struct iovec *parts, int count, off_t offset)
{
        ssize_t done = 0;

        reads++;
        for (int i = 0; i < count; i++) {
                ssize_t n = read_part(fd, parts[i].iov_base, parts[i].iov_len, offset + done);

                if (n < 0)
                        return done > 0 ? done : n;
                done += n;
                if ((size_t)n < parts[i].iov_len)
                        break;
        }
        return done;
}

/* ---- memory ---- */

static bool refuse(void)
{
        uint64_t n;

        if (fail_at == 0)
                return false;
        n = ++requests;
        if (n != fail_at && !(fail_rest && n > fail_at))
                return false;
        struck = true;
        errno = ENOMEM;
        return true;
}

/* NAME answers as it does when there is no memory. */
#define WRAP(type, name, failure, parameters, arguments)                                           \
        type __real_##name parameters;                                                             \
        type __wrap_##name parameters;                                                             \
        type __wrap_##name parameters                                                              \
        {                                                                                          \
                return refuse() ? (failure) : __real_##name arguments;                             \
        }

WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, NULL, (void *p, size_t size), (p, size))
WRAP(void *, reallocarray, NULL, (void *p, size_t count, size_t size), (p, count, size))
WRAP(char *, strdup, NULL, (const char *s), (s))
WRAP(FILE *, open_memstream, NULL, (char **bytes, size_t *len), (bytes, len))
WRAP(void *, mmap64, MAP_FAILED, (void *p, size_t len, int prot, int flags, int fd, off_t at),
     (p, len, prot, flags, fd, at))
WRAP(int, pthread_create, EAGAIN,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
     (thread, attr, run, arg))
WRAP(ZSTD_DCtx *, ZSTD_createDCtx, NULL, (void), ())
WRAP(XXH64_state_t *, XXH64_createState, NULL, (void), ())
WRAP(XXH3_state_t *, XXH3_createState, NULL, (void), ())
WRAP(EVP_MD_CTX *, EVP_MD_CTX_new, NULL, (void), ())
WRAP(int, inflateInit2_, Z_MEM_ERROR, (z_stream * z, int bits, const char *version, int size),
     (z, bits, version, size))

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int __wrap_asprintf(char **out, const char *format, ...)
{
        va_list ap;
        int n;

        if (refuse())
                return -1;
        va_start(ap, format);
        n = vasprintf(out, format, ap);
        va_end(ap);
        return n;
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
        va_list ap;
        int n;

        (void)flag;
        if (refuse())
                return -1;
        va_start(ap, format);
        n = vasprintf(out, format, ap);
        va_end(ap);
        return n;
}

/* ---- keeping a file ---- */

static bool no_room(void)
{
        if (step_at == 0 || ++steps != step_at)
                return false;
        struck = true;
        if (step_kills)
                kill(getpid(), SIGKILL);
        errno = ENOSPC;
        return true;
}

#define WRAP_STEP(type, name, parameters, arguments)                                               \
        type __real_##name parameters;                                                             \
        type __wrap_##name parameters;                                                             \
        type __wrap_##name parameters                                                              \
        {                                                                                          \
                return no_room() ? -1 : __real_##name arguments;                                   \
        }

WRAP_STEP(ssize_t, pwrite64, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at))
WRAP_STEP(int, fsync, (int fd), (fd))
WRAP_STEP(int, flock, (int fd, int how), (fd, how))
WRAP_STEP(int, linkat, (int from, const char *old, int to, const char *new, int flags),
          (from, old, to, new, flags))
WRAP_STEP(int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new))
