/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "archive/error.h"
#include "archive/shared.h"
#include "archive/store/pbs/pbs_check.h"
#include "fs/cli/given.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_verbs.h"
#include "fs/print/json.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"

enum { LINES_MAX = 10 }; /* of a snapshot */

struct verifying {
        struct pbs_check *check;
        json_t *list;     /* NULL: lines for people */
        const char *path; /* of the snapshot at hand */
        json_t *faults;   /* its */
        size_t fault_count;
        _Atomic size_t snapshots; /* so far: progress reads it */
        size_t damaged, unfinished;
        struct error err;
};

static int take_fault(void *ctx, const struct pbs_fault *f)
{
        struct verifying *v = ctx;

        v->fault_count++;
        if (v->list) {
                json_array_append_new(
                    v->faults, json_pack("{s:o, s:o, s:o, s:o}", "file", json_text_or_null(f->file),
                                         "start", json_number_or_null(f->len != 0, f->start),
                                         "length", json_number_or_null(f->len != 0, f->len), "text",
                                         json_text(f->text)));
                return 0;
        }
        if (v->fault_count > LINES_MAX)
                return 0;
        printf("%s%s%s: ", v->path, f->file ? "/" : "", f->file ? f->file : "");
        if (f->len)
                printf("bytes %" PRIu64 " to %" PRIu64 " are lost: ", f->start,
                       f->start + f->len - 1);
        printf("%s\n", f->text);
        return 0;
}

static void show_progress(void *ctx, double elapsed)
{
        const struct verifying *v = ctx;
        struct pbs_check_totals t = pbs_check_totals(v->check);
        char size[32], rate[32];

        fprintf(stderr, "verifying: %zu snapshots, %" PRIu64 " chunks, %s, %s/s",
                (size_t)v->snapshots, t.chunks, report_size(t.bytes, size),
                report_size((uint64_t)((double)t.bytes / elapsed), rate));
}

/* The client's own measurements, which no server checks: their chunks may be gone. */
static bool is_benchmark(const char *path)
{
        static const char group[] = "host/benchmark/";
        const char *at = strstr(path, group);

        return at && (at == path || at[-1] == '/');
}

static int verify_snapshot(void *ctx, const char *path)
{
        struct verifying *v = ctx;
        int rc;

        if (is_benchmark(path))
                return 0;
        v->path = path;
        v->fault_count = 0;
        v->faults = v->list ? json_array() : NULL;
        rc = pbs_check_snapshot(v->check, path, take_fault, v, &v->err);
        /* Only why it ended is of use afterwards. */
        if (rc == 0 || rc == -ENOENT)
                v->err = (struct error){0};
        v->snapshots++;
        v->damaged += v->fault_count > 0;
        v->unfinished += rc == -ENOENT;
        if (v->list) {
                json_array_append_new(v->list,
                                      json_pack("{s:o, s:b, s:b, s:o}", "path", json_text(path),
                                                "sound", v->fault_count == 0, "finished",
                                                rc != -ENOENT, "damage", v->faults));
        } else if (rc == -ENOENT) {
                printf("%s: is not finished\n", path);
        } else if (v->fault_count > LINES_MAX) {
                printf("%s: and %zu more\n", path, v->fault_count - LINES_MAX);
        }
        return rc;
}

static void print_verdict(const struct verifying *v, const char *path)
{
        struct pbs_check_totals t = pbs_check_totals(v->check);
        char size[32];

        printf("%zu snapshot%s, %" PRIu64 " chunk%s, %s", (size_t)v->snapshots,
               v->snapshots == 1 ? "" : "s", t.chunks, t.chunks == 1 ? "" : "s",
               report_size(t.bytes, size));
        if (t.unproven)
                printf("; %" PRIu64 " encrypted, of which only the checksums were compared",
                       t.unproven);
        if (v->damaged)
                printf("; %zu damaged", v->damaged);
        printf("\n%s: %s\n", path, v->damaged ? "DAMAGED" : "sound");
}

static int print_json(const struct verifying *v, const char *path)
{
        struct pbs_check_totals t = pbs_check_totals(v->check);

        return json_print(json_pack("{s:o, s:s, s:b, s:I, s:I, s:I, s:O}", "archive",
                                    json_text(path), "format", "pbs", "sound", v->damaged == 0,
                                    "chunks", (json_int_t)t.chunks, "bytes", (json_int_t)t.bytes,
                                    "unproven", (json_int_t)t.unproven, "snapshots", v->list));
}

int store_verify(struct given *g, const struct datastore_words *words, bool json)
{
        const char *path = g->path;
        struct snapshots s;
        struct verifying v = {.list = json ? json_array() : NULL};
        struct progress *progress = NULL;
        int status = snapshots_open(g, words, NULL, &s), rc = 0;

        if (status == STATUS_OK)
                status = snapshots_need_folder(&s, path);
        if (status == STATUS_OK)
                rc = pbs_check_new(s.store, s.shared->pool, &v.check);
        if (status == STATUS_OK && rc == 0) {
                progress = progress_start_with(show_progress, &v);
                rc = snapshots_each(&s, verify_snapshot, &v, &v.err);
                progress_stop(progress);
        }
        if (rc < 0) {
                report("%s: %s", path, v.err.code == -rc ? v.err.text : strerror(-rc));
                status = STATUS_FAILED;
        }
        if (status == STATUS_OK && json)
                status = print_json(&v, path);
        else if (status == STATUS_OK)
                print_verdict(&v, path);
        if (status == STATUS_OK && v.damaged)
                status = STATUS_FAILED;
        json_decref(v.list);
        pbs_check_free(v.check);
        snapshots_close(&s);
        return status;
}
