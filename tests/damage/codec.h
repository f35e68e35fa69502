/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In which ways a sound archive is compressed before it is damaged. */
#ifndef VMAFS_TESTS_DAMAGE_CODEC_H
#define VMAFS_TESTS_DAMAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/fixtures/stream_fixture.h"

struct sound_codec {
        const char *name;
        bool single;        /* one member or frame, with its checksum at the end */
        const char *suffix; /* of the file's name */
        struct bytes (*pack)(struct bytes plain); /* NULL: as it is */
};

/*
 * From which byte on of what PACKED holds is it without a checksum, as far as zlib or libzstd can
 * tell: where the last member or frame begins, if its end is missing. SIZE_MAX: nowhere, or they
 * object to anything in it.
 */
size_t codec_unproven_from(struct bytes packed);

extern const struct sound_codec sound_codecs[];
extern const size_t sound_codec_count;

#endif
