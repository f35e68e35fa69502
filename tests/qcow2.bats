#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# qcow2: images of every kind, with random histories, hold what qemu-img finds in them.

load helpers
load qcow2

BACKING=()

# Options of qemu-img create, and what is done to the images besides plain writes.
kinds() {
        case $1 in
        v2) echo "compat=0.10 plain" ;;
        v2-deflate) echo "compat=0.10 compress" ;;
        v3) echo "compat=1.1 zeros" ;;
        v3-lazy) echo "compat=1.1,lazy_refcounts=on zeros" ;;
        v3-deflate) echo "compat=1.1 zeros-compress" ;;
        v3-zstd) echo "compat=1.1,compression_type=zstd zeros-compress" ;;
        v3-sub) echo "compat=1.1,extended_l2=on zeros" ;;
        # Discarding compressed clusters of such images makes QEMU 7.2 lose count of references.
        v3-sub-deflate) echo "compat=1.1,extended_l2=on compress-keep" ;;
        v3-sub-zstd) echo "compat=1.1,extended_l2=on,compression_type=zstd compress-keep" ;;
        v3-ahead) echo "compat=1.1,preallocation=metadata zeros-compress" ;;
        esac
}

# An image of each cluster size from FIRST on that has lived, compared: matrix KIND FIRST
matrix() {
        local options what cluster image size count=0

        read -r options what < <(kinds "$1")
        for ((cluster = $2; cluster <= 2097152; cluster *= 2)); do
                RANDOM=$((cluster % 32749 + ${#1}))
                image=$BATS_TEST_TMPDIR/disk.qcow2
                size=$(disk_size $cluster)
                qemu-img create -q -f qcow2 -o "$options,cluster_size=$cluster" "$image" $size
                live "$image" "$size" $cluster "$what" 60
                same_disk "$image" disk-disk.raw || return 1
                [ "$1" = v3-ahead ] || same_map "$image" disk-disk.raw || return 1
                count=$((count + 1))
        done
        echo "$count images of kind $1"
}

@test "images of version 2 hold what qemu-img finds" {
        matrix v2 512
}

@test "images of version 2 with compressed clusters do" {
        matrix v2-deflate 512
}

@test "images of version 3 do" {
        matrix v3 512
}

@test "images with lazy reference counts do" {
        matrix v3-lazy 512
}

@test "images with deflated clusters do" {
        matrix v3-deflate 512
}

@test "images with zstd clusters do" {
        matrix v3-zstd 512
}

@test "images with subclusters do" {
        matrix v3-sub 16384
}

@test "images with subclusters and deflated clusters do" {
        matrix v3-sub-deflate 16384
}

@test "images with subclusters and zstd clusters do" {
        matrix v3-sub-zstd 16384
}

@test "images whose clusters were allocated ahead do" {
        matrix v3-ahead 512
}
