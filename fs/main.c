/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                puts("vmafs " VMAFS_VERSION);
                return 0;
        }
        fputs("vmafs: usage: vmafs --version\n", stderr);
        return 2;
}
