/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "tests/fixtures/vma_writer.h"
#include "tests/mkvma/job.h"

#define CONFIG_MAX 65535u

static void check(const struct job *job, int rc, const char *what)
{
        if (rc < 0)
                die(1, "%s: %s: %s", job->out, what, strerror(-rc));
}

/* Up to LEN bytes at OFFSET, the rest of BUF zeroed. Returns how many there were. */
static size_t read_padded(int fd, void *buf, size_t len, uint64_t offset, const char *name)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        die(1, "%s: %s", name, strerror(errno));
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        memset((char *)buf + done, 0, len - done);
        return done;
}

static void write_config(const struct job *job, struct vma_writer *w, const struct config *c)
{
        static char data[CONFIG_MAX + 1];
        int fd = open(c->path, O_RDONLY | O_CLOEXEC);
        size_t len;

        if (fd < 0)
                die(1, "%s: %s", c->path, strerror(errno));
        len = read_padded(fd, data, sizeof data, 0, c->path);
        close(fd);
        if (len > CONFIG_MAX)
                die(1, "%s: is longer than %u bytes", c->path, CONFIG_MAX);
        check(job, vma_writer_config(w, c->name, data, len), c->name);
}

static void write_header(const struct job *job, struct vma_writer *w)
{
        const struct vma_header_options opt = {.header_size = job->header_size};

        for (size_t i = 0; i < job->config_count; i++)
                write_config(job, w, &job->configs[i]);
        for (size_t i = 0; i < job->device_count; i++) {
                const struct device *d = &job->devices[i];

                check(job, vma_writer_device(w, d->id, d->name, d->declared), d->name);
        }
        check(job, vma_writer_header(w, &opt), "the header cannot be written as asked");
        check(job, vma_writer_set_slots(w, job->slots), "--slots");
}

/* One in eight clusters is zero, the others hold any blocks. */
static uint16_t ragged_mask(uint64_t *random)
{
        uint64_t r = next_random(random);

        return r >> 61 == 0 ? 0 : (uint16_t)(r >> 32);
}

static bool is_occupied(const struct device *d, uint32_t cluster)
{
        return d->occupied[cluster / 8] >> cluster % 8 & 1;
}

static int write_item(const struct job *job, struct vma_writer *w, const struct item *item,
                      uint64_t *random)
{
        static uint8_t data[VMA_CLUSTER];
        const struct device *d = &job->devices[item->device];
        uint64_t start = (uint64_t)item->cluster * VMA_CLUSTER;

        if (start >= d->size) {
                vma_pattern(d->id, item->cluster, data);
                return vma_writer_cluster(w, d->id, item->cluster, 0xffff, data);
        }
        if (d->fd < 0)
                return vma_writer_cluster(w, d->id, item->cluster,
                                          job->ragged ? ragged_mask(random) : 0xffff, NULL);
        if (!is_occupied(d, item->cluster))
                return vma_writer_cluster(w, d->id, item->cluster, 0, NULL);
        read_padded(d->fd, data, sizeof data, start, d->name);
        return vma_writer_cluster(w, d->id, item->cluster, vma_nonzero_mask(data), data);
}

static unsigned damage_of(const struct job *job, uint64_t extent)
{
        unsigned what = 0;

        for (size_t i = 0; i < job->damage_count; i++)
                if (job->damages[i].extent == extent)
                        what |= job->damages[i].what;
        return what;
}

static void write_extents(const struct job *job, struct vma_writer *w, const struct plan *plan)
{
        uint64_t random = job->seed * 2 + 1;

        for (size_t i = 0; i < plan->count; i++) {
                vma_writer_damage(w, damage_of(job, vma_writer_extents(w)));
                check(job, write_item(job, w, &plan->items[i], &random), "cannot be written");
        }
        if (plan->count % job->slots)
                check(job, vma_writer_flush(w), "cannot be written");
        for (size_t i = 0; i < job->damage_count; i++)
                if (job->damages[i].extent >= vma_writer_extents(w))
                        die(2, "--damage-extent: there is no extent %" PRIu64 ", only %" PRIu64,
                            job->damages[i].extent, vma_writer_extents(w));
}

int main(int argc, char **argv)
{
        struct vma_writer *w;
        struct job job;
        struct plan plan;
        int fd;

        parse_command_line(argc, argv, &job);
        make_plan(&job, &plan);
        fd = open(job.out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0)
                die(1, "%s: %s", job.out, strerror(errno));
        check(&job, vma_writer_open(fd, job.uuid, job.ctime, &w), "cannot be written");
        write_header(&job, w);
        write_extents(&job, w, &plan);
        check(&job, vma_writer_close(w), "cannot be written");
        if (job.truncated && ftruncate(fd, (off_t)job.truncate_to) < 0)
                check(&job, -errno, "cannot be truncated");
        if (close(fd) < 0)
                check(&job, -errno, "cannot be written");
        free(plan.items);
        for (size_t i = 0; i < job.device_count; i++)
                free(job.devices[i].occupied);
        return 0;
}
