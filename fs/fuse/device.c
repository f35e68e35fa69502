/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/device.h"

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/fuse/context.h"

static ssize_t read_device(int fd, void *buf, size_t len, void *userdata)
{
        (void)userdata;
        return read(fd, buf, len);
}

/* The first answer after op_init is the one to FUSE_INIT: its head, and a struct fuse_init_out. */
static ssize_t write_device(int fd, struct iovec *iov, int count, void *userdata)
{
        struct ops_context *c = userdata;

        if (c->tells_parallel) {
                c->tells_parallel = false;
                if (count == 2 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE)
                        ((struct fuse_init_out *)iov[1].iov_base)->flags |= FUSE_PARALLEL_DIROPS;
        }
        return writev(fd, iov, count);
}

int device_use(struct fuse_session *se, int take_fd)
{
        const struct fuse_custom_io io = {.writev = write_device, .read = read_device};

        return fuse_session_custom_io(se, &io, take_fd);
}
