# SPDX-License-Identifier: GPL-2.0-or-later
# Disks as they are, plain and compressed.
# shellcheck disable=SC2030,SC2031,SC2154 # what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        make_disk a.raw 6291968 0-20 300-900 1000-1535
        echo '2048,4096' | sfdisk -q a.raw
}

@test "a plain disk is shown as it is, with its holes, and at once" {
        mv a.raw sdcard.img
        mount_vmafs sdcard.img
        index_is complete
        cmp "$MNT/disk-sdcard.raw" sdcard.img
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = raw ]
        holes "$MNT/disk-sdcard.raw" >got
        holes sdcard.img >want
        cmp got want
        "$VMAFS" verify sdcard.img
        [ "$("$VMAFS" info sdcard.img | grep -c '^index: .*none is needed')" -eq 1 ]
}

@test "a compressed disk is shown, without and with an index" {
        local tool kind

        mv a.raw sdcard.img
        for tool in zstd:zst gzip:gz lzop:lzo xz:xz bzip2:bz2 lz4:lz4; do
                kind=${tool#*:}
                "${tool%:*}" -c <sdcard.img >"sdcard.img.$kind"
                mount_vmafs "sdcard.img.$kind" -o index="$PWD/$kind.i"
                # Whoever asks for its size waits until that is known.
                cmp "$MNT/disk-sdcard.raw" sdcard.img
                wait_for 60 test -s "$kind.i"
                mount_vmafs "sdcard.img.$kind" -o index="$PWD/$kind.i"
                index_is complete
                cmp "$MNT/disk-sdcard.raw" sdcard.img
                [ "$(stat -c %b "$MNT/disk-sdcard.raw")" -lt 12000 ]
                mkdir "out.$kind"
                "$VMAFS" extract -C "out.$kind" "sdcard.img.$kind"
                cmp "out.$kind/disk-sdcard.raw" sdcard.img
        done
}

@test "the name alone says that it is a disk, and contents that it is not" {
        noise 100000 >plain.img
        "$VMAFS" info plain.img | grep '^format:  *raw$'
        printf 'PK\3\4' | dd of=plain.img conv=notrunc status=none
        run --separate-stderr "$VMAFS" info plain.img
        [ "$status" -eq 2 ]
        one_line_says "plain.img: is a zip archive, not an archive that vmafs knows; unzip"
        cp a.raw a.qcow2
        run --separate-stderr "$VMAFS" info a.qcow2
        [ "$status" -eq 2 ]
        one_line_says "a.qcow2: is a disk with a partition table, not an archive that vmafs knows"
}

@test "what damaged archives of other kinds are said to be stays" {
        local file

        for file in "$DATA"/bad/*; do
                run "$VMAFS" info "$file"
                run ! grep '^format:  *raw$' <<<"$output"
        done
}

@test "a compressed disk that is damaged or cut off: what is there is right" {
        xz -0 -T2 --block-size=512KiB -k a.raw
        printf xxxx | dd of=a.raw.xz bs=1 seek=$(($(stat -c %s a.raw.xz) / 2)) conv=notrunc status=none
        mkdir out
        run "$VMAFS" extract -C out a.raw.xz
        [ "$status" -eq 1 ]
        [ "$(stat -c %s out/disk-a.raw.partial)" -eq 6291968 ]
        while read -r start len; do
                cmp -n "$len" -i "$start" out/disk-a.raw.partial a.raw
        done < <(holes --nonzero out/disk-a.raw.partial)
        run "$VMAFS" verify --json a.raw.xz
        [ "$(jq '.disks[0].lost' <<<"$output")" -le 532480 ]
        truncate -s $(($(stat -c %s a.raw.xz) / 3)) a.raw.xz
        run "$VMAFS" verify a.raw.xz
        [ "$status" -eq 1 ]
}
