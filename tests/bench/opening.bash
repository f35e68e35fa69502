# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section open of tests/bench/run, which sources this: from the command to a first byte of 100 GB
# with a kept index, page cache warm. What is stored are holes of the archive's file.

first_byte() {
        mount_vmafs "$1" -o index="$1.index"
        dd if="$MNT/disk-drive-scsi0.raw" of=/dev/null bs=4096 count=1 skip=$((70 * 262144)) status=none
}

# bench_first_byte NAME OPTION…: of an archive that mkvma makes so.
bench_first_byte() {
        local i archive=$DIR/100G.vma

        "$TOOLS/mkvma" -o "$archive" --synthetic 100G "${@:2}"
        build_index "$archive"
        for ((i = 0; i <= 3 * ROUNDS; i++)); do
                sample "open.$1" first_byte "$archive"
                unmount
                [ "$i" -gt 0 ] || rm "$DIR/samples/open.$1" # that one was cold
        done
        rm "$archive"*
        figure "100 GB $1: mount with an index and a far 4 KiB read" "open.$1" s "<=" 0.05
}

bench_open() {
        bench_first_byte "in order" --pattern=dense
        bench_first_byte "ragged" --pattern=ragged
        bench_first_byte "shuffled" --pattern=dense --order=shuffle
        bench_first_byte "shuffled, ragged" --pattern=ragged --order=shuffle
}
