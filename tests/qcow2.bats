#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# qcow2: images of every kind, with random histories, hold what qemu-img finds in them.
#
# Each test is a process, and what it sets is read by the helpers.
# shellcheck disable=SC2030,SC2031,SC2034

bats_require_minimum_version 1.5.0
load helpers
load qcow2

BACKING=()

# Options of qemu-img create, and what is done to the images apart from plain writes. matrix.bats has
# those without snapshots.
kinds() {
        case $1 in
        v2-deflate) echo "compat=0.10 compress" ;;
        v3-deflate) echo "compat=1.1 zeros-compress" ;;
        v3-zstd) echo "compat=1.1,compression_type=zstd zeros-compress" ;;
        v3-sub) echo "compat=1.1,extended_l2=on zeros" ;;
        esac
}

# ---- snapshots ----

# Makes IMAGE live through snapshots named one, two and three, with growing and discarding between.
live_with_snapshots() {
        local name size=$2

        live "$1" "$size" "$3" "$4" 30
        for name in one two three; do
                qemu-img snapshot -c "$name" "$1"
                live "$1" "$size" "$3" "$4" 15
        done
}

# snapshot_matrix KIND FIRST
snapshot_matrix() {
        local options what cluster image size name

        read -r options what < <(kinds "$1")
        for ((cluster = $2; cluster <= 2097152; cluster *= 4)); do
                RANDOM=$((cluster % 32749 + 7 * ${#1}))
                image=$BATS_TEST_TMPDIR/disk.qcow2
                size=$(disk_size $cluster)
                qemu-img create -q -f qcow2 -o "$options,cluster_size=$cluster" "$image" "$size"
                live_with_snapshots "$image" "$size" $cluster "$what"
                same_disk "$image" disk-disk.raw || return 1
                same_map "$image" disk-disk.raw || return 1
                for name in one two three; do
                        same_disk "$image" snapshots/$name/disk-disk.raw -l snapshot.name=$name ||
                                return 1
                done
        done
}

@test "snapshots of version 2 hold what qemu-img finds" {
        snapshot_matrix v2-deflate 512
}

@test "snapshots of version 3 do" {
        snapshot_matrix v3-deflate 512
}

@test "snapshots of images with zstd clusters do" {
        snapshot_matrix v3-zstd 1024
}

@test "snapshots of images with subclusters do" {
        snapshot_matrix v3-sub 16384
}

@test "a snapshot has the size that the disk had" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        qemu-img create -q -f qcow2 "$image" 1M
        qemu-io -c "write -q -P 7 0 1M" "$image"
        qemu-img snapshot -c small "$image"
        qemu-img resize -q "$image" 3M
        qemu-io -c "write -q -P 8 1M 2M" "$image"
        same_disk "$image" disk-disk.raw
        mount_vmafs "$image"
        [ "$(stat -c %s "$MNT/disk-disk.raw")" -eq 3145728 ]
        [ "$(stat -c %s "$MNT/snapshots/small/disk-disk.raw")" -eq 1048576 ]
        [ "$(tr -d '\007' <"$MNT/snapshots/small/disk-disk.raw" | wc -c)" -eq 0 ]
}

@test "the state of a machine is a file of its snapshot" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 at

        # A disk of 1 GiB whose second half becomes the state of a machine: that lies after the
        # end of the disk, at the next multiple of what one L2 table maps.
        qemu-img create -q -f qcow2 "$image" 1G
        qemu-io -c "write -q -P 3 64k 64k" -c "write -q -P 5 512M 192k" "$image"
        qemu-img snapshot -c running "$image"
        at=$((0x$(od -An -tx8 --endian=big -j64 -N8 "$image" | tr -d " ")))
        printf '\0\0\0\0\0\0\x80\0' | dd of="$image" bs=1 seek=$((at + 40)) conv=notrunc status=none
        printf '\0\0\0\0\x20\0\0\0' | dd of="$image" bs=1 seek=$((at + 48)) conv=notrunc status=none
        mount_vmafs "$image"
        [ "$(stat -c %s "$MNT/snapshots/running/disk-disk.raw")" -eq $((512 << 20)) ]
        [ "$(stat -c %s "$MNT/snapshots/running/vmstate.bin")" -eq 32768 ]
        [ "$(tr -d '\005' <"$MNT/snapshots/running/vmstate.bin" | wc -c)" -eq 0 ]
        [ "$(head -c 131072 "$MNT/snapshots/running/disk-disk.raw" | tr -d '\0' | wc -c)" -eq 65536 ]
}

@test "a snapshot's name is made safe, and never two folders have one name" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 out=$BATS_TEST_TMPDIR/out

        qemu-img create -q -f qcow2 "$image" 1M
        qemu-img snapshot -c ../../etc "$image"
        qemu-img snapshot -c .. "$image"
        qemu-img snapshot -c twice "$image"
        qemu-img snapshot -c twicf "$image"
        # QEMU would not make this.
        LC_ALL=C sed -i s/twicf/twice/ "$image"
        mount_vmafs "$image"
        names_in "$MNT/snapshots" | diff - <(printf '%s\n' %2E%2E ..%2F..%2Fetc twice twice~2)
        mkdir "$out"
        "$VMAFS" extract -C "$out" "$image"
        find "$out" -type f -printf '%P\n' | sort | diff - <(find "$MNT" -type f -printf '%P\n' | sort)
        [ "$(find "$MNT" -type f | wc -l)" -eq 5 ]
}

@test "extract follows no link in the place of a folder" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 out=$BATS_TEST_TMPDIR/out

        qemu-img create -q -f qcow2 "$image" 1M
        qemu-img snapshot -c one "$image"
        mkdir "$out" "$BATS_TEST_TMPDIR/elsewhere"
        ln -s ../elsewhere "$out/snapshots"
        run --separate-stderr "$VMAFS" extract -C "$out" "$image"
        [ "$status" -eq 1 ]
        [ -z "$(ls "$BATS_TEST_TMPDIR/elsewhere")" ]
}

# ---- bitmaps ----

# What is marked in bitmap $2 of image $1, as qemu-nbd says it: an export has "data": false there.
marked_says_qemu() {
        local socket=$BATS_TEST_TMPDIR/nbd server

        rm -f "$socket"
        # It returns when it listens, and ends with its first client.
        qemu-nbd --fork --pid-file="$socket.pid" -r -f qcow2 -B "$2" -k "$socket" "$1" 3>&-
        server=$(cat "$socket.pid")
        qemu-img map --output=json --image-opts \
                "driver=nbd,server.type=unix,server.path=$socket,x-dirty-bitmap=qemu:dirty-bitmap:$2" |
                jq -c '.[] | select(.data | not) | [.start, .length]'
        wait_for 60 has_ended "$server"
}

@test "bitmaps mark what qemu-nbd says they do" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 name i

        RANDOM=11
        qemu-img create -q -f qcow2 -o cluster_size=4k "$image" 20972032
        for name in fine coarse; do
                qemu-img bitmap --add -g "$([ $name = fine ] && echo 512 || echo 1M)" "$image" $name
        done
        for ((i = 0; i < 40; i++)); do
                pick 40000
                qemu-io -c "write -q $((RANDOM_NUMBER * 512)) $(((RANDOM % 60 + 1) * 512))" "$image"
        done
        qemu-img bitmap --add -g 64k "$image" empty
        mount_vmafs "$image"
        names_in "$MNT/bitmaps" | diff - <(printf '%s\n' coarse.json empty.json fine.json)
        for name in fine coarse empty; do
                jq -c '.[] | select(.data) | [.start, .length]' "$MNT/bitmaps/$name.json" |
                        diff - <(marked_says_qemu "$image" $name)
                # All of the disk is told of.
                [ "$(jq 'map(.length) | add' "$MNT/bitmaps/$name.json")" -eq 20972032 ]
        done
}

@test "a bitmap that was left in use is not shown, and info says so" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 at

        qemu-img create -q -f qcow2 "$image" 1M
        qemu-img bitmap --add "$image" one
        # The directory is the last thing that was written; its entry has the flags at byte 12.
        at=$(grep -abo one "$image" | tail -n 1 | cut -d: -f1)
        printf '\1' | dd of="$image" bs=1 seek=$((at - 24 + 15)) conv=notrunc status=none
        qemu-img info "$image" | grep -q in-use
        "$VMAFS" info "$image" | grep -q 'left in use'
        run "$VMAFS" info "$image"
        [[ $output != *one.json* ]]
}

@test "info says that an image is dirty or corrupt" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        qemu-img create -q -f qcow2 "$image" 1M
        [ "$("$VMAFS" info --json "$image" | jq -r .note)" = null ]
        printf '\1' | dd of="$image" bs=1 seek=79 conv=notrunc status=none
        "$VMAFS" info "$image" | grep -q '^note: .*dirty'
        printf '\2' | dd of="$image" bs=1 seek=79 conv=notrunc status=none
        "$VMAFS" info "$image" | grep -q '^note: .*corrupt'
}

# ---- backing files ----

# A chain of three images in a folder of its own, which have all lived: make_chain CLUSTER-SIZE...
# Sets IMAGE to the top one. The sizes differ.
make_chain() {
        local dir=$BATS_TEST_TMPDIR/chain name='' below='' size cluster

        mkdir -p "$dir/sub"
        for name in base middle top; do
                cluster=$1
                shift
                size=$(disk_size 65536)
                [ $name = base ] && size=$((size / 2 / 512 * 512))
                IMAGE=$dir/$name.qcow2
                [ $name = base ] && IMAGE=$dir/sub/base.qcow2
                qemu-img create -q -f qcow2 ${below:+-b "$below" -F qcow2} \
                        -o "cluster_size=$cluster" "$IMAGE" "$size"
                live "$IMAGE" "$size" "$cluster" "zeros-compress" 25
                below=sub/base.qcow2
                [ $name = base ] || below=$name.qcow2
        done
}

@test "an image with a backing file is refused, with the option's name" {
        make_chain 65536 65536 65536
        run --separate-stderr "$VMAFS" info "$IMAGE"
        [ "$status" -eq 2 ]
        one_line_says "backing=dir"
        run --separate-stderr "$VMAFS" info --backing=all "$IMAGE"
        [ "$status" -eq 2 ]
        one_line_says "--backing is dir or any"
}

@test "chains of backing files hold what qemu-img finds" {
        local sizes

        BACKING=(--backing=dir)
        for sizes in "65536 65536 65536" "512 65536 4096" "2097152 1024 65536" "4096 512 2097152"; do
                RANDOM=${#sizes}
                rm -rf "$BATS_TEST_TMPDIR/chain"
                # shellcheck disable=SC2086 # three sizes
                make_chain $sizes
                same_chain "$IMAGE" disk-top.raw
        done
}

@test "a raw backing file is read, through a mount too, and a snapshot of what is on it" {
        local dir=$BATS_TEST_TMPDIR/chain

        BACKING=(--backing=dir)
        mkdir "$dir"
        make_ragged_disk "$dir/base.raw"
        qemu-img create -q -f qcow2 -b base.raw -F raw "$dir/top.qcow2" 8M
        qemu-io -c "write -q -P 9 1000k 700k" -c "write -q -z 2M 100k" "$dir/top.qcow2"
        qemu-img snapshot -c one "$dir/top.qcow2"
        qemu-io -c "write -q -P 8 900k 700k" "$dir/top.qcow2"
        same_disk "$dir/top.qcow2" disk-top.raw
        same_disk "$dir/top.qcow2" snapshots/one/disk-top.raw -l snapshot.name=one
        mount_vmafs "$dir/top.qcow2" -o backing=dir
        qemu-img convert -O raw "$dir/top.qcow2" "$dir/expected"
        cmp "$dir/expected" "$MNT/disk-top.raw"
}

@test "an absolute name of what is below the image's folder is opened, through links too" {
        local dir=$BATS_TEST_TMPDIR/chain

        BACKING=(--backing=dir)
        mkdir -p "$dir/sub"
        ln -s chain "$BATS_TEST_TMPDIR/other"
        make_ragged_disk "$dir/sub/base.raw"
        qemu-img create -q -f qcow2 -b "$BATS_TEST_TMPDIR/other/sub/base.raw" -F raw \
                "$dir/sub/middle.qcow2"
        qemu-img create -q -f qcow2 -b "$dir/sub/middle.qcow2" -F qcow2 "$dir/top.qcow2"
        qemu-io -c "write -q -P 9 1000k 700k" "$dir/top.qcow2"
        same_disk "$dir/top.qcow2" disk-top.raw
        cd "$dir"
        same_disk top.qcow2 disk-top.raw
        ln -s "$BATS_TEST_TMPDIR/outside.raw" "$dir/sub/link.raw"
        cp "$dir/sub/base.raw" "$BATS_TEST_TMPDIR/outside.raw"
        qemu-img create -q -f qcow2 -b "$dir/sub/link.raw" -F raw top.qcow2
        IMAGE=top.qcow2
        refused dir "backing=any"
}

# refused OPTION WORDS: is $IMAGE, with --backing=OPTION, refused with these words?
refused() {
        run --separate-stderr "$VMAFS" info "--backing=$1" "$IMAGE"
        [ "$status" -ne 0 ] && one_line_says "$2"
}

@test "with backing=dir nothing outside of the image's folder is opened" {
        local dir=$BATS_TEST_TMPDIR/chain name

        mkdir "$dir"
        IMAGE=$dir/top.qcow2
        make_data "$BATS_TEST_TMPDIR/secret" 1048576
        ln -s ../secret "$dir/link"
        ln -s . "$dir/inside"
        for name in /etc/shadow "$BATS_TEST_TMPDIR/secret" ../secret link inside/../../secret; do
                qemu-img create -q -u -f qcow2 -b "$name" -F raw "$IMAGE" 1M
                refused dir "backing=any"
        done
        for name in nbd://localhost/x 'json:{"driver":"file","filename":"/etc/shadow"}' fat:rw:/tmp; do
                qemu-img create -q -u -f qcow2 -b "$name" -F raw "$IMAGE" 1M
                refused any "no plain file"
        done
        qemu-img create -q -u -f qcow2 -b ../secret -F raw "$IMAGE" 1M
        BACKING=(--backing=any)
        same_disk "$IMAGE" disk-top.raw
}

@test "a chain that goes round in a circle is refused" {
        local dir=$BATS_TEST_TMPDIR/chain

        mkdir "$dir"
        IMAGE=$dir/top.qcow2
        qemu-img create -q -u -f qcow2 -b top.qcow2 -F qcow2 "$IMAGE" 1M
        refused dir "circle"
        qemu-img create -q -u -f qcow2 -b other.qcow2 -F qcow2 "$IMAGE" 1M
        qemu-img create -q -u -f qcow2 -b top.qcow2 -F qcow2 "$dir/other.qcow2" 1M
        refused dir "circle"
        refused any "circle"
}

@test "an image of many files keeps no index" {
        make_chain 65536 65536 65536
        run "$VMAFS" index --backing=dir "$IMAGE"
        [ "$status" -eq 1 ]
        [[ $output == *"its index is not kept"* ]]
}

# ---- the program's words ----

@test "an image in a compressed stream is read, and its index kept" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2 size blocks=

        RANDOM=5
        size=$(disk_size 65536)
        qemu-img create -q -f qcow2 "$image" "$size"
        live_with_snapshots "$image" "$size" 65536 zeros-compress
        qemu-img convert -O raw "$image" "$BATS_TEST_TMPDIR/expected"
        qemu-img convert -O raw -l snapshot.name=two "$image" "$BATS_TEST_TMPDIR/two"
        zstd -q "$image"
        for _ in 1 2; do
                mount_vmafs "$image.zst" -o "index=$BATS_TEST_TMPDIR/index"
                # The index knows how much is stored; nothing is counted again.
                [ -z "$blocks" ] || [ "$(stat -c %b "$MNT/disk-disk.raw")" -eq "$blocks" ]
                cmp "$BATS_TEST_TMPDIR/expected" "$MNT/disk-disk.raw"
                cmp "$BATS_TEST_TMPDIR/two" "$MNT/snapshots/two/disk-disk.raw"
                wait_indexed
                wait_for 60 test -e "$BATS_TEST_TMPDIR/index"
                blocks=$(stat -c %b "$MNT/disk-disk.raw")
                [ "$blocks" -gt 0 ]
                fusermount3 -u "$MNT"
        done
}

@test "no index is kept of an image that may be written to" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        qemu-img create -q -f qcow2 "$image" 1M
        run --separate-stderr "$VMAFS" index --file="$BATS_TEST_TMPDIR/index" "$image"
        [ "$status" -eq 1 ]
        one_line_says "may be written to in place"
        [ ! -e "$BATS_TEST_TMPDIR/index" ]
}

@test "a mounted image reads as qemu-img finds it, with its holes" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        make_ragged_disk "$BATS_TEST_TMPDIR/raw"
        qemu-img convert -O qcow2 -o cluster_size=4k "$BATS_TEST_TMPDIR/raw" "$image"
        mount_vmafs "$image"
        wait_indexed
        cmp "$BATS_TEST_TMPDIR/raw" "$MNT/disk-disk.raw"
        [ "$(stat -c %b "$MNT/disk-disk.raw")" -eq "$(nonzero_blocks "$BATS_TEST_TMPDIR/raw")" ]
        diff <(holes "$MNT/disk-disk.raw") <(holes "$BATS_TEST_TMPDIR/raw")
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = qcow2 ]
        [ "$(stat -c %Y "$MNT/disk-disk.raw")" -eq "$(stat -c %Y "$image")" ]
}

@test "the folders of a mount are like any others" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        qemu-img create -q -f qcow2 "$image" 1M
        qemu-img snapshot -c one "$image"
        qemu-img snapshot -c two "$image"
        qemu-img bitmap --add "$image" map
        mount_vmafs "$image"
        names_in "$MNT" | diff - <(printf '%s\n' bitmaps disk-disk.raw snapshots)
        [ "$(find "$MNT" | wc -l)" -eq 9 ]
        [ "$(stat -c %h "$MNT" "$MNT/snapshots" "$MNT/bitmaps" | tr '\n' ' ')" = "4 4 2 " ]
        [ "$(cd "$MNT/snapshots/one/.." && ls)" = "$(printf 'one\ntwo')" ]
        [ ! -e "$MNT/one" ] && [ ! -e "$MNT/snapshots/disk-disk.raw" ] && [ ! -e "$MNT/disk-disk.raw/x" ]
        run mkdir "$MNT/snapshots/three"
        [[ $output == *"Read-only file system"* ]]
}

@test "verify finds what a truncated image has lost, and nothing in a whole one" {
        local image=$BATS_TEST_TMPDIR/disk.qcow2

        make_data "$BATS_TEST_TMPDIR/raw" 3145728
        qemu-img convert -O qcow2 "$BATS_TEST_TMPDIR/raw" "$image"
        "$VMAFS" verify "$image"
        truncate -s -1000000 "$image"
        run "$VMAFS" verify "$image"
        [ "$status" -eq 1 ]
        [[ $output == *"past the end of the file"* ]]
        [ "$("$VMAFS" verify --json "$image" | jq '.disks[0].lost')" -eq 1003520 ]
}

# ---- leaked clusters ----

# The big-endian number of 8 bytes at byte $2 of the file.
number_be() {
        echo $((16#$(od -An -tx8 --endian=big -j "$2" -N 8 "$1" | tr -d ' ')))
}

# Counts the clusters from number $2 to $3 of an image with one block of counts as in use, as QEMU
# leaves them if it is killed before a table names them: leak IMAGE FIRST LAST
leak() {
        local block i

        block=$(number_be "$1" "$(number_be "$1" 48)")
        for ((i = $2; i <= $3; i++)); do
                printf '\0\1' | dd of="$1" bs=1 seek=$((block + 2 * i)) conv=notrunc status=none
        done
}

# Makes IMAGE a disk of 4 MiB with data in the first one: make_image [OPTION OF qemu-img create...]
make_image() {
        IMAGE=$BATS_TEST_TMPDIR/disk.qcow2
        RAW=$BATS_TEST_TMPDIR/raw
        qemu-img create -q -f qcow2 "$@" "$IMAGE" 4M
        make_data "$RAW" 1048576
        qemu-io -c "write -q -s $RAW 0 1M" "$IMAGE"
        NEXT=$(($(stat -c %s "$IMAGE") / 65536))
}

# As qemu-img sees it: leaks, and nothing that is corrupt.
has_only_leaks() {
        qemu-img check "$IMAGE" || [ $? -eq 3 ]
        qemu-img check --output=json "$IMAGE" | jq -e '.leaks > 0 and (.corruptions // 0) == 0'
}

verify_image() {
        run --separate-stderr "$VMAFS" verify "$@" "$IMAGE"
        echo "$status: $output"
        # shellcheck disable=SC2154 # what run sets
        echo "$stderr"
}

@test "leaked clusters of zeros: the image is sound, and a note says that there are some" {
        make_image
        leak "$IMAGE" "$NEXT" $((NEXT + 2))
        truncate -s $(((NEXT + 3) * 65536)) "$IMAGE"
        has_only_leaks
        verify_image
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "$IMAGE: sound" ]
        [[ $output == *"note: it has leaked clusters, which are empty: nothing is missing"* ]]
        verify_image --json
        jq -e '.sound and .verdict == "sound" and .["damage-count"] == 0' <<<"$output"
        same_disk "$IMAGE" disk-disk.raw
}

@test "leaked clusters of data: in doubt, which is neither sound nor damaged" {
        make_image
        leak "$IMAGE" "$NEXT" $((NEXT + 2))
        cat "$RAW" >>"$IMAGE"
        truncate -s $(((NEXT + 3) * 65536)) "$IMAGE"
        has_only_leaks
        verify_image
        [ "$status" -eq 1 ]
        [ "${lines[0]}" = "$IMAGE: IN DOUBT" ]
        [ "${lines[-1]}" = "$IMAGE: IN DOUBT" ]
        [[ $output == *"leaked clusters: 3; QEMU was killed, or a table has lost entries"* ]]
        verify_image --json
        jq -e '(.sound | not) and .verdict == "in-doubt" and .disks[0].lost == 0' <<<"$output"
        # What it holds is read all the same.
        same_disk "$IMAGE" disk-disk.raw
        qemu-img check -q -r leaks "$IMAGE"
        verify_image
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "$IMAGE: sound" ]
}

@test "a table that has lost an entry leaks its cluster: it is not called sound" {
        local l2

        make_image
        l2=$(($(number_be "$IMAGE" "$(number_be "$IMAGE" 40)") & 0xfffffffffffe00))
        dd if=/dev/zero of="$IMAGE" bs=8 seek=$((l2 / 8 + 5)) count=1 conv=notrunc status=none
        has_only_leaks
        verify_image
        [ "$status" -eq 1 ]
        [ "${lines[-1]}" = "$IMAGE: IN DOUBT" ]
}

@test "an entry that one of two tables has lost leaves a count too high: in doubt" {
        local l2

        make_image
        qemu-img snapshot -c one "$IMAGE"
        verify_image
        [ "$status" -eq 0 ]
        # This copies the table, and all that it names stays counted twice.
        qemu-io -c "write -q -P 7 0 64k" "$IMAGE"
        verify_image
        [ "$status" -eq 0 ]
        l2=$(($(number_be "$IMAGE" "$(number_be "$IMAGE" 40)") & 0xfffffffffffe00))
        dd if=/dev/zero of="$IMAGE" bs=8 seek=$((l2 / 8 + 5)) count=1 conv=notrunc status=none
        has_only_leaks
        verify_image
        [ "$status" -eq 1 ]
        [ "${lines[-1]}" = "$IMAGE: IN DOUBT" ]
        [[ $output == *"leaked clusters: 1;"* ]]
}

@test "leaked clusters of zeros may hide what a backing file has: in doubt" {
        qemu-img create -q -f raw "$BATS_TEST_TMPDIR/base" 4M
        make_image -b "$BATS_TEST_TMPDIR/base" -F raw
        leak "$IMAGE" "$NEXT" "$NEXT"
        truncate -s $(((NEXT + 1) * 65536)) "$IMAGE"
        has_only_leaks
        verify_image --backing=dir
        [ "$status" -eq 1 ]
        [ "${lines[-1]}" = "$IMAGE: IN DOUBT" ]
}

@test "an image in doubt in a compressed stream: no index of it is kept, and that is said" {
        make_image
        leak "$IMAGE" "$NEXT" "$NEXT"
        cat "$RAW" >>"$IMAGE"
        zstd -q --rm "$IMAGE"
        run --separate-stderr "$VMAFS" index --file="$BATS_TEST_TMPDIR/index" "$IMAGE.zst"
        [ "$status" -eq 1 ]
        one_line_says "its index is not kept: it cannot be proven to be whole"
        [ ! -e "$BATS_TEST_TMPDIR/index" ]
}
