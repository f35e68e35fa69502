/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tarfile/tar_block.h"

#include <string.h>

#include "archive/bytes.h"

bool tar_parse_number(const unsigned char *p, size_t len, uint64_t *out)
{
        size_t i = 0;
        uint64_t v = 0;

        if (p[0] & 0x80) {
                for (i = 0; i < len - 8; i++)
                        if (p[i] != (i ? 0 : 0x80))
                                return false;
                *out = load_be64(p + len - 8);
                return true;
        }
        while (i < len && p[i] == ' ')
                i++;
        for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
                v = v << 3 | (uint64_t)(p[i] - '0');
        if (i < len && p[i] != ' ' && p[i] != '\0')
                return false;
        *out = v;
        return true;
}

/*
 * The sum is that of all bytes, those of its own field as blanks. Some old tars added signed bytes:
 * then each byte from 0x80 on counts 256 less. The loop has no branches, so that it is done by
 * vectors: a header is checked for each of millions of members.
 */
static bool sum_is_right(const unsigned char *block)
{
        uint32_t sum = 0, high = 0;
        uint64_t said;

        /* A field of zeros is none: signed bytes of something else may add up to that. */
        if (!tar_parse_number(block + AT_SUM, SUM_LEN, &said) || said == 0)
                return false;
        for (size_t i = 0; i < TAR_BLOCK; i++) {
                sum += block[i];
                high += block[i] >> 7;
        }
        for (size_t i = AT_SUM; i < AT_SUM + SUM_LEN; i++) {
                sum += (uint32_t)' ' - block[i];
                high -= block[i] >> 7;
        }
        return said == sum || (sum >= 256 * high && said == sum - 256 * high);
}

static bool has_magic(const unsigned char *block)
{
        return memcmp(block + AT_MAGIC, "ustar", 5) == 0;
}

/* Are the LEN bytes octal digits, with nothing but blanks or NULs around them? */
static bool has_digits(const unsigned char *p, size_t len)
{
        size_t digits = 0;

        for (size_t i = 0; i < len; i++) {
                if (p[i] >= '0' && p[i] <= '7')
                        digits++;
                else if (p[i] != ' ' && p[i] != '\0')
                        return false;
        }
        return digits > 0;
}

/* The fields that have the same form in every header: mode, owner, group, size, time, checksum. */
static bool has_numbers(const unsigned char *block)
{
        return block[AT_NAME] && has_digits(block + AT_MODE, AT_SIZE - AT_MODE) &&
               has_digits(block + AT_SIZE, NUMBER_LEN) &&
               has_digits(block + AT_MTIME, NUMBER_LEN) && has_digits(block + AT_SUM, SUM_LEN);
}

bool tar_is_header(const void *block, size_t len)
{
        const unsigned char *p = block;
        uint64_t size;

        if (len < TAR_BLOCK || !sum_is_right(p))
                return false;
        /* A volume label of GNU tar has a name, a time and nothing else. */
        return has_magic(p) || (p[AT_NAME] && has_digits(p + AT_SUM, SUM_LEN) &&
                                tar_parse_number(p + AT_SIZE, NUMBER_LEN, &size));
}

bool tar_was_header(const unsigned char *block)
{
        return has_magic(block) || has_numbers(block);
}

bool tar_is_zero(const unsigned char *block)
{
        for (size_t i = 0; i < TAR_BLOCK; i++)
                if (block[i])
                        return false;
        return true;
}

uint64_t tar_data_size(char type, uint64_t size)
{
        return type >= '1' && type <= '6' ? 0 : size;
}

bool tar_is_file(char type)
{
        return type == '0' || type == '\0' || type == '7' || type == 'S';
}
