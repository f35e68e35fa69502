/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/usage.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "fs/print/report.h"

static const char help[] =
    "usage: vmafs [mount] ARCHIVE MOUNTPOINT [-f] [-d] [-s] [-o opt,...]\n"
    "       vmafs info    [--json] [--partitions] [LIMIT...] ARCHIVE...\n"
    "       vmafs map     [--output=human|json | --picture] [LIMIT...] ARCHIVE FILE\n"
    "       vmafs map     [--output=human|json] [--changed-since=SNAPSHOT] [LIMIT...] "
    "DATASTORE FILE\n"
    "       vmafs verify  [--json | --picture] [--record] [--file=PATH] [LIMIT...] ARCHIVE...\n"
    "       vmafs extract [-C DIR | -O] [--force] [LIMIT...] ARCHIVE [FILE...]\n"
    "       vmafs index   [--file=PATH] [LIMIT...] ARCHIVE...\n"
    "       vmafs cache   [--json]\n"
    "       vmafs cache   prune [--missing] [--unused=DAYS] [--max-size=SIZE] [--dry-run]\n"
    "       vmafs --help | --version\n"
    "\n"
    "Mount a VM backup archive read-only: each disk and each configuration file in it is a\n"
    "regular, sparse, seekable file. Nothing is unpacked. ARCHIVE is a path, or an http://,\n"
    "https:// or s3:// address.\n"
    "\n"
    "  info      what is in the archive, from its header alone\n"
    "  map       where a disk's data and holes are, as qemu-img map prints it\n"
    "  verify    read everything and name what is damaged or lost\n"
    "  extract   restore without mounting: sparse files, in one pass\n"
    "  index     scan now and keep the index, so that mounting is instant\n"
    "  cache     list the indexes in the cache folder, or remove those that can go\n"
    "\n"
    "  -f                   stay in the foreground, log to stderr\n"
    "  -d                   the same, and print every FUSE request\n"
    "  -s                   answer with a single thread\n"
    "  -o recover=eio|zero  what is lost is an I/O error (default), or zeros\n"
    "  -o direct_io         bypass the page cache\n"
    "  -o wait              return when the whole archive is indexed; show how far it is\n"
    "  -o partitions        show each disk's partitions and logical volumes as files\n"
    "  -o index=PATH|none   where the index is kept (default: the cache folder), or nowhere\n"
    "  -o cache=SIZE        memory for decoded data of a compressed archive (default: 256M)\n"
    "  -o threads=N         threads to decode with (default: one for each processor)\n"
    "  -o window=SIZE       largest history a compressed archive may ask for (default: 128M)\n"
    "  -o clone_fd          a descriptor of the FUSE device for each thread\n"
    "  -o sandbox=on|off    keep no right that serving does not need (default: on)\n"
    "  -o backing=dir|any   open the backing file that an image names, if it is below the image's\n"
    "                       folder, or anywhere (default: refuse such images)\n"
    "  -o endpoint=URL      the server that has s3:// archives (default: Amazon's)\n"
    "  -o cafile=PATH       certificates of the authorities to trust with https\n"
    "  -o timeout=SECONDS   give up a server that does not answer for so long (default: 60)\n"
    "  -o spool=DIR,SIZE    keep what is fetched from servers in DIR, for later mounts\n"
    "  -o view=tree|images  show a tar as a tree of files, or flat, with the disks of its images\n"
    "                       (default: as its beginning suggests)\n"
    "  -o keyfile=PATH      the key of an encrypted datastore\n"
    "  -o passfile=PATH     the file whose first line is the key's password\n"
    "  -o nonempty          mount over a directory that is not empty\n"
    "  -o uid=N,gid=N       owner of the files (default: who mounts)\n"
    "  -o umask=OCTAL       permission bits to withhold from 0666 and 0777 (default: 077)\n"
    "  -o allow_other       let other users, root too, use the mount; and FUSE's other options\n"
    "  --json               print JSON, for scripts\n"
    "  --partitions         print each disk's partition table, and the volume groups\n"
    "  --output=FORMAT      human or json\n"
    "  --changed-since=SNAPSHOT  only what is not as it was in that snapshot of a datastore\n"
    "  --picture            draw the disk, or each disk, on one screen\n"
    "  -C DIR               extract into DIR\n"
    "  -O                   write one file to standard output\n"
    "  --force              replace files that are there already\n"
    "  --file=PATH          keep the index as PATH\n"
    "  --record             keep the disks' SHA-256 too, for every later verify to compare\n"
    "  --keyfile=PATH       as -o keyfile, for the other verbs\n"
    "  --passfile=PATH      as -o passfile, likewise\n"
    "  --missing            remove indexes whose archives are gone\n"
    "  --unused=DAYS        remove indexes that were not used for so many days\n"
    "  --max-size=SIZE      keep the indexes that were used last, up to so much\n"
    "  --dry-run            only say what would be removed\n"
    "\n"
    "LIMIT is one of these:\n"
    "  --cache=SIZE         as -o cache\n"
    "  --threads=N          as -o threads\n"
    "  --window=SIZE        as -o window\n"
    "  --backing=dir|any    as -o backing\n"
    "  --endpoint=URL       as -o endpoint\n"
    "  --cafile=PATH        as -o cafile\n"
    "  --timeout=SECONDS    as -o timeout\n"
    "  --spool=DIR,SIZE     as -o spool\n"
    "  --view=tree|images   as -o view\n"
    "\n"
    "Exit status: 0 done, 1 the archive is damaged or the work failed, 2 wrong usage or no\n"
    "such archive. An archive that is named like a verb is given as ./info.\n";

void usage(void)
{
        fputs(help, stdout);
}

int usage_error(const char *what)
{
        report("%s; see vmafs --help", what);
        return STATUS_USAGE;
}

int usage_option(int c, char **argv)
{
        const char *word = argv[optind - 1];
        const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;

        if (c == ':')
                report("the option '%s' needs a value; see vmafs --help", word);
        else if (equals && optopt)
                report("the option '%.*s' takes no value; see vmafs --help", (int)(equals - word),
                       word);
        else if (optopt && !equals)
                report("the option '-%c' is unknown; see vmafs --help", optopt);
        else
                report("the option '%s' is unknown; see vmafs --help", word);
        return STATUS_USAGE;
}
