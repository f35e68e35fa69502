# SPDX-License-Identifier: GPL-2.0-or-later
# Disks drawn on one screen. Without a terminal that is 72 by 16 characters.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# Lines of the drawing itself.
drawing() {
        grep -E '^[#+.x?]+$'
}

@test "map --picture draws a disk, one block a character where that fits" {
        make_disk a.raw $((72 * 16 * 4096)) 0-71 73-74 1151-1151
        mkvma -o a.vma --device a=a.raw
        "$VMAFS" map --picture a.vma disk-a.raw >out
        grep -qx 'disk-a.raw: 4.5 MiB, one character is 4.0 KiB' out
        [ "$(drawing <out | wc -l)" -eq 16 ]
        [ "$(drawing <out | head -1)" = "$(printf '#%.0s' {1..72})" ]
        [ "$(drawing <out | sed -n 2p)" = ".##$(printf '.%.0s' {1..69})" ]
        [ "$(drawing <out | tail -1)" = "$(printf '.%.0s' {1..71})#" ]
        grep -q 'x lost' out
}

@test "map --picture tells data among holes from data alone, and never takes more than the screen" {
        # 8 MiB and a block: 8 KiB a character.
        make_disk a.raw $((2049 * 4096)) 0-1 2-2
        mkvma -o a.vma --device a=a.raw
        "$VMAFS" map --picture a.vma disk-a.raw >out
        grep -q 'one character is 8.0 KiB' out
        [[ $(drawing <out | head -1) == '#+...'* ]]
        [ "$(drawing <out | tr -d '\n' | wc -c)" -eq 1025 ]
}

@test "verify --picture shows what is lost after the verdict, however little it is" {
        make_disk a.raw $((64 * 1024 * 1024)) 0-16383
        mkvma -o a.vma --device a=a.raw --drop a:100
        run "$VMAFS" verify --picture a.vma
        [ "$status" -eq 1 ]
        [ "$(drawing <<<"$output" | tr -d '\n' | tr -cd x)" = xx ]
        [[ $(drawing <<<"$output" | tr -d '\n' | cut -c1-120) == *'###xx###'* ]]
}

@test "an empty disk has no picture, and no division by zero" {
        truncate -s 4096 a.raw
        mkvma -o a.vma --device a=a.raw
        "$VMAFS" map --picture a.vma disk-a.raw | drawing | diff - <(echo .)
}

@test "the picture fits the terminal" {
        make_disk a.raw $((1024 * 1024)) 0-255
        mkvma -o a.vma --device a=a.raw
        NO_COLOR=1 script -qec "stty cols 20 rows 10; $VMAFS map --picture a.vma disk-a.raw" /dev/null |
                tr -d '\r' >out
        # 19 by 4 is 76 characters of 16 KiB, of which 64 are used.
        grep -q 'one character is 16.0 KiB' out
        [ "$(drawing <out | head -1)" = "$(printf '#%.0s' {1..19})" ]
        [ "$(drawing <out | wc -l)" -eq 4 ]
}

@test "the picture has colours on a terminal alone, and not with NO_COLOR" {
        make_disk a.raw 65536 0-1
        mkvma -o a.vma --device a=a.raw
        script -qec "$VMAFS map --picture a.vma disk-a.raw" /dev/null | grep -q $'\033\\[32m#'
        NO_COLOR=1 script -qec "$VMAFS map --picture a.vma disk-a.raw" /dev/null >out
        grep -q '#' out
        run ! grep -q $'\033' out
}
