#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whatever an archive holds, extracting it takes few open files.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        mkdir out
}

# Extracts with so few open files that not even a shell has many left.
extract() {
        (ulimit -n "${LIMIT:-64}" && "$VMAFS" extract -C out "$@")
}

@test "a tar of 1500 disks is extracted with 64 open files" {
        local i

        mkdir in
        for ((i = 1; i <= 1500; i++)); do
                printf '%d and more' $i >in/$i.raw
        done
        tar -C in -cf many.tar $(seq -f '%.0f.raw' 1500)
        extract many.tar
        diff -r in out
        run extract many.tar
        [ "$status" -eq 1 ]
        [[ $output == *"is there already"* ]]
        extract --force many.tar
        diff -r in out
}

@test "an image of 150 snapshots, each in a folder, is" {
        local i

        qemu-img create -q -f qcow2 -o cluster_size=512 disk.qcow2 64k
        qemu-io -c 'write -q -P 1 0 64k' disk.qcow2
        for ((i = 1; i <= 150; i++)); do
                qemu-img snapshot -c "s$i" disk.qcow2
        done
        qemu-io -c 'write -q -P 2 0 512' disk.qcow2
        extract disk.qcow2
        [ "$(find out -name disk-disk.raw -size 64k | wc -l)" -eq 151 ]
        qemu-img convert -O raw disk.qcow2 now
        cmp now out/disk-disk.raw
        qemu-img convert -O raw -l snapshot.name=s150 disk.qcow2 first
        for ((i = 1; i <= 150; i++)); do
                cmp first out/snapshots/s$i/disk-disk.raw
        done
}

@test "the disks of a backup are written in turn, with as few as 32" {
        local i options=()

        for ((i = 1; i <= 60; i++)); do
                make_data d$i.raw 400000 $((i * 1000))
                truncate -s 401408 d$i.raw
                options+=(--device "d$i=d$i.raw")
        done
        mkvma -o many.vma "${options[@]}" --order=shuffle
        LIMIT=32 extract many.vma
        for ((i = 1; i <= 60; i++)); do
                cmp d$i.raw out/disk-d$i.raw
        done
        [ "$(find out -type f | wc -l)" -eq 60 ]
}

@test "what is lost of one of many stays partial, the others are whole" {
        local i

        mkdir in
        for ((i = 1; i <= 300; i++)); do
                head -c 6000 /dev/zero | tr '\0' $((i % 10)) >in/$i.raw
        done
        tar -C in -cf many.tar $(seq -f '%.0f.raw' 300)
        # The end mark and padding, and then some of the last member.
        truncate -s $((300 * 6656 - 2000)) many.tar
        run extract many.tar
        [ "$status" -eq 1 ]
        [[ $output == *"out/300.raw.partial: is incomplete"* ]]
        rm in/300.raw out/300.raw.partial
        diff -r in out
}
