#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QED: chains, large images and damaged ones hold what qemu-img finds in them. matrix.bats has images of
# every geometry.
#
# Each test is a process, and what it sets is read by the helpers.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

bats_require_minimum_version 1.5.0
load helpers
load qcow2

BACKING=()

@test "an image with the largest clusters that QEMU makes, and a disk of terabytes" {
        local image=$BATS_TEST_TMPDIR/disk.qed

        qemu-img create -q -f qed -o cluster_size=4194304,table_size=2 "$image" 30M
        qemu-io -f qed -c "write -q -P 3 8M 70k" -c "write -q -P 4 29M 1M" "$image"
        same_disk "$image" disk-disk.raw
        same_map "$image" disk-disk.raw
        rm "$image"
        qemu-img create -q -f qed "$image" 40T
        qemu-io -f qed -c "write -q -P 3 39T 70k" "$image"
        same_map "$image" disk-disk.raw
        mount_vmafs "$image"
        wait_indexed
        [ "$(stat -c '%s %b' "$MNT/disk-disk.raw")" = "43980465111040 256" ]
        [ "$(dd if="$MNT/disk-disk.raw" bs=1M skip=$((39 << 20)) count=1 status=none | tr -d '\0' |
                wc -c)" -eq $((70 * 1024)) ]
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = qed ]
}

# A chain of three images with these cluster sizes, which have all lived: make_chain FORMAT:SIZE...
# Sets IMAGE to the top one. The sizes differ.
make_chain() {
        local dir=$BATS_TEST_TMPDIR/chain name below='' below_format='' format size cluster

        mkdir -p "$dir"
        for name in base middle top; do
                format=${1%:*} cluster=${1#*:}
                shift
                size=$(disk_size 65536)
                [ $name = base ] && size=$((size / 2 / 512 * 512))
                IMAGE=$dir/$name.$format
                qemu-img create -q -f "$format" ${below:+-b "$below" -F "$below_format"} \
                        -o "cluster_size=$cluster" "$IMAGE" "$size"
                live "$IMAGE" "$size" "$cluster" zeros-keep 15
                below=$name.$format below_format=$format
        done
}

@test "chains of backing files, of QED and of qcow2, hold what qemu-img finds" {
        local sizes

        BACKING=(--backing=dir)
        for sizes in "qed:65536 qed:65536 qed:65536" "qed:4096 qed:1048576 qed:65536" \
                "qcow2:512 qed:8192 qcow2:4096" "qed:2097152 qcow2:65536 qed:4096"; do
                RANDOM=${#sizes}
                rm -rf "$BATS_TEST_TMPDIR/chain"
                # shellcheck disable=SC2086 # three images
                make_chain $sizes
                same_chain "$IMAGE" disk-top.raw
        done
}

@test "a backing file that is raw is not taken for anything else" {
        local dir=$BATS_TEST_TMPDIR/chain

        BACKING=(--backing=dir)
        mkdir "$dir"
        # What is in it begins as an image does.
        qemu-img create -q -f qed "$dir/base.raw" 1M
        truncate -s 1M "$dir/base.raw"
        qemu-img create -q -f qed -b base.raw -F raw "$dir/top.qed" 2M
        qemu-io -f qed -c "write -q -P 9 512k 100k" "$dir/top.qed"
        same_disk "$dir/top.qed" disk-top.raw
        [ "$(head -c 3 "$BATS_TEST_TMPDIR/out/disk-top.raw")" = QED ]
}

@test "an image with a backing file is refused without the option, and one elsewhere with it" {
        local dir=$BATS_TEST_TMPDIR/chain

        mkdir "$dir"
        qemu-img create -q -f qed "$BATS_TEST_TMPDIR/base.qed" 1M
        qemu-img create -q -f qed -b ../base.qed -F qed "$dir/top.qed"
        run --separate-stderr "$VMAFS" info "$dir/top.qed"
        [ "$status" -ne 0 ]
        one_line_says "../base.qed"
        one_line_says "backing=dir"
        run --separate-stderr "$VMAFS" info --backing=dir "$dir/top.qed"
        [ "$status" -ne 0 ]
        one_line_says "backing=any"
        "$VMAFS" verify --backing=any "$dir/top.qed"
}

# put OFFSET HEX: a byte of $image
put() {
        printf '%b' "\\x$2" | dd of="$image" bs=1 seek="$1" conv=notrunc status=none
}

@test "info says that an image needs a check; unknown features are refused" {
        local image=$BATS_TEST_TMPDIR/disk.qed

        qemu-img create -q -f qed "$image" 1M
        run "$VMAFS" info "$image"
        [ "$status" -eq 0 ]
        [[ $output == *"format:       qed"* ]] && [[ $output != *note* ]]
        put 16 02
        run "$VMAFS" info "$image"
        [ "$status" -eq 0 ]
        [[ $output == *"note:         it needs a check"* ]]
        put 16 12
        run --separate-stderr "$VMAFS" info "$image"
        [ "$status" -eq 1 ]
        one_line_says "feature of QED that vmafs does not know: bit 4"
}

@test "a compressed image, and one that is cut off" {
        local image=$BATS_TEST_TMPDIR/disk.qed

        make_data "$BATS_TEST_TMPDIR/raw" 3145728
        qemu-img convert -O qed "$BATS_TEST_TMPDIR/raw" "$image"
        "$VMAFS" verify "$image"
        zstd -q -k "$image"
        mkdir "$BATS_TEST_TMPDIR/out"
        "$VMAFS" extract -C "$BATS_TEST_TMPDIR/out" "$image.zst"
        cmp "$BATS_TEST_TMPDIR/raw" "$BATS_TEST_TMPDIR/out/disk-disk.raw"
        truncate -s -1000000 "$image"
        run "$VMAFS" verify "$image"
        [ "$status" -eq 1 ]
        [[ $output == *"past the end of the file"* ]]
        [ "$("$VMAFS" verify --json "$image" | jq '.disks[0].lost')" -eq 1003520 ]
}
