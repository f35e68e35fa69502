/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/mount_helper.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "fs/cli/usage.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"

/*
 * What mount(8) always passes to a FUSE helper. It tells us that words such as "rw" come from
 * mount(8).
 */
#define FROM_MOUNT "rw,dev,suid"

bool mount_helper_is_called(const char *name)
{
        const char *slash = name ? strrchr(name, '/') : NULL;

        return name && strcmp(slash ? slash + 1 : name, "mount.vmafs") == 0;
}

int mount_helper_run(int argc, char **argv)
{
        char *call[] = {argv[0], NULL, NULL, "-o", FROM_MOUNT, "-o", "ro", NULL};
        bool fake = false;
        int c;

        /* mount(8) puts the options after the two names; getopt sorts them to the front. */
        while ((c = getopt(argc, argv, "sfnvN:o:t:")) != -1) {
                switch (c) {
                case 'f':
                        fake = true;
                        break;
                case 'o':
                        call[6] = optarg;
                        break;
                case 'N':
                        return usage_error("mount -N is not supported; enter the namespace before");
                case 's': /* vmafs ignores unknown mount options anyway */
                case 'n': /* there is no /etc/mtab */
                case 'v':
                case 't':
                        break;
                default:
                        return usage_error("mount.vmafs is called by mount -t vmafs");
                }
        }
        if (argc - optind != 2)
                return usage_error("mount.vmafs is called by mount -t vmafs");
        if (fake)
                return STATUS_OK;
        call[1] = argv[optind];
        call[2] = argv[optind + 1];
        return verb_mount((int)(sizeof call / sizeof *call) - 1, call);
}
