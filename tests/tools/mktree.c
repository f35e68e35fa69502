/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mktree: writes a tar of many small members to stdout, as a container's backup is one: a folder for
 * each hundred files, every tenth file a link, every fiftieth another name of the one before. The
 * same arguments always give the same bytes.
 *
 * --empty: files of no bytes in the root, named by their number: a tar that compresses to almost
 * nothing. --deep: one path of that many folders. --bare: paths without "./" before them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] = "usage: mktree [--empty | --deep | --bare] COUNT\n"
                                 "Writes a tar of COUNT members to stdout.\n"
                                 "  --empty  empty files, all in one folder\n"
                                 "  --deep   one file in COUNT folders, each in the one before\n"
                                 "  --bare   paths without ./ before them\n"
                                 "Exit status: 0 done, 1 it cannot be written, 2 wrong usage.\n";

enum { BLOCK = 512, IN_FOLDER = 100, TEXT_MAX = 3000 };

static uint64_t state = 88172645463325252U;

static uint64_t next_random(void)
{
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
}

static void put_octal(char *at, size_t len, uint64_t v)
{
        char text[32];

        snprintf(text, sizeof text, "%0*llo", (int)len - 1, (unsigned long long)v);
        memcpy(at, text, len - 1);
}

static void put(const void *data, size_t len)
{
        if (fwrite(data, 1, len, stdout) == len)
                return;
        perror("mktree");
        exit(1);
}

static void header(const char *name, char type, uint64_t size, const char *link)
{
        char h[BLOCK] = {0};
        unsigned sum = 0;

        memcpy(h, name, strnlen(name, 100));
        put_octal(h + 100, 8, type == '5' ? 0755 : 0644);
        put_octal(h + 108, 8, 1000);
        put_octal(h + 116, 8, 1001);
        put_octal(h + 124, 12, size);
        put_octal(h + 136, 12, 1700000000);
        memset(h + 148, ' ', 8);
        h[156] = type;
        memcpy(h + 157, link, strnlen(link, 100));
        memcpy(h + 257, "ustar\00000", 8);
        for (size_t i = 0; i < BLOCK; i++)
                sum += (unsigned char)h[i];
        put_octal(h + 148, 7, sum);
        put(h, sizeof h);
}

static void file(const char *name, size_t len)
{
        char text[TEXT_MAX + BLOCK] = {0};

        header(name, '0', len, "");
        for (size_t i = 0; i < len; i += 8)
                snprintf(text + i, 9, "%08x", (unsigned)(next_random() & 0x00ff00ff));
        memset(text + len, 0, sizeof text - len);
        put(text, (len + BLOCK - 1) / BLOCK * BLOCK);
}

static void usual(const char *prefix, unsigned long count)
{
        char name[101], folder[64] = "", last[101] = "";

        snprintf(folder, sizeof folder, "%ssrv/", prefix);
        header(folder, '5', 0, "");
        for (unsigned long i = 0; i < count; i++) {
                if (i % (IN_FOLDER * 1000) == 0) {
                        snprintf(folder, sizeof folder, "%ssrv/%03lu/", prefix,
                                 i / IN_FOLDER / 1000);
                        header(folder, '5', 0, "");
                }
                if (i % IN_FOLDER == 0) {
                        snprintf(folder, sizeof folder, "%ssrv/%03lu/%05lu/", prefix,
                                 i / IN_FOLDER / 1000, i / IN_FOLDER);
                        header(folder, '5', 0, "");
                        continue;
                }
                snprintf(name, sizeof name, "%sfile-%lu.txt", folder, i);
                if (i % 50 == 49 && *last) {
                        header(name, '1', 0, last);
                } else if (i % 10 == 9) {
                        header(name, '2', 0, "../../target");
                } else {
                        file(name, next_random() % TEXT_MAX);
                        memcpy(last, name, sizeof last);
                }
        }
}

static void empty(unsigned long count)
{
        char name[32];

        for (unsigned long i = 0; i < count; i++) {
                snprintf(name, sizeof name, "%lu", i);
                header(name, '0', 0, "");
        }
}

static void deep(unsigned long count)
{
        static const char pad[BLOCK];

        header("././@LongLink", 'L', count * 2 + 2, "");
        for (unsigned long i = 0; i < count; i++)
                put("d/", 2);
        put("f", 2);
        put(pad, (BLOCK - (count * 2 + 2) % BLOCK) % BLOCK);
        header("d", '0', 0, "");
}

int main(int argc, char **argv)
{
        bool is_empty = argc == 3 && strcmp(argv[1], "--empty") == 0;
        bool is_deep = argc == 3 && strcmp(argv[1], "--deep") == 0;
        bool is_bare = argc == 3 && strcmp(argv[1], "--bare") == 0;
        static const char end[2 * BLOCK];
        unsigned long count;

        if (argc == 2 && strcmp(argv[1], "--help") == 0) {
                fputs(usage_text, stdout);
                return 0;
        }
        if (argc != 2 && !is_empty && !is_deep && !is_bare) {
                fputs(usage_text, stderr);
                return 2;
        }
        count = strtoul(argv[argc - 1], NULL, 10);
        if (is_empty)
                empty(count);
        else if (is_deep)
                deep(count);
        else
                usual(is_bare ? "" : "./", count);
        put(end, sizeof end);
        return fflush(stdout) == 0 ? 0 : 1;
}
