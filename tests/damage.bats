# SPDX-License-Identifier: GPL-2.0-or-later
# Damaged and lost data, and what is no archive: an error, never a wrong byte.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# A disk a.raw of 4 MiB, all of it data, in an archive d.vma damaged as the options say.
make_damaged() {
        make_data a.raw 4194304
        mkvma -o d.vma --device a=a.raw "$@"
}

mount_damaged() {
        make_damaged "$@"
        mount_vmafs d.vma
        wait_indexed
}

# a.raw with these clusters zeroed, as dd conv=noerror,sync leaves them.
expect_lost() {
        local cluster

        cp a.raw expected
        for cluster in "$@"; do
                dd if=/dev/zero of=expected bs=65536 seek="$cluster" count=1 conv=notrunc status=none
        done
}

# Reads the disk block by block, goes on after errors, and gives their number.
read_over_errors() {
        dd if="$MNT/disk-a.raw" of=got bs=4096 conv=noerror,sync 2>&1 |
                grep -c 'Input/output error'
}

# Are all of the disk's blocks that can be read right? Blocks that cannot be are fine.
no_wrong_byte() {
        dd if="$1" of=got bs=4096 conv=noerror,sync 2>errors || true
        cmp -l got "$2" | awk '$2 != 0 { wrong = 1 } END { exit wrong }' || return 1
        # Zeros stand in for errors only: as many blocks are zero as errors were reported.
        [ "$(cmp -l got "$2" | awk '{ b[int(($1 - 1) / 4096)] } END { print length(b) }')" -le \
                "$(grep -c 'Input/output error' errors)" ]
}

@test "a lost cluster fails in all of its 16 blocks, and only there" {
        mount_damaged --drop a:20
        [ "$(read_over_errors)" -eq 16 ]
        expect_lost 20
        cmp got expected
}

@test "a lost cluster does not shorten the file: what is after it is there" {
        mount_damaged --drop a:20
        run cat "$MNT/disk-a.raw"
        [ "$status" -ne 0 ]
        [ "$(stat -c %s "$MNT/disk-a.raw")" -eq 4194304 ]
        dd if="$MNT/disk-a.raw" bs=65536 skip=21 status=none | cmp - <(tail -c +$((21 * 65536 + 1)) a.raw)
}

@test "reads of 1 MiB around a lost cluster give what is before it, and an error" {
        mount_damaged --drop a:20
        dd if="$MNT/disk-a.raw" bs=1M count=1 status=none | cmp -n 1048576 - a.raw
        run dd if="$MNT/disk-a.raw" of=got bs=1M skip=1 count=1
        [ "$(stat -c %s got)" -le $((4 * 65536)) ]
        cmp -n "$(stat -c %s got)" got <(tail -c +1048577 a.raw)
        dd if="$MNT/disk-a.raw" bs=1M skip=2 status=none | cmp - <(tail -c +2097153 a.raw)
}

@test "a second pass over a damaged disk, from the page cache, is as the first" {
        mount_damaged --drop a:20
        [ "$(read_over_errors)" -eq 16 ]
        mv got first
        [ "$(read_over_errors)" -eq 16 ]
        cmp first got
        # Whole reads first, so that read-ahead has been there.
        run cat "$MNT/disk-a.raw"
        [ "$(read_over_errors)" -eq 16 ]
        cmp first got
}

@test "a mapping of a lost cluster fails too, with nothing in place of the data" {
        mount_damaged --drop a:20
        "$TOOLS/mapread" private "$MNT/disk-a.raw" >got && return 1
        [ "$(stat -c %s got)" -le $((20 * 65536)) ]
        cmp -n "$(stat -c %s got)" got a.raw
}

@test "direct_io gives the bytes before a lost cluster, then the error, then what is after" {
        make_damaged --drop a:20
        mount_vmafs d.vma -o direct_io
        wait_indexed
        run dd if="$MNT/disk-a.raw" of=got bs=1M
        [[ $output == *"Input/output error"* ]]
        [ "$(stat -c %s got)" -eq $((20 * 65536)) ]
        cmp -n $((20 * 65536)) got a.raw
        [ "$(read_over_errors)" -eq 16 ]
        expect_lost 20
        cmp got expected
}

@test "with direct_io, a mapping that meets a lost cluster leaves the file its size" {
        make_damaged --drop a:20
        mount_vmafs d.vma -o direct_io
        wait_indexed
        [ "$(stat -c %s "$MNT/disk-a.raw")" -eq 4194304 ]
        "$TOOLS/mapread" private "$MNT/disk-a.raw" >got && return 1
        [ "$(stat -c %s "$MNT/disk-a.raw")" -eq 4194304 ]
        [ "$(read_over_errors)" -eq 16 ]
        expect_lost 20
        cmp got expected
}

@test "lost is not a hole: SEEK_DATA finds it, and st_blocks counts it" {
        mount_damaged --drop a:20
        [ "$(holes "$MNT/disk-a.raw")" = "0 4194304" ]
        [ "$(stat -c %b "$MNT/disk-a.raw")" -eq 8192 ]
        run cp --sparse=always "$MNT/disk-a.raw" copy
        [ "$status" -ne 0 ]
}

@test "recover=zero reads zeros in place of what is lost, and says so" {
        make_damaged --drop a:20
        start_vmafs d.vma -o recover=zero
        wait_indexed
        expect_lost 20
        cmp expected "$MNT/disk-a.raw"
        wait_for 60 grep -q '65536 bytes are lost and read as ZEROS (recover=zero)' "$LOG"
}

@test "the mount's log says that something is lost" {
        make_damaged --drop a:20
        start_vmafs d.vma
        wait_for 60 grep -q 'd.vma: 65536 bytes are lost and read as I/O errors' "$LOG"
}

@test "a duplicate cluster is lost, and verify names it" {
        mount_damaged --duplicate a:20
        [ "$(read_over_errors)" -eq 16 ]
        expect_lost 20
        cmp got expected
        run "$VMAFS" verify d.vma
        [ "$status" -eq 1 ]
        [[ $output == *"archive byte "*": clusters are stored a second time (disk-a.raw from 1310720, 65536 bytes)"* ]]
        [[ $output == *"disk-a.raw: lost: 1310720 to 1376255 (65536 bytes)"* ]]
}

@test "verify of a sound archive says so" {
        make_damaged
        run "$VMAFS" verify d.vma
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "d.vma: sound" ]
        "$VMAFS" verify --json "$DATA/good/tiny.vma" | jq -e '.sound and .["damage-count"] == 0'
}

@test "verify names disk and range of a lost cluster" {
        make_damaged --drop a:20 --drop a:21 --drop a:40
        run "$VMAFS" verify d.vma
        [ "$status" -eq 1 ]
        [[ $output == *"disk-a.raw: lost: 1310720 to 1441791 (131072 bytes)"* ]]
        [[ $output == *"disk-a.raw: lost: 2621440 to 2686975 (65536 bytes)"* ]]
        [ "${lines[-1]}" = "d.vma: DAMAGED" ]
}

@test "verify --json names the same for a script" {
        make_damaged --drop a:20
        run --separate-stderr "$VMAFS" verify --json d.vma
        [ "$status" -eq 1 ]
        jq -e '.sound == false and .disks[0].name == "disk-a.raw" and .disks[0].lost == 65536 and
                .disks[0]["lost-ranges"] == [{"start": 1310720, "length": 65536}]' <<<"$output"
}

@test "map says lost, and fails" {
        make_damaged --drop a:20
        run --separate-stderr "$VMAFS" map --output=json d.vma disk-a.raw
        [ "$status" -eq 1 ]
        one_line_says "d.vma: parts of disk-a.raw are lost"
        jq -e 'map(select(.lost)) | length == 1 and .[0].start == 1310720 and
                .[0].length == 65536 and .[0].data and (.[0].zero | not)' <<<"$output"
        run "$VMAFS" map d.vma disk-a.raw
        [ "$(grep -c '^0x140000 *0x10000 *lost' <<<"$output")" -eq 1 ]
}

@test "extract of a damaged disk leaves it under the name .partial and fails" {
        make_damaged --drop a:20
        run --separate-stderr "$VMAFS" extract d.vma
        [ "$status" -eq 1 ]
        one_line_says "disk-a.raw.partial: is incomplete"
        [ ! -e disk-a.raw ]
        expect_lost 20
        cmp disk-a.raw.partial expected
}

@test "a cluster beyond the end is damage, and the disk is whole" {
        make_damaged --beyond a:64
        mount_vmafs d.vma
        cmp a.raw "$MNT/disk-a.raw"
        run "$VMAFS" verify d.vma
        [ "$status" -eq 1 ]
        [[ $output == *"archive byte "*": a cluster with data lies beyond its device's end"* ]]
}

@test "every kind of damaged extent header is found, named by its byte, and costs no wrong byte" {
        local what

        make_data a.raw 524288
        for what in magic uuid md5 reserved count+1 count-1; do
                mkvma -o $what.vma --device a=a.raw --slots=2 --damage-extent 1:$what
                mount_vmafs $what.vma
                wait_indexed
                echo "$what"
                cmp -n $((2 * 65536)) a.raw "$MNT/disk-a.raw"
                run dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 skip=32 count=1
                [[ $output == *"Input/output error"* ]]
                no_wrong_byte "$MNT/disk-a.raw" a.raw
                run "$VMAFS" verify $what.vma
                [ "$status" -eq 1 ]
                [[ $output == *"archive byte $((12800 + 512 + 2 * 65536)): "* ]]
        done
}

# Mounts tiny.vma cut to N bytes, or sees a clean error; fails on a wrong byte.
cut_is_honest() {
        head -c "$1" "$DATA/good/tiny.vma" >cut.vma
        echo "cut to $1"
        run --separate-stderr "$VMAFS" cut.vma mnt
        if [ "$status" -ne 0 ]; then
                [ "$status" -le 2 ] && one_line_says "cut.vma: " && is_gone mnt
                return
        fi
        MNT=mnt
        wait_indexed
        [ "$(stat -c %s mnt/disk-drive-scsi0.raw)" -eq 1048576 ] &&
                [ "$(sha mnt/qemu-server.conf)" = "$TINY_CONF" ] &&
                no_wrong_byte mnt/disk-drive-scsi0.raw whole/disk-drive-scsi0.raw || return 1
        if [ "$1" -lt 25600 ]; then
                grep -q 'Input/output error' errors || return 1
                run "$VMAFS" verify cut.vma
                [ "$status" -eq 1 ] || return 1
        fi
        umount mnt
}

@test "tiny.vma cut to any of forty sizes gives errors, never a wrong byte" {
        local size

        mkdir mnt whole
        "$VMAFS" extract -C whole "$DATA/good/tiny.vma"
        # The header ends at 12800, the extent header at 13312, then three blocks.
        for size in 0 1 3 4 5 8 31 32 48 56 59 60 511 512 513 4096 12287 12288 12289 12310 \
                12799 12800 12801 12803 12804 12824 12840 13000 13311 13312 13313 14000 \
                17407 17408 17409 21503 21504 21505 25000 25599 25600; do
                cut_is_honest $size
        done
}

# No archive: each verb and the mount say which file, in one line, with status 2.
is_no_archive() {
        local verb

        mkdir -p mnt
        for verb in mount info verify extract map; do
                run --separate-stderr timeout 60 "$VMAFS" $verb "$1" \
                        "$(case $verb in mount) echo mnt ;; map) echo disk-a.raw ;; esac)"
                [ $verb = mount ] || [ $verb = map ] ||
                        run --separate-stderr timeout 60 "$VMAFS" $verb "$1"
                echo "$verb"
                [ "$status" -eq 2 ] && one_line_says "$1: $2" || return 1
        done
}

@test "what is no archive is named" {
        echo "this is a text, and not an archive at all" >text
        is_no_archive text "is a text, not an archive that vmafs knows"
}

@test "an empty file is named" {
        : >empty
        is_no_archive empty "is empty, so it is not an archive"
}

@test "a directory is named" {
        local verb

        mkdir dir
        for verb in extract map; do
                run --separate-stderr timeout 60 "$VMAFS" $verb dir
                echo "$verb"
                [ "$status" -eq 2 ] && one_line_says "dir: is a directory, not an archive"
                # In a folder of archives, a name is that of an archive.
                run --separate-stderr timeout 60 "$VMAFS" $verb dir disk-a.raw
                [ "$status" -eq 2 ] && one_line_says "dir/disk-a.raw: No such file or directory"
        done
}

@test "a FIFO is named and does not hang" {
        mkfifo fifo
        is_no_archive fifo "is neither a regular file nor a block device"
}

@test "a missing file is named" {
        is_no_archive absent "cannot be opened: No such file or directory"
}

@test "control bytes of a file's name do not reach the terminal" {
        is_no_archive $'a\033[31m' "cannot be opened" || {
                run --separate-stderr "$VMAFS" info $'a\033[31m'
                [ "$status" -eq 2 ]
                one_line_says 'a?[31m: cannot be opened'
        }
}

@test "a file that may not be read is named" {
        need_root
        cp "$DATA/good/tiny.vma" secret.vma
        chmod 600 secret.vma
        let_others_pass
        run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
                "$VMAFS" info "$PWD/secret.vma"
        [ "$status" -eq 2 ]
        one_line_says "secret.vma: cannot be opened: Permission denied"
}

@test "a duplicate in the middle of an extent is named by its own range, again and again" {
        make_damaged --duplicate a:20 --duplicate a:30 --duplicate a:31
        run --separate-stderr "$VMAFS" verify --json d.vma
        [ "$status" -eq 1 ]
        jq -e '.disks[0]["lost-ranges"] == [{"start": 1310720, "length": 65536},
                {"start": 1966080, "length": 131072}]' <<<"$output"
        run "$VMAFS" verify d.vma
        [[ $output == *"second time (disk-a.raw from 1310720, 65536 bytes)"* ]]
        [[ $output == *"second time (disk-a.raw from 1966080, 131072 bytes)"* ]]
}

@test "a duplicate in the RAM state, after its declared size, is found" {
        make_data ram 3145728
        mkvma -o s.vma --vmstate ram --vmstate-size=1M --duplicate vmstate:40
        run --separate-stderr timeout 60 "$VMAFS" verify --json s.vma
        [ "$status" -eq 1 ]
        jq -e '.disks[0]["lost-ranges"] == [{"start": 2621440, "length": 65536}]' <<<"$output"
}

# An archive s.vma of a disk a.raw of 4 MiB, two clusters an extent: sets EXTENT, the bytes of one.
make_small_extents() {
        make_data a.raw 4194304
        mkvma -o s.vma --device a=a.raw --slots=2
        EXTENT=$((512 + 2 * 65536))
}

# Where extent N begins.
extent_at() {
        echo $((12800 + $1 * EXTENT))
}

# The mount and verify of FILE: these clusters, and no others, are lost.
only_lost() {
        local file=$1

        shift
        mount_vmafs "$file"
        wait_indexed
        [ "$(read_over_errors)" -eq $(($# * 16)) ]
        expect_lost "$@"
        cmp got expected
        run --separate-stderr "$VMAFS" verify --json "$file"
        [ "$status" -eq 1 ]
        [ "$(jq '[.disks[0]["lost-ranges"][].length] | add' <<<"$output")" -eq $(($# * 65536)) ]
        umount "$MNT"
}

@test "after an extent header that is damaged, the rest is there" {
        make_small_extents
        printf x | dd of=s.vma bs=1 seek=$(($(extent_at 5) + 100)) conv=notrunc status=none
        only_lost s.vma 10 11
        run "$VMAFS" verify s.vma
        [[ $output == *"archive byte $(extent_at 5): an extent header is damaged"* ]]
}

@test "after overwritten extent headers the rest is there, and what nothing vouches for is lost" {
        local i

        make_small_extents
        for i in 5 6 20; do
                noise 512 $i |
                        dd of=s.vma bs=1 seek="$(extent_at $i)" conv=notrunc status=none
        done
        only_lost s.vma 8 9 10 11 12 13 38 39 40 41
        run "$VMAFS" verify s.vma
        [[ $output == *"archive byte $(extent_at 4): no extent header follows this extent"* ]]
        [[ $output == *"archive byte $(extent_at 5): no extent header is where one should be"* ]]
}

@test "after a missing piece and after junk the rest is there" {
        local at

        make_small_extents
        at=$(($(extent_at 7) + 70001))
        { head -c $at s.vma && tail -c +$((at + 4097)) s.vma; } >missing.vma
        only_lost missing.vma 14 15
        { head -c $at s.vma && noise 12345 && tail -c +$((at + 1)) s.vma; } >junk.vma
        only_lost junk.vma 14 15
        at=$(($(extent_at 7) - 2048))
        { head -c $at s.vma && tail -c +$((at + 4097)) s.vma; } >across.vma
        only_lost across.vma 12 13 14 15
}

@test "extract of what is found after damage is right, and holes stand for the rest" {
        make_small_extents
        dd if=/dev/zero of=s.vma bs=512 seek=$(($(extent_at 5) / 512)) count=1 conv=notrunc status=none
        run --separate-stderr "$VMAFS" extract s.vma
        [ "$status" -eq 1 ]
        expect_lost 8 9 10 11
        cmp disk-a.raw.partial expected
}

# Each byte of the disk of FILE that can be read is right, and what is after byte N of it is there.
rest_is_served() {
        local lost

        mount_vmafs "$1"
        wait_indexed
        no_wrong_byte "$MNT/disk-a.raw" a.raw
        tail -c +$(($2 + 1)) "$MNT/disk-a.raw" | cmp - <(tail -c +$(($2 + 1)) a.raw)
        run --separate-stderr "$VMAFS" verify --json "$1"
        [ "$status" -eq 1 ]
        lost=$(jq '.disks[0].lost' <<<"$output")
        [ "$lost" -gt 0 ]
        [ "$lost" -le "$3" ]
        mkdir "out.$1"
        "$VMAFS" extract -C "out.$1" "$1" && return 1
        cmp "out.$1/disk-a.raw.partial" got
        umount "$MNT"
}

@test "after a damaged block of lzop the rest is there" {
        make_small_extents
        lzop -c s.vma >s.vma.lzo
        printf xxxx | dd of=s.vma.lzo bs=1 seek=$(($(stat -c %s s.vma.lzo) / 2)) conv=notrunc status=none
        rest_is_served s.vma.lzo 3000000 786432
}

@test "damage that indexing lzop did not see is an error for who reads it, and zeros where that is asked for" {
        make_data a.raw 8388608
        mkvma -o a.vma --device a=a.raw
        lzop -c a.vma >a.vma.lzo
        printf xxxx | dd of=a.vma.lzo bs=1 seek=$(($(stat -c %s a.vma.lzo) * 6 / 10)) conv=notrunc status=none
        run "$VMAFS" index --file=i a.vma.lzo
        [ "$status" -eq 0 ]
        mount_vmafs a.vma.lzo -o index="$PWD/i"
        dd if="$MNT/disk-a.raw" of=got bs=4096 conv=noerror,sync status=none
        [ "$(cmp -l a.raw got | wc -l)" -gt 0 ]
        [ "$(cmp -l a.raw got | wc -l)" -le 270336 ]
        umount "$MNT"
        mount_vmafs a.vma.lzo -o index="$PWD/i",recover=zero
        cmp "$MNT/disk-a.raw" got
        umount "$MNT"
        run "$VMAFS" verify --file=i a.vma.lzo
        [ "$status" -eq 1 ]
        [[ $output == *"an lzop block is damaged"* ]]
}

@test "after a damaged member of gzip or frame of zstd the rest is there" {
        local i tool

        make_small_extents
        split -b 500000 -d s.vma part.
        for tool in gzip zstd; do
                : >"s.$tool"
                for i in part.??; do
                        $tool -qc "$i" >piece
                        [ "$i" != part.03 ] ||
                                head -c 20 /dev/zero |
                                dd of=piece bs=1 seek=$(($(stat -c %s piece) / 2)) conv=notrunc status=none
                        cat piece >>"s.$tool"
                done
                rest_is_served "s.$tool" 2200000 900000
        done
}

@test "after damage inside of a single gzip member the rest is there" {
        local command file

        # Not of numbers that differ in their last digits: those repeat what is lost for ever.
        noise 58720256 | base64 -w 64 | head -c 58720256 >a.raw
        mkvma -o big.vma --device a=a.raw
        for command in "gzip -1" "pigz -p2 -1" "pigz -p2 -1 --rsyncable"; do
                file=${command//[^a-z]/}.gz
                $command -c big.vma >"$file"
                # Long enough for what decodes it to notice, whatever it makes of it.
                noise 200000 2 | dd of="$file" bs=1 \
                        seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none
                rest_is_served "$file" 37748736 25165824
        done
}
