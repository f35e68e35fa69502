# SPDX-License-Identifier: GPL-2.0-or-later
# Disks of several spans of 64 MiB, whose maps are filled from a kept index as they are asked for.
# shellcheck disable=SC2016 # scripts for other shells
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

# Puts SIZE KiB of noise at OFFSET KiB of FILE: put FILE OFFSET SIZE
put() {
        noise "$3K" "$(($2 + 1))" | dd of="$1" bs=1K seek="$2" conv=notrunc iflag=fullblock status=none
}

# Spans with little in them, with nothing, all data, and an end within a cluster and a block.
setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        truncate -s $((330 * 1024 * 1024 + 1536)) a.raw
        put a.raw 0 12
        put a.raw $((65532)) 8
        put a.raw $((196608)) 65536
        put a.raw $((300 * 1024)) 132
        put a.raw $((330 * 1024)) 1
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q --rsyncable --threads=1 <a.vma >a.vma.zst
        mkvma -o ragged.vma --synthetic 320M --pattern=ragged --order=shuffle
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        RAW=$BATS_FILE_TMPDIR/a.raw
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        mkdir cache
}

link_archives() {
        ln "$BATS_FILE_TMPDIR"/{a.vma,a.vma.zst,ragged.vma} .
}

@test "what is filled in as it is asked for is every byte and every hole" {
        local archive

        link_archives
        for archive in a.vma a.vma.zst; do
                "$VMAFS" index --file=i "$archive"
                start_vmafs "$archive" -o index="$PWD/i"
                index_is complete
                # Before anything is filled in it is as much as afterwards.
                blocks=$(stat -c %b "$MNT/disk-a.raw")
                dd if="$MNT/disk-a.raw" bs=4096 skip=$((250 * 256)) count=3 status=none |
                        cmp - <(dd if="$RAW" bs=4096 skip=$((250 * 256)) count=3 status=none)
                holes "$MNT/disk-a.raw" | diff - <(holes --nonzero "$RAW")
                cmp "$MNT/disk-a.raw" "$RAW"
                [ "$(stat -c %b "$MNT/disk-a.raw")" = "$blocks" ]
                [ ! -s "$LOG" ]
                umount "$MNT" || fusermount3 -u "$MNT"
        done
}

@test "a disk that ends inside a block, as the last thing its archive stores, is there to its last byte" {
        local sectors archive

        for sectors in 1 6 7 8 15; do
                rm -rf -- * && mkdir cache
                noise $((4096 * 20 + 512 * sectors)) >disk.raw
                tar --format=ustar -cf t.tar disk.raw
                gzip -k t.tar
                qemu-img convert -O qcow2 disk.raw q.qcow2
                qemu-img convert -O qed disk.raw d.qed
                gzip q.qcow2 d.qed
                for archive in t.tar t.tar.gz q.qcow2.gz d.qed.gz; do
                        "$VMAFS" index --file=i "$archive"
                        start_vmafs "$archive" -o index="$PWD/i"
                        index_is complete
                        cmp disk.raw "$MNT"/disk*.raw
                        [ ! -s "$LOG" ]
                        umount "$MNT" || fusermount3 -u "$MNT"
                        rm i
                done
        done
}

@test "several readers at once fill in what is right" {
        local i pids=()

        link_archives
        "$VMAFS" index --file=i a.vma
        start_vmafs a.vma -o index="$PWD/i"
        for i in 1 2 3 4 5 6; do
                cmp "$MNT/disk-a.raw" "$RAW" &
                pids+=($!)
                tail -c +$((i * 40000000)) "$MNT/disk-a.raw" | cmp - <(tail -c +$((i * 40000000)) "$RAW") &
                pids+=($!)
        done
        for i in "${pids[@]}"; do
                wait "$i"
        done
}

@test "map and seeking say with an index what they say without" {
        link_archives
        "$VMAFS" map --output=json ragged.vma disk-drive-scsi0.raw >scanned
        start_vmafs ragged.vma -o index=none
        wait_indexed
        holes "$MNT/disk-drive-scsi0.raw" >holes.scanned
        stat -c %b "$MNT/disk-drive-scsi0.raw" >>holes.scanned
        umount "$MNT" || fusermount3 -u "$MNT"
        "$VMAFS" index --file=ragged.vma.vmafs ragged.vma
        "$VMAFS" map --output=json ragged.vma disk-drive-scsi0.raw | cmp - scanned
        start_vmafs ragged.vma
        index_is complete
        {
                holes "$MNT/disk-drive-scsi0.raw"
                stat -c %b "$MNT/disk-drive-scsi0.raw"
        } | cmp - holes.scanned
        [ ! -s "$LOG" ]
}

@test "an index may be deleted, or made anew, while a mount uses it" {
        link_archives
        "$VMAFS" index --file=i a.vma.zst
        start_vmafs a.vma.zst -o index="$PWD/i"
        "$VMAFS" index --file=i a.vma.zst
        dd if="$MNT/disk-a.raw" bs=1M skip=64 count=1 status=none |
                cmp - <(dd if="$RAW" bs=1M skip=64 count=1 status=none)
        rm i
        cmp "$MNT/disk-a.raw" "$RAW"
        [ ! -s "$LOG" ]
}

@test "an index that is cut while a mount uses it costs what was not asked for yet, and one line" {
        link_archives
        "$VMAFS" index --file=i a.vma
        start_vmafs a.vma -o index="$PWD/i",direct_io
        dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 count=1 status=none
        truncate -s 4096 i
        cmp -n $((64 * 1024 * 1024)) "$MNT/disk-a.raw" "$RAW"
        # A span of zeros is known, one of data is not.
        dd if="$MNT/disk-a.raw" bs=1M skip=140 count=1 status=none | cmp -n 1048576 - /dev/zero
        run -1 dd if="$MNT/disk-a.raw" of=/dev/null bs=1M skip=250 count=1
        [[ $output == *"Input/output error"* ]]
        run -1 dd if="$MNT/disk-a.raw" of=/dev/null bs=1M skip=300 count=1
        [[ $output == *"Input/output error"* ]]
        grep "its index $PWD/i cannot be read: " "$LOG"
        [ "$(wc -l <"$LOG")" -eq 1 ]
}

# What its mount has said is in LOG.
unmount_kept() {
        umount "$MNT" || fusermount3 -u "$MNT"
        wait "$DAEMON"
}

@test "an index that contradicts itself costs one mount what it is about, and is made anew by the next" {
        link_archives
        "$VMAFS" verify --record --file=i a.vma.zst
        "$TOOLS/forge" i
        start_vmafs a.vma.zst -o index="$PWD/i"
        index_is complete
        run -1 cat "$MNT/disk-a.raw"
        [[ $output == *"Input/output error"* ]]
        # The other spans are as they should be.
        cmp <(tail -c +$((64 * 1024 * 1024 + 1)) "$MNT/disk-a.raw") <(tail -c +$((64 * 1024 * 1024 + 1)) "$RAW")
        grep "its index $PWD/i cannot be used any more: it contradicts itself, and is marked" "$LOG"
        [ "$(wc -l <"$LOG")" -eq 1 ]
        [ "$(stat -c %A i)" = -rw------T ]
        unmount_kept
        start_vmafs a.vma.zst -o index="$PWD/i"
        wait_indexed
        cmp "$MNT/disk-a.raw" "$RAW"
        wait_for 60 test ! -k i
        wait_for 60 grep "its index $PWD/i is not used: its sticky bit is set" "$LOG"
        unmount_kept
        start_vmafs a.vma.zst -o index="$PWD/i"
        index_is complete
        cmp "$MNT/disk-a.raw" "$RAW"
        [ ! -s "$LOG" ]
        "$VMAFS" verify --file=i a.vma.zst | grep "^recorded: .*the disks are the same"
}

@test "map fails once with an index that contradicts itself, and verify puts another in its place" {
        link_archives
        "$VMAFS" map a.vma.zst disk-a.raw >truth
        "$VMAFS" index --file=a.vma.zst.vmafs a.vma.zst
        "$TOOLS/forge" a.vma.zst.vmafs
        run --separate-stderr -1 "$VMAFS" map a.vma.zst disk-a.raw
        # shellcheck disable=SC2154 # what run sets
        [[ $stderr == *"a.vma.zst.vmafs cannot be used any more: it contradicts itself, and is marked"* ]]
        [ -k a.vma.zst.vmafs ]
        "$VMAFS" map a.vma.zst disk-a.raw | cmp - truth
        "$VMAFS" index --file=i a.vma.zst
        "$TOOLS/forge" i
        "$VMAFS" verify --file=i a.vma.zst | grep "^index i: cannot be used: it contradicts itself, and is marked$"
        [ ! -k i ]
        "$VMAFS" verify --file=i a.vma.zst | grep '^index i: agrees$'
}

# Root in the sandbox has no right to another user's file, nor has anybody where nothing is written.
@test "an index that cannot be marked is to be deleted, and the log says so" {
        need_root
        link_archives
        "$VMAFS" index --file=i a.vma.zst
        "$TOOLS/forge" i
        mkdir ro
        unshare -m bash -euc '
                trap "umount -q mnt || true" EXIT
                mount --bind . ro
                mount -o remount,bind,ro ro
                mkdir mnt
                "$0" a.vma.zst mnt -f -o index="$PWD/ro/i" >log 2>&1 &
                for _ in {1..600}; do mountpoint -q mnt && break; sleep 0.1; done
                if cat mnt/disk-a.raw >/dev/null; then exit 1; fi
                umount mnt
                wait $!' "$VMAFS" 3>&-
        grep "its index $PWD/ro/i cannot be used any more, delete it: it contradicts itself" log
        grep 'cannot be marked: Read-only file system' log
        [ ! -k i ]
}
