/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * farlink: a link between two network namespaces that is as slow and as long as it is told, where
 * the kernel has no netem. Each end is a TUN device; packets wait in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] = "usage: farlink NETNS-FILE NETNS-FILE ONE-WAY-MS MBIT-A-SECOND\n"
                                 "Makes a TUN device named far in each of the namespaces, and "
                                 "carries packets between them until\n"
                                 "it is killed.\n";

enum { PACKET = 2048, QUEUE = 4096 };

/* At most so many bytes wait for a link that is busy: then packets are dropped. */
#define WAIT_MAX 1000000

struct packet {
        int64_t due; /* ns */
        size_t len;
        unsigned char bytes[PACKET];
};

/* One direction. */
struct way {
        int from, to;
        int64_t free_at; /* when the last packet is on the link */
        size_t first, count;
        struct packet *queue;
};

static int64_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_tun(const char *netns)
{
        struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "far"};
        int ns = open(netns, O_RDONLY | O_CLOEXEC), fd = -1;

        if (ns >= 0 && setns(ns, CLONE_NEWNET) == 0)
                fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (ns >= 0)
                close(ns);
        if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0)
                return fd;
        fprintf(stderr, "farlink: %s: %s\n", netns, strerror(errno));
        exit(1);
}

/* Take what has come in. */
static void take(struct way *w, int64_t delay, int64_t ns_a_byte)
{
        while (w->count < QUEUE) {
                struct packet *p = &w->queue[(w->first + w->count) % QUEUE];
                ssize_t n = read(w->from, p->bytes, sizeof p->bytes);
                int64_t at = now();

                if (n <= 0)
                        return;
                if (w->free_at < at)
                        w->free_at = at;
                if (w->free_at - at > WAIT_MAX * ns_a_byte)
                        continue;
                w->free_at += n * ns_a_byte;
                p->len = (size_t)n;
                p->due = w->free_at + delay;
                w->count++;
        }
}

/* Give what is due. Returns when the next one is, or INT64_MAX. */
static int64_t give(struct way *w)
{
        while (w->count > 0) {
                const struct packet *p = &w->queue[w->first];

                if (p->due > now())
                        return p->due;
                if (write(w->to, p->bytes, p->len) < 0 && errno == EAGAIN)
                        return now() + 100000;
                w->first = (w->first + 1) % QUEUE;
                w->count--;
        }
        return INT64_MAX;
}

int main(int argc, char **argv)
{
        struct way ways[2] = {0};
        int64_t delay, ns_a_byte;

        if (argc != 5) {
                fputs(usage_text, stderr);
                return 2;
        }
        delay = strtoll(argv[3], NULL, 10) * 1000000;
        ns_a_byte = 8000 / strtoll(argv[4], NULL, 10);
        ways[0].from = ways[1].to = open_tun(argv[1]);
        ways[1].from = ways[0].to = open_tun(argv[2]);
        for (int i = 0; i < 2; i++) {
                ways[i].queue = calloc(QUEUE, sizeof *ways[i].queue);
                if (!ways[i].queue)
                        return 1;
        }
        for (;;) {
                struct pollfd fds[2] = {{.fd = ways[0].from, .events = POLLIN},
                                        {.fd = ways[1].from, .events = POLLIN}};
                int64_t next = INT64_MAX, wait;
                struct timespec t;

                for (int i = 0; i < 2; i++) {
                        int64_t due;

                        take(&ways[i], delay, ns_a_byte);
                        due = give(&ways[i]);
                        next = due < next ? due : next;
                }
                wait = next == INT64_MAX ? 1000000000 : next - now();
                wait = wait < 0 ? 0 : wait;
                t = (struct timespec){.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
                ppoll(fds, 2, &t, NULL);
        }
}
