/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/index_helper.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "archive/error.h"
#include "index/options.h"
#include "index/site.h"

/* The requests to the keeper. */
enum what {
        WHAT_NEIGHBOUR, /* number: enum neighbour_reach */
        WHAT_OPEN,      /* number: enum location_where */
        WHAT_CREATE,
        WHAT_COMMIT,
        WHAT_ABANDON,
        WHAT_TRY_LOCK, /* the worker waits: others may need this process meanwhile */
        WHAT_UNLOCK,
        WHAT_QUARANTINE, /* number: enum location_where */
        WHAT_PARTIAL,    /* number: 1 to make it */
        WHAT_DROP_PARTIAL,
};

/* ---- in the keeper ---- */

void index_helper_drop_capabilities(void)
{
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (geteuid() != 0)
                return;
        capng_clear(CAPNG_SELECT_CAPS);
        capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE,
                      CAP_DAC_READ_SEARCH, -1);
        capng_apply(CAPNG_SELECT_CAPS);
}

static void begin(void *ctx)
{
        (void)ctx;
        index_helper_drop_capabilities();
        helper_detach();
}

/* A descriptor, or 0, or -errno. */
static int take_fd(int rc, int *fd)
{
        if (rc < 0)
                return rc;
        *fd = rc;
        return 0;
}

static int handle_shelf(struct shelf *s, const struct helper_request *in, uint32_t number, int *fd)
{
        switch (in->what) {
        case WHAT_OPEN:
                return number < LOCATIONS
                           ? take_fd(shelf_take(s, (enum location_where)number, in->name), fd)
                           : -EINVAL;
        case WHAT_CREATE:
                return take_fd(shelf_create(s), fd);
        case WHAT_COMMIT:
                return shelf_commit(s, in->name);
        case WHAT_ABANDON:
                shelf_abandon(s);
                return 0;
        case WHAT_TRY_LOCK:
                return shelf_try_lock(s);
        case WHAT_UNLOCK:
                shelf_unlock(s);
                return 0;
        case WHAT_QUARANTINE:
                return number < LOCATIONS ? shelf_quarantine(s, (enum location_where)number)
                                          : -EINVAL;
        case WHAT_PARTIAL:
                return take_fd(shelf_partial(s, in->name, number == 1), fd);
        case WHAT_DROP_PARTIAL:
                shelf_drop_partial(s, in->name);
                return 0;
        default:
                return -EINVAL;
        }
}

int index_helper_handle(struct site *site, const struct helper_request *in, int *fd)
{
        uint32_t number = in->number & 0xff;

        if (in->what == WHAT_NEIGHBOUR)
                return number <= NEIGHBOUR_ANYWHERE
                           ? take_fd(neighbours_open(&site->neighbours, in->name,
                                                     (enum neighbour_reach)number),
                                     fd)
                           : -EINVAL;
        return site->shelf ? handle_shelf(site->shelf, in, number, fd) : -EINVAL;
}

static int handle(void *ctx, const struct helper_request *in, struct helper_reply *out, int *fd)
{
        (void)out;
        return index_helper_handle(ctx, in, fd);
}

/* Remove a new file that was not committed. */
static void end(void *ctx)
{
        const struct site *site = ctx;

        if (site->shelf)
                shelf_abandon(site->shelf);
}

static const struct helper_role role = {"index-helper", begin, NULL, handle, end};

/* ---- in the process that asks ---- */

static int ask(const struct keeper_line *line, uint32_t what, uint32_t number, const char *name,
               int *fd)
{
        struct helper_request in = {.what = what, .number = line->slot << 8 | number};

        if (strlen(name) >= sizeof in.name)
                return -ENAMETOOLONG;
        memcpy(in.name, name, strlen(name));
        return helper_call(line->helper, &in, NULL, fd);
}

int index_helper_ask(const struct keeper_line *line, uint32_t what, const char *name, int *fd)
{
        return ask(line, what, 0, name, fd);
}

/* The same, for requests that return a descriptor. */
static int ask_fd(const struct keeper_line *line, enum what what, uint32_t number, const char *name)
{
        int fd, rc = ask(line, what, number, name, &fd);

        if (rc == 0 && fd < 0)
                return -EPIPE;
        return rc < 0 ? rc : fd;
}

static int ask_neighbour(const struct neighbours *n, const char *name, enum neighbour_reach reach)
{
        return ask_fd(n->helper, WHAT_NEIGHBOUR, reach, name);
}

static int ask_open(struct shelf *s, enum location_where where, const char *name)
{
        return ask_fd(s->helper, WHAT_OPEN, where, name);
}

static int ask_create(struct shelf *s)
{
        return ask_fd(s->helper, WHAT_CREATE, 0, "");
}

static int ask_commit(struct shelf *s, const char *name)
{
        return ask(s->helper, WHAT_COMMIT, 0, name, NULL);
}

static void ask_abandon(struct shelf *s)
{
        ask(s->helper, WHAT_ABANDON, 0, "", NULL);
}

static int ask_try_lock(struct shelf *s)
{
        return ask(s->helper, WHAT_TRY_LOCK, 0, "", NULL);
}

static int ask_lock(struct shelf *s)
{
        return shelf_lock_by(s, ask_try_lock);
}

static void ask_unlock(struct shelf *s)
{
        ask(s->helper, WHAT_UNLOCK, 0, "", NULL);
}

static int ask_quarantine(struct shelf *s, enum location_where where)
{
        return ask(s->helper, WHAT_QUARANTINE, where, "", NULL);
}

static int ask_partial(struct shelf *s, const char *name, bool make)
{
        return ask_fd(s->helper, WHAT_PARTIAL, make, name);
}

static void ask_drop_partial(struct shelf *s, const char *name)
{
        ask(s->helper, WHAT_DROP_PARTIAL, 0, name, NULL);
}

static const struct shelf_ops asking = {
    .open = ask_open,
    .create = ask_create,
    .commit = ask_commit,
    .abandon = ask_abandon,
    .lock = ask_lock,
    .unlock = ask_unlock,
    .quarantine = ask_quarantine,
    .partial = ask_partial,
    .drop_partial = ask_drop_partial,
};

/* The keeper has these descriptors; close ours. */
static void hand_over(struct index_helper *k, struct site *site)
{
        if (site->neighbours.folder >= 0)
                close(site->neighbours.folder);
        site->neighbours.folder = -EBADF;
        site->neighbours.open = ask_neighbour;
        k->line = (struct keeper_line){&k->helper, 0};
        site->neighbours.helper = &k->line;
        if (!site->shelf)
                return;
        shelf_close(site->shelf);
        site->shelf->ops = &asking;
        site->shelf->helper = &k->line;
}

int index_helper_start(struct index_helper *k, struct site *site, struct error *err)
{
        int keep[3], n = 0, rc;

        if (site->neighbours.folder >= 0)
                keep[n++] = site->neighbours.folder;
        if (site->shelf)
                n += shelf_descriptors(site->shelf, keep + n);
        rc = helper_start(&k->helper, &role, site, keep, (size_t)n);
        if (rc < 0)
                return error_set(err, -rc, "its index-helper cannot be started: %s", strerror(-rc));
        hand_over(k, site);
        return 0;
}

int index_helper_site(struct keeper_line *line, const char *path, const char *dir_path,
                      int take_archive, const struct index_options *options, struct site **out)
{
        struct site *s = calloc(1, sizeof *s);

        if (s)
                s->path = strdup(path);
        if (s && s->path && dir_path)
                s->shelf = shelf_elsewhere(path, dir_path, &asking, line);
        if (!s || !s->path || (dir_path && !s->shelf)) {
                if (take_archive >= 0)
                        close(take_archive);
                if (s)
                        free(s->path);
                free(s);
                return -ENOMEM;
        }
        s->archive = take_archive;
        s->neighbours = (struct neighbours){
            .open = ask_neighbour, .helper = line, .folder = -EBADF, .farthest = options->backing};
        *out = s;
        return 0;
}

void index_helper_end(struct index_helper *k)
{
        helper_end(&k->helper);
}
