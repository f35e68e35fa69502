/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_key.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_store.h"
#include "archive/volume.h"
#include "fs/nbdkit/settings.h"
#include "fs/verbs/guest.h"

enum { CONFIG_MAX = 1 << 20 }; /* bytes of a configuration that are looked at */

/* The store in the folder that *S has open, and its snapshot FOLDER. */
static int open_in_store(struct snapshot *s, const char *folder, struct shared *shared,
                         struct error *err)
{
        int rc = 0;

        if (s->stored.key)
                rc = pbs_key_parse(s->stored.key, s->stored.key_len, s->stored.password, &s->key,
                                   err);
        if (rc == 0)
                rc = pbs_store_open(steal_fd(&s->stored.folder), s->key, shared, &s->store, err);
        /* The secrets are not needed any more. */
        stored_close(&s->stored);
        return rc < 0 ? rc : pbs_snapshot_open(s->store, folder, &s->pbs, err);
}

/* Without the key nothing could be read, which had better be known before anything is served. */
static int check_key(const struct snapshot *s, struct error *err)
{
        const struct pbs_item *item;

        for (size_t at = 0; !s->key && (item = snapshot_next_disk(s, &at));)
                if (item->file && item->file->crypt == PBS_FILE_ENCRYPTED)
                        return error_set(err, EACCES,
                                         "is encrypted; name its key with keyfile=PATH");
        return 0;
}

int snapshot_open(const struct stored_place *place, const struct settings *settings,
                  struct shared *shared, struct snapshot *s, const char **inside, struct error *err)
{
        enum pbs_level level;
        size_t len = pbs_store_split(place->below, &level);
        cleanup_free char *folder = strndup(place->below, len);
        int rc;

        if (level != PBS_SNAPSHOT)
                return error_set(err, ENOENT,
                                 "is no snapshot of the datastore, nor a disk of one; vmafs info "
                                 "lists the snapshots");
        *inside = place->below + len + strspn(place->below + len, "/");
        if (!folder)
                return error_set(err, ENOMEM, "out of memory");
        rc = stored_find(place->root, settings->keyfile, settings->passfile, &s->stored, err);
        if (rc == 0)
                rc = open_in_store(s, folder, shared, err);
        return rc < 0 ? rc : check_key(s, err);
}

void snapshot_close(struct snapshot *s)
{
        pbs_snapshot_close(s->pbs);
        pbs_store_close(s->store);
        pbs_key_free(s->key);
        stored_close(&s->stored);
        *s = SNAPSHOT_NONE;
}

const struct pbs_item *snapshot_next_disk(const struct snapshot *s, size_t *at)
{
        while (*at < pbs_snapshot_count(s->pbs)) {
                const struct pbs_item *item = pbs_snapshot_item(s->pbs, (*at)++);

                if (item->kind == PBS_ITEM_DISK)
                        return item;
        }
        return NULL;
}

const struct pbs_item *snapshot_find_disk(const struct snapshot *s, const char *name)
{
        const struct pbs_item *item;

        for (size_t at = 0; (item = snapshot_next_disk(s, &at));)
                if (strcmp(item->name, name) == 0)
                        return item;
        for (size_t at = 0; (item = snapshot_next_disk(s, &at));)
                if (item->device && strcmp(item->device, name) == 0)
                        return item;
        return NULL;
}

/* The file called NAME, or NULL. */
static struct volume *find_file(const struct snapshot *s, const char *name)
{
        for (size_t i = 0; i < pbs_snapshot_count(s->pbs); i++) {
                const struct pbs_item *item = pbs_snapshot_item(s->pbs, i);

                if (item->kind == PBS_ITEM_FILE && strcmp(item->name, name) == 0)
                        return item->content;
        }
        return NULL;
}

void snapshot_guest(const struct snapshot *s, struct guest *out)
{
        struct volume *v = find_file(s, "qemu-server.conf");
        cleanup_free char *text = NULL;

        *out = (struct guest){.id = 0};
        if (!v || v->size == 0 || v->size > CONFIG_MAX)
                return;
        text = malloc(v->size);
        if (text && volume_read(v, text, v->size, 0) == 0)
                guest_parse(text, v->size, out);
}
