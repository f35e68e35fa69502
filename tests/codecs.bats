# SPDX-License-Identifier: GPL-2.0-or-later
# Archives that are compressed with xz, bzip2 or lz4: shown, indexed, damaged, cut off.
# shellcheck disable=SC2030,SC2031,SC2154 # what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

KINDS=(xz bz2 lz4)

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        make_disk a.raw 6291456 0-200 300-900 1000-1535
        noise 2M | dd of=a.raw bs=1M seek=2 conv=notrunc status=none
        echo "name: guest" >guest.conf
        mkvma -o a.vma --device a=a.raw --config guest.conf=guest.conf
}

# Compresses FILE: pack xz|bz2|lz4 FILE
pack() {
        case $1 in
        xz) xz -0 -T2 --block-size=1MiB -c "$2" ;;
        bz2) bzip2 -1 -c "$2" ;;
        lz4) lz4 -q -B4 -BX -c "$2" ;;
        esac >"$2.$1"
}

flip() {
        local byte

        byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "an archive in each of them is shown, indexed, and shown by its index" {
        local kind

        for kind in xz:xz bz2:bzip2 lz4:lz4; do
                pack "${kind%:*}" a.vma
                mv "a.vma.${kind%:*}" backup
                "$VMAFS" info backup | grep "^compression:  ${kind#*:}\$"
                mount_vmafs backup -o index=none
                wait_indexed
                cmp "$MNT/disk-a.raw" a.raw
                [ "$(getfattr --only-values -n user.vmafs.compression "$MNT")" = "${kind#*:}" ]
                "$VMAFS" index --file=i backup | grep '^restart:  *[0-9]* points'
                mount_vmafs backup -o index="$PWD/i"
                index_is complete
                cmp "$MNT/disk-a.raw" a.raw
                [ "$(cat "$MNT/guest.conf")" = "name: guest" ]
                "$VMAFS" verify --file=i backup |
                        grep 'would show only where what is compressed has checksums'
                rm i
        done
}

@test "one block of xz is one restart point, and info says so" {
        xz -0 -T1 a.vma
        "$VMAFS" index --file=a.vma.xz.vmafs a.vma.xz
        "$VMAFS" info a.vma.xz | grep '^restart:  *1 point,'
}

@test "a dictionary over the limit is refused, and taken where that is asked for" {
        xz --lzma2=preset=0,dict=256MiB a.vma
        run --separate-stderr "$VMAFS" info a.vma.xz
        [ "$status" -ne 0 ]
        one_line_says "a.vma.xz: the xz block needs a dictionary of 268435456 bytes"
        [[ $stderr == *"--window=256M"* ]]
        "$VMAFS" info --window=256M a.vma.xz | grep '^compression:  xz$'
}

@test "zeros after the stream are no damage, and garbage is" {
        local kind

        for kind in "${KINDS[@]}"; do
                pack "$kind" a.vma
                head -c 10000 /dev/zero >>"a.vma.$kind"
                "$VMAFS" verify "a.vma.$kind"
                head -c 5000 a.raw | tr '\0' x >>"a.vma.$kind"
                run "$VMAFS" verify "a.vma.$kind"
                echo "$kind: $output"
                [ "$status" -eq 1 ]
                [[ $output == *"is followed by neither"* ]]
        done
}

@test "a damaged block is an error, the rest is served, and verify names it" {
        local kind lost

        for kind in "${KINDS[@]}"; do
                pack "$kind" a.vma
                flip "a.vma.$kind" $(($(stat -c %s "a.vma.$kind") / 2))
                run "$VMAFS" verify --json "a.vma.$kind"
                [ "$status" -eq 1 ]
                lost=$(jq '.disks[0].lost' <<<"$output")
                echo "$kind: $lost lost"
                [ "$lost" -gt 0 ]
                [ "$lost" -lt 4000000 ]
                mkdir "out.$kind"
                run "$VMAFS" extract -C "out.$kind" "a.vma.$kind"
                [ "$status" -eq 1 ]
                # What is there is right.
                while read -r start len; do
                        cmp -n "$len" -i "$start" "out.$kind/disk-a.raw.partial" a.raw
                done < <(holes --nonzero "out.$kind/disk-a.raw.partial")
        done
}

@test "what is cut off is an error, and what is before the cut is right" {
        local kind

        for kind in "${KINDS[@]}"; do
                pack "$kind" a.vma
                truncate -s $(($(stat -c %s "a.vma.$kind") * 3 / 4)) "a.vma.$kind"
                mkdir "out.$kind"
                run "$VMAFS" extract -C "out.$kind" "a.vma.$kind"
                [ "$status" -eq 1 ]
                while read -r start len; do
                        cmp -n "$len" -i "$start" "out.$kind/disk-a.raw.partial" a.raw
                done < <(holes --nonzero "out.$kind/disk-a.raw.partial")
                run "$VMAFS" verify "a.vma.$kind"
                [ "$status" -eq 1 ]
                [[ $output == *"truncated"* ]]
        done
}

@test "what an index was made of, and has changed since, is an error" {
        local kind

        for kind in "${KINDS[@]}"; do
                pack "$kind" a.vma
                "$VMAFS" index --file="$kind.i" "a.vma.$kind"
                flip "a.vma.$kind" $(($(stat -c %s "a.vma.$kind") / 2))
                mount_vmafs "a.vma.$kind" -o index="$PWD/$kind.i"
                index_is complete
                run cat "$MNT/disk-a.raw"
                [ "$status" -eq 1 ]
                dd if="$MNT/disk-a.raw" of=got bs=4K iflag=direct conv=noerror,sync status=none
                while read -r start len; do
                        cmp -n "$len" -i "$start" got a.raw
                done < <(holes --nonzero got)
        done
}

@test "what is damaged at its very beginning is named with its compression" {
        printf '\3757zXZ\0nothing of the kind' >a.xz
        run --separate-stderr "$VMAFS" info a.xz
        [ "$status" -ne 0 ]
        one_line_says "a.xz: the xz stream's header is damaged"
        printf 'BZh9nothing of the kind' >a.bz2
        run --separate-stderr "$VMAFS" info a.bz2
        [ "$status" -eq 2 ]
        one_line_says "a.bz2: is compressed with bzip2, not an archive that vmafs knows; bzip2 -d"
        printf '\4\42\115\30nothing of the kind' >a.lz4
        run --separate-stderr "$VMAFS" info a.lz4
        [ "$status" -ne 0 ]
        one_line_says "a.lz4: an lz4 frame's header is damaged"
}

@test "runs of one byte in each of them take little memory" {
        local kind peak

        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        truncate -s 400M zeros.raw
        tar -cf z.tar zeros.raw
        for kind in "${KINDS[@]}"; do
                pack "$kind" z.tar
                "$TOOLS/peak" peak "$VMAFS" verify -q "z.tar.$kind" >/dev/null 2>&1 || true
                peak=$(cat peak)
                echo "$kind: $peak KiB"
                [ "$peak" -lt $((400 * 1024)) ]
        done
}
