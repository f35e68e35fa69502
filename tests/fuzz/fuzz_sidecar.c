/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the sidecar of an archive that is sound. The first byte chooses the archive, and
 * what the others are: a sidecar, or changes of the true one,
 *
 *   part (1)  offset (2)  bytes (1: up to 8)  value (8)
 *
 * whose checksums are made right, as somebody would who means ill. Nothing but another place of
 * the archive's own stream may ever come of it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "tests/fixtures/sidecar_fixture.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum { CHANGE = 12, CHANGES_MAX = 64, RAW = 4, UNSEALED = 8, OVA = 16 };

/* Of whole sectors, and of more than one segment. */
#define OVA_SIZE (9 << 20)

static struct sidecar_fixture fixtures[FIXTURE_ALL];
static pid_t maker;

static void remove_fixtures(void)
{
        /* A fuzzer's child shares them. */
        for (size_t i = 0; i < FIXTURE_ALL && getpid() == maker; i++)
                sidecar_fixture_free(&fixtures[i]);
}

static const struct sidecar_fixture *fixture(size_t kind)
{
        if (!maker) {
                maker = getpid();
                for (size_t i = 0; i < FIXTURE_ALL; i++)
                        sidecar_fixture_make(&fixtures[i], (enum fixture_kind)i,
                                             i == FIXTURE_OVA ? OVA_SIZE : 400000);
                atexit(remove_fixtures);
        }
        return &fixtures[kind];
}

/* The same, of one that has a member's restart points. */
static size_t part_of_ova(struct bytes *b, uint8_t which)
{
        size_t head = (size_t)(sidecar_stream(b) - b->data);

        switch (which % 4) {
        case 0:
                return 0;
        case 1:
                return head + SC_STREAM + (size_t)(which / 4) * SC_SEGMENT;
        case 2:
                return head;
        default:
                return which & 4 ? (size_t)load_le64(b->data + SC_TABLES) : SC_HEADER;
        }
}

/* Where in the true sidecar B the part begins that the byte WHICH stands for. */
static size_t part(struct bytes *b, uint8_t which)
{
        uint64_t tables = load_le64(b->data + SC_TABLES);

        switch (which % 4) {
        case 0:
                return 0;
        case 1:
                return (size_t)tables + (size_t)(which / 4) * SC_SEGMENT;
        case 2:
                return (size_t)tables + (size_t)sidecar_segments(b) * SC_SEGMENT;
        default:
                return which & 4 ? (size_t)(sidecar_extents(b) - b->data) : SC_HEADER;
        }
}

static struct bytes change(const struct sidecar_fixture *f, const uint8_t *data, size_t size)
{
        struct bytes b = fixture_copy(f->sidecar);

        for (size_t i = 0; i < CHANGES_MAX && size >= CHANGE; i++) {
                struct bytes truth = f->sidecar;
                size_t begin = f == &fixtures[FIXTURE_OVA] ? part_of_ova(&truth, data[0])
                                                           : part(&truth, data[0]);
                size_t at = begin + load_le16(data + 1), n = 1 + data[3] % 8;

                if (range_within(at, n, b.len))
                        memcpy(b.data + at, data + 4, n);
                data += CHANGE;
                size -= CHANGE;
        }
        return b;
}

static struct bytes make_sidecar(const struct sidecar_fixture *f, uint8_t options,
                                 const uint8_t *data, size_t size)
{
        struct bytes b;

        if (!(options & RAW)) {
                b = change(f, data, size);
        } else {
                b = fixture_copy((struct bytes){.data = (uint8_t *)data, .len = size});
                if (size >= SC_HEADER)
                        memcpy(b.data + SC_IDENTITY, f->sidecar.data + SC_IDENTITY, 40);
        }
        if (b.len >= SC_HEADER && !(options & UNSEALED))
                sidecar_seal(&b);
        return b;
}

static void use(const struct sidecar_fixture *f, uint64_t seed)
{
        struct index *index = sidecar_open_forged(f);
        struct error err = {0};

        if (!index)
                return;
        if (index_sidecar_state(index).loaded) {
                fuzz_require(index_scan(index, NULL, &err) == 0);
                check_names(index);
                check_disk(index_disk(index, index_disk_count(index) - 1), seed);
        } else {
                fuzz_require(index_sidecar_state(index).problem != NULL);
        }
        index_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct sidecar_fixture *f;
        struct bytes b;

        if (size == 0)
                return 0;
        f = fixture(data[0] & OVA ? FIXTURE_OVA : data[0] % FIXTURE_KINDS);
        b = make_sidecar(f, data[0], data + 1, size - 1);
        fixture_write(f->index, b.data, b.len);
        free(b.data);
        use(f, XXH3_64bits(data, size));
        return 0;
}
