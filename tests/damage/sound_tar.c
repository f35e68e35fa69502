/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sound tar archives: raw and qcow2 members, and OVAs with their manifests. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"

enum { BLOCK = 512, SHA256 = 32 };

static void append(struct bytes *tar, const void *data, size_t len)
{
        size_t padded = (len + BLOCK - 1) / BLOCK * BLOCK;

        tar->data = realloc(tar->data, tar->len + padded + 1);
        sound_require(tar->data != NULL, "out of memory");
        memset(tar->data + tar->len, 0, padded);
        if (data)
                memcpy(tar->data + tar->len, data, len);
        tar->len += padded;
}

static void put_header(uint8_t *h, const char *name, size_t size)
{
        unsigned sum = 0;

        memset(h, 0, BLOCK);
        snprintf((char *)h, 100, "%s", name);
        snprintf((char *)h + 100, 8, "%07o", 0644u);
        snprintf((char *)h + 108, 8, "%07o", 0u);
        snprintf((char *)h + 116, 8, "%07o", 0u);
        snprintf((char *)h + 124, 12, "%011zo", size);
        snprintf((char *)h + 136, 12, "%011o", 1700000000u);
        memset(h + 148, ' ', 8);
        h[156] = '0';
        memcpy(h + 257, "ustar\00000", 8);
        for (size_t i = 0; i < BLOCK; i++)
                sum += h[i];
        snprintf((char *)h + 148, 8, "%06o", sum);
        h[155] = ' ';
}

/* DATA, which becomes the content's, as a member of TAR, which will be the first file. */
static void member(struct sound *s, struct bytes *tar, const char *name, struct bytes data)
{
        uint8_t header[BLOCK];
        size_t start = tar->len;

        put_header(header, name, data.len);
        append(tar, header, BLOCK);
        append(tar, data.data, data.len);
        sound_add_linear(s, name, data, 0, start + BLOCK);
        sound_add_frame(s, start, BLOCK, tar->len);
}

static void finish(struct sound *s, struct bytes *tar, const char *name)
{
        size_t start = tar->len;

        append(tar, NULL, 2 * (size_t)BLOCK);
        sound_add_frame(s, start, 2 * (size_t)BLOCK, tar->len);
        sound_add_file(s, name, *tar);
}

void sound_tar_raw(struct sound *s, size_t size)
{
        struct bytes tar = {0};

        member(s, &tar, "machine.conf", fixture_mixture(2500, 20));
        member(s, &tar, "a.raw", sound_disk(size, 21));
        member(s, &tar, "b.raw", sound_disk(size / 2 + 3 * BLOCK, 22));
        member(s, &tar, "notes.txt", fixture_mixture(70000, 23));
        finish(s, &tar, "a.tar");
}

void sound_tar_qcow2(struct sound *s, size_t size)
{
        struct bytes tar = {0}, disk = sound_disk(size, 31);

        member(s, &tar, "machine.conf", fixture_mixture(2500, 30));
        member(s, &tar, "a.qcow2",
               sound_command(disk, "qemu-img convert -f raw -O qcow2 a.raw a.qcow2", "a.qcow2"));
        finish(s, &tar, "a.tar");
        sound_govern_qcow2(s, s->contents[1].places[0][0].at, sound_add(s, "disk-a.raw", disk));
}

static void add_digest(struct bytes *manifest, const char *name, struct bytes data)
{
        unsigned char sum[SHA256];
        char line[200];
        int at = snprintf(line, sizeof line, "SHA256(%s)= ", name);

        sound_require(EVP_Digest(data.data, data.len, sum, NULL, EVP_sha256(), NULL) == 1, "EVP");
        for (int i = 0; i < SHA256; i++)
                at += snprintf(line + at, sizeof line - (size_t)at, "%02x", sum[i]);
        line[at++] = '\n';
        manifest->data = realloc(manifest->data, manifest->len + (size_t)at);
        sound_require(manifest->data != NULL, "out of memory");
        memcpy(manifest->data + manifest->len, line, (size_t)at);
        manifest->len += (size_t)at;
}

void sound_ova(struct sound *s, size_t size)
{
        struct bytes tar = {0}, manifest = {0}, disk = sound_disk(size, 41);
        struct bytes vmdk = sound_vmdk_file(disk, true), ovf = fixture_mixture(9000, 40);

        add_digest(&manifest, "a.ovf", ovf);
        add_digest(&manifest, "disk1.vmdk", vmdk);
        member(s, &tar, "a.ovf", ovf);
        member(s, &tar, "a.mf", manifest);
        member(s, &tar, "disk1.vmdk", vmdk);
        finish(s, &tar, "a.ova");
        sound_add(s, "disk-disk1.raw", disk);
        s->has_digests = true;
}

/* The OVF of a disk that is in the file NAME, gzipped; CHUNK: bytes of each chunk, or 0. */
static struct bytes packed_ovf(const char *name, size_t chunk)
{
        char text[400], chunks[40] = "";
        int len;

        if (chunk)
                snprintf(chunks, sizeof chunks, " ovf:chunkSize=\"%zu\"", chunk);
        len = snprintf(text, sizeof text,
                       "<?xml version=\"1.0\"?><Envelope><References><File ovf:href=\"%s\" "
                       "ovf:compression=\"gzip\"%s/></References></Envelope>\n",
                       name, chunks);
        return sound_copy((struct bytes){.data = (uint8_t *)text, .len = (size_t)len});
}

enum { CHUNKS_MAX = 4 };

/* A disk that is gzipped, and cut into COUNT chunks; 0: in one piece, and nothing says chunk. */
static void add_packed_ova(struct sound *s, size_t size, size_t count)
{
        static const char name[] = "disk1.vmdk.gz";
        struct bytes tar = {0}, manifest = {0}, disk = sound_disk(size, 45);
        struct bytes vmdk = sound_vmdk_file(disk, false), packed = fixture_pipe(vmdk, "gzip -1n");
        size_t chunk = count ? (packed.len + count - 1) / count : packed.len, n = 0;
        struct bytes ovf = packed_ovf(name, count ? chunk : 0), pieces[CHUNKS_MAX];
        char names[CHUNKS_MAX][64];

        add_digest(&manifest, "a.ovf", ovf);
        for (size_t at = 0; at < packed.len; at += chunk, n++) {
                snprintf(names[n], sizeof names[n], "%s", name);
                if (count)
                        snprintf(names[n], sizeof names[n], "%s.%09zu", name, n);
                pieces[n] = sound_copy((struct bytes){
                    .data = packed.data + at, .len = (size_t)min_u64(chunk, packed.len - at)});
                add_digest(&manifest, names[n], pieces[n]);
        }
        member(s, &tar, "a.ovf", ovf);
        member(s, &tar, "a.mf", manifest);
        for (size_t i = 0; i < n; i++)
                member(s, &tar, names[i], pieces[i]);
        finish(s, &tar, "a.ova");
        sound_add(s, "disk-disk1.raw", disk);
        s->has_digests = true;
        free(packed.data);
        free(vmdk.data);
}

void sound_ova_gzip(struct sound *s, size_t size)
{
        add_packed_ova(s, size, 0);
}

void sound_ova_chunks(struct sound *s, size_t size)
{
        add_packed_ova(s, size, 3);
}
