/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * used_memory MIB: touch as much memory, or half of what is available if that is less, and let it
 * go, so that the next program is given memory that was in use a moment ago. A virtual machine's
 * host may take back what has been free for some seconds, and then each new page costs ten times
 * what it does elsewhere: who fills the page cache would be measured by that alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE), len, most;
        char *memory;

        if (argc != 2) {
                fprintf(stderr, "usage: used_memory MIB\n");
                return 2;
        }
        len = (size_t)strtoull(argv[1], NULL, 10) << 20;
        most = (size_t)sysconf(_SC_AVPHYS_PAGES) * page / 2;
        if (len > most)
                len = most;
        if (len == 0)
                return 0;
        memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
                perror("used_memory");
                return 1;
        }
        madvise(memory, len, MADV_HUGEPAGE); /* only faster */
        for (size_t at = 0; at < len; at += page)
                memory[at] = 1;
        return 0;
}
