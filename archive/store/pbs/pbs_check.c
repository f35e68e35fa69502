/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_chunks.h"
#include "archive/store/pbs/pbs_index.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_store.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/workers.h"

enum {
        SLOTS_MIN = 1024,
        BATCH = 32, /* chunks that are checked at the same time, if there are as many threads */
};

/*
 * A chunk that was checked. If indexes give one digest two lengths, these are two chunks.
 */
struct checked {
        uint8_t digest[PBS_DIGEST_LEN];
        uint32_t size; /* bytes of plain data; 0: the slot is free */
        bool encrypted;
        char *why; /* it cannot be read; NULL: it can */
};

struct pbs_check {
        struct pbs_store *store;
        struct workers *workers;
        struct checked *slots; /* by the first bytes of the digest, then the next free one */
        size_t capacity;       /* a power of two */
        size_t count;
        _Atomic uint64_t chunks, bytes, unproven;
        atomic_bool gave_up; /* the server gives nothing now */
};

int pbs_check_new(struct pbs_store *store, struct worker_pool *pool, struct pbs_check **out)
{
        struct pbs_check *c = calloc(1, sizeof *c);

        if (!c || workers_new(pool, &c->workers) < 0) {
                free(c);
                return -ENOMEM;
        }
        c->store = store;
        *out = c;
        return 0;
}

void pbs_check_free(struct pbs_check *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < c->capacity; i++)
                free(c->slots[i].why);
        free(c->slots);
        workers_free(c->workers);
        free(c);
}

struct pbs_check_totals pbs_check_totals(const struct pbs_check *c)
{
        return (struct pbs_check_totals){c->chunks, c->bytes, c->unproven};
}

/* ---- what was checked ---- */

static struct checked *find_slot(struct checked *slots, size_t capacity,
                                 const struct checked *wanted)
{
        size_t at = (size_t)load_le64(wanted->digest) & (capacity - 1);

        while (slots[at].size &&
               (slots[at].size != wanted->size || slots[at].encrypted != wanted->encrypted ||
                memcmp(slots[at].digest, wanted->digest, PBS_DIGEST_LEN) != 0))
                at = (at + 1) & (capacity - 1);
        return &slots[at];
}

/* Make room for another batch: slots do not move while it is checked. */
static int make_room(struct pbs_check *c)
{
        size_t capacity = c->capacity ? 2 * c->capacity : SLOTS_MIN;
        struct checked *slots;

        if (c->count + BATCH < c->capacity / 4 * 3)
                return 0;
        slots = calloc(capacity, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < c->capacity; i++)
                if (c->slots[i].size)
                        *find_slot(slots, capacity, &c->slots[i]) = c->slots[i];
        free(c->slots);
        c->slots = slots;
        c->capacity = capacity;
        return 0;
}

/* ---- a batch of chunks ---- */

/* A chunk that is being checked. */
struct job {
        struct pbs_check *c;
        struct checked *slot;
        struct task task;
        int rc; /* -ENOMEM; -EREMOTEIO, with WHY; or 0: the slot says how it is */
        struct error why;
};

static void run_job(void *ctx, size_t arg)
{
        struct job *job = ctx;
        struct pbs_check *c = job->c;
        struct checked *slot = job->slot;
        struct error err = {0};
        int rc;

        (void)arg;
        /* One failure after another would take as many times as long as it takes to give up. */
        job->rc = -EREMOTEIO;
        if (c->gave_up)
                return;
        rc = pbs_chunks_check(pbs_store_chunks(c->store), slot->digest,
                              slot->encrypted ? PBS_CRYPT_ENCRYPTED : PBS_CRYPT_PLAIN, slot->size,
                              &err);
        if (rc == -EREMOTEIO) {
                job->why = err;
                c->gave_up = true;
                return;
        }
        job->rc = rc == -ENOMEM ? rc : 0;
        c->chunks++;
        c->bytes += slot->size;
        c->unproven += slot->encrypted && !pbs_store_key(c->store);
        if (rc == 0 || rc == -ENOMEM)
                return;
        slot->why = strdup(err.text);
        job->rc = slot->why ? 0 : -ENOMEM;
}

/* The slot of WANTED; where it is new, JOB checks it. */
static struct checked *start_job(struct pbs_check *c, const struct checked *wanted, struct job *job)
{
        struct checked *slot = find_slot(c->slots, c->capacity, wanted);

        *job = (struct job){.c = c};
        if (slot->size)
                return slot;
        *slot = *wanted;
        c->count++;
        job->slot = slot;
        workers_start(c->workers, &job->task, run_job, job);
        return slot;
}

/* ---- a snapshot ---- */

/* A stream that is being checked, and the callback for what is wrong. */
struct checking {
        struct pbs_check *c;
        struct error *err;
        const char *file;
        bool encrypted;
        int (*fault)(void *ctx, const struct pbs_fault *fault);
        void *ctx;
        struct pbs_chunk_ref refs[BATCH];
        size_t count; /* of refs */
};

static int tell(const struct checking *k, uint64_t start, uint64_t len, const char *text)
{
        const struct pbs_fault fault = {k->file, start, len, text};

        return k->fault(k->ctx, &fault);
}

/* Check the gathered chunks, and report them in the stream's order. */
static int check_batch(struct checking *k)
{
        struct checked *slots[BATCH];
        struct job jobs[BATCH];
        size_t count = k->count;
        int rc = make_room(k->c), failed = 0;

        k->count = 0;
        if (rc < 0)
                return rc;
        for (size_t i = 0; i < count; i++) {
                struct checked wanted = {.size = (uint32_t)(k->refs[i].end - k->refs[i].start),
                                         .encrypted = k->encrypted};

                memcpy(wanted.digest, k->refs[i].digest, PBS_DIGEST_LEN);
                slots[i] = start_job(k->c, &wanted, &jobs[i]);
        }
        for (size_t i = 0; i < count; i++) {
                workers_join(k->c->workers, &jobs[i].task);
                if (jobs[i].rc < 0)
                        failed = jobs[i].rc;
                if (jobs[i].why.code)
                        *k->err = jobs[i].why;
        }
        for (size_t i = 0; i < count && failed == 0; i++)
                if (slots[i]->why)
                        failed = tell(k, k->refs[i].start, k->refs[i].end - k->refs[i].start,
                                      slots[i]->why);
        return failed;
}

static int gather_ref(void *ctx, const struct pbs_chunk_ref *ref)
{
        struct checking *k = ctx;

        k->refs[k->count++] = *ref;
        return k->count == BATCH ? check_batch(k) : 0;
}

/* If the table of V can be trusted, check each of its chunks. */
static int check_stream(struct checking *k, const struct pbs_manifest_file *file, struct volume *v)
{
        struct error err = {0};
        int rc = pbs_volume_prove(v);

        k->file = file->name;
        k->encrypted = file->crypt == PBS_FILE_ENCRYPTED;
        if (rc == -ENOMEM)
                return rc;
        if (rc < 0)
                pbs_volume_failure(v, &err);
        if (rc == -EREMOTEIO)
                return error_set(k->err, EREMOTEIO, "%s", err.text);
        if (rc < 0) {
                return tell(k, 0, 0, err.code ? err.text : "the index cannot be read");
        }
        rc = pbs_volume_each(v, gather_ref, k);
        if (rc == 0 || rc == -EIO) {
                int batch = check_batch(k);

                if (batch != 0)
                        return batch;
        }
        return rc == -EIO ? tell(k, 0, 0, "the index has an entry that cannot be") : rc;
}

static int check_item(struct checking *k, const struct pbs_item *item)
{
        int rc;

        k->file = item->file ? item->file->name : item->name;
        /* Without a key, only the checksums of an encrypted file can be compared. */
        if (item->error == EACCES && !pbs_store_key(k->c->store))
                return 0;
        if (!item->content)
                return tell(k, 0, 0, item->why);
        if (!item->is_index || !item->file)
                return 0;
        rc = check_stream(k, item->file, item->content);
        if (rc == 0 && item->payload && item->payload_file)
                rc = check_stream(k, item->payload_file, item->payload);
        return rc;
}

int pbs_check_snapshot(struct pbs_check *c, const char *path,
                       int (*fault)(void *ctx, const struct pbs_fault *fault), void *ctx,
                       struct error *err)
{
        struct checking k = {.c = c, .err = err, .fault = fault, .ctx = ctx};
        struct pbs_snapshot *snapshot;
        int rc = pbs_snapshot_open(c->store, path, &snapshot, err);

        if (rc == -ENOENT || rc == -ENOMEM || rc == -EREMOTEIO)
                return rc;
        if (rc < 0)
                return tell(&k, 0, 0, err->text);
        if (pbs_snapshot_manifest(snapshot)->signature == PBS_SIGNATURE_WRONG)
                rc = tell(&k, 0, 0, "the manifest's signature is not of this key");
        for (size_t i = 0; rc == 0 && i < pbs_snapshot_count(snapshot); i++)
                rc = check_item(&k, pbs_snapshot_item(snapshot, i));
        pbs_snapshot_close(snapshot);
        return rc;
}
