# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions of disks: as sfdisk sees them, and equal to the ranges of the disk.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
}

teardown() {
        detach_loops "$BATS_TEST_TMPDIR"
        unmount_all
}

# ---- disks ----

# A disk of 8 MiB with runs of data and holes; sfdisk adds the table: make_parted FILE <<SCRIPT
make_parted() {
        make_disk "$1" 8388608 0-40 63-63 100-300 512-513 700-999 1500-1700 2000-2047
        sfdisk -q "$1"
}

make_mbr() {
        make_parted "$1" <<'END'
label: dos
label-id: 0x12ab34cd
start=63, size=2000, type=83, bootable
start=2063, size=2001, type=7
start=8192, size=8192, type=82
END
}

make_logical() {
        make_parted "$1" <<'END'
label: dos
label-id: 0x00000001
start=64, size=900, type=83
start=1000, size=15000, type=5
start=1063, size=2000, type=83
start=4096, size=4096, type=82
start=9000, size=6999, type=b
END
}

gpt_script() {
        cat <<'END'
label: gpt
label-id: 0F0E0D0C-0B0A-0908-0706-050403020100
start=2048, size=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=00000000-0000-0000-0000-00000000AB01, name="EFI system"
start=4096, size=4095, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=00000000-0000-0000-0000-00000000AB02, name="système"
start=9000, size=3001, type=E6D6D379-F507-44C2-A23C-238F2A3DF928, uuid=00000000-0000-0000-0000-00000000AB04, attrs="LegacyBIOSBootable"
END
}

make_gpt() {
        gpt_script | make_parted "$1"
}

# The GPT at the disk's beginning is overwritten.
make_gpt_damaged() {
        make_gpt "$1"
        noise 512 | dd of="$1" bs=512 seek=1 conv=notrunc status=none
}

# A GPT for sectors of 4096 bytes, which sfdisk makes on a device that has such. The table that it sees
# there is in sfdisk.json.
make_gpt_4k() {
        make_data "$1" 8388608
        LOOP=$(losetup -f --show --sector-size 4096 "$1")
        gpt_script | sed 's/start=2048, size=2048/start=64, size=512/; s/start=4096, size=4095/start=600, size=700/
                s/start=9000, size=3001/start=1500, size=333/; 1a first-lba: 6' |
                sfdisk -q --no-tell-kernel --no-reread "$LOOP"
        sfdisk_table "$LOOP" >sfdisk.json
        sync "$1"
        losetup -d "$LOOP"
}

# The same whose header at the disk's beginning, in its second sector, is overwritten.
make_gpt_4k_damaged() {
        make_gpt_4k "$1"
        noise 4096 | dd of="$1" bs=4096 seek=1 conv=notrunc status=none
}

# Prints the table of FILE in the form of ours, with what both know: sfdisk_table FILE
sfdisk_table() {
        sfdisk -J "$1" 2>/dev/null | jq -S '.partitiontable | .sectorsize as $s | {
                label: (if .label == "dos" then "mbr" else .label end), id, "sector-size": $s,
                partitions: [.partitions[] | {
                        number: (.node | capture("(?<n>[0-9]+)$").n | tonumber),
                        start: (.start * $s), size: (.size * $s), type,
                        uuid: (.uuid // null), name: (.name // null),
                        bootable: (.bootable // ((.attrs // "") | contains("LegacyBIOSBootable")))}]}'
}

# The same of what info has said of the first disk, in info.json.
our_table() {
        jq -S '.disks[0]["partition-table"] | .label as $kind | {label: .label, id, "sector-size": ."sector-size",
                partitions: [.partitions[] | {number, start, size, type, name, bootable,
                        uuid: (if $kind == "mbr" then null else .uuid end)}]}' info.json
}

# The disk a.raw in archives of several formats: prints their names.
archives_of_a() {
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -qk a.vma
        qemu-img convert -f raw -O qcow2 a.raw a.qcow2
        printf '%s\n' a.vma a.vma.zst a.qcow2
}

# ---- info ----

@test "info --partitions says of each table what sfdisk says" {
        local table

        for table in mbr logical gpt gpt_damaged; do
                rm -rf -- *
                make_$table a.raw
                sfdisk_table a.raw >sfdisk.json
                for archive in $(archives_of_a); do
                        "$VMAFS" info --partitions --json "$archive" >info.json
                        echo "$table $archive"
                        diff sfdisk.json <(our_table)
                done
        done
}

@test "info --partitions says what is wrong with a table" {
        make_gpt_damaged a.raw
        mkvma -o a.vma --device a=a.raw
        run --separate-stderr "$VMAFS" info --partitions a.vma
        [ "$status" -eq 0 ]
        grep -qE '^ *partitions: gpt 0F0E0D0C-.*, from its backup$' <<<"$output"
        noise 512 2 | dd of=a.raw bs=512 seek=16383 conv=notrunc status=none
        mkvma -o b.vma --device a=a.raw
        run --separate-stderr "$VMAFS" info --partitions b.vma
        grep -q 'neither copy of its GPT is sound' <<<"$output"
}

@test "info --partitions names the file system of each partition, or of the disk" {
        make_mbr a.raw
        truncate -s 1M ext4
        mkfs.ext4 -q ext4
        dd if=ext4 of=a.raw bs=512 seek=63 count=2000 conv=notrunc status=none
        truncate -s 4M swap
        mkswap -q swap 2>/dev/null
        dd if=swap of=a.raw bs=512 seek=8192 conv=notrunc status=none
        truncate -s 2M whole.raw
        mkfs.ext2 -q whole.raw
        mkvma -o a.vma --device a=a.raw --device w=whole.raw
        "$VMAFS" info --partitions --json a.vma >info.json
        jq -e '.disks[0]."partition-table".partitions | map(.filesystem) == ["ext4", null, "swap"]' info.json
        jq -e '.disks[1] | .filesystem == "ext2" and ."partition-table".label == "none"' info.json
        run --separate-stderr "$VMAFS" info --partitions a.vma
        grep -q 'no partition table; on the whole disk: ext2' <<<"$output"
}

# ---- a mount ----

# Sets PARTS to the folder of the disk that is the only one of the mount.
find_parts() {
        PARTS=$(find "$MNT" -maxdepth 1 -name '*.parts')
        [ -d "$PARTS" ]
}

# Is each partition in info.json the range of RAW that the table says? parts_equal RAW
parts_equal() {
        local number start size count=0

        while read -r number start size; do
                echo "partition $number"
                [ "$(stat -c %s "$PARTS/$number.raw")" -eq "$size" ]
                cmp -n "$size" -i "$start:0" "$1" "$PARTS/$number.raw"
                count=$((count + 1))
        done < <(jq -r '.disks[0]["partition-table"].partitions[] | select(.file) |
                "\(.number) \(.start) \(.size)"' info.json)
        [ "$count" -ge 3 ]
        [ "$(names_in "$PARTS" | wc -l)" -eq "$count" ]
}

@test "each partition in a mount is its range of the disk, whatever the format" {
        local table archive

        for table in mbr logical gpt gpt_damaged; do
                rm -rf ./a.* cache
                make_$table a.raw
                for archive in $(archives_of_a); do
                        echo "$table $archive"
                        "$VMAFS" info --partitions --json "$archive" >info.json
                        mount_vmafs "$archive" -o partitions
                        find_parts
                        parts_equal a.raw
                        fusermount3 -u "$MNT"
                done
        done
}

@test "a GPT of sectors of 4096 bytes, also by its backup, is what sfdisk says, and partitions are their ranges" {
        local table archive

        need_root
        for table in gpt_4k gpt_4k_damaged; do
                rm -rf ./a.* cache
                make_$table a.raw
                jq -e '."sector-size" == 4096 and (.partitions | length) == 3' sfdisk.json
                for archive in $(archives_of_a | tail -n 2); do
                        echo "$table $archive"
                        "$VMAFS" info --partitions --json "$archive" >info.json
                        diff sfdisk.json <(our_table)
                        jq -e --arg table $table '.disks[0]."partition-table"."from-backup" ==
                                ($table == "gpt_4k_damaged")' info.json
                        mount_vmafs "$archive" -o partitions
                        find_parts
                        parts_equal a.raw
                        fusermount3 -u "$MNT"
                done
        done
}

@test "partitions of an image in an OVA and of a compressed VMDK are their ranges" {
        make_gpt a.raw
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw a.vmdk
        tar -cf a.ova a.vmdk
        for archive in a.vmdk a.ova; do
                "$VMAFS" info --partitions --json "$archive" >info.json
                mount_vmafs "$archive" -o partitions
                find_parts
                parts_equal a.raw
                fusermount3 -u "$MNT"
        done
}

@test "a partition has the holes that its range has" {
        make_mbr a.raw
        zstd -q a.raw
        zstd -dq a.raw.zst -o b.raw
        mkvma -o a.vma --device a=b.raw
        mount_vmafs a.vma -o partitions,wait
        for number in 1 2 3; do
                sfdisk -J b.raw | jq -r ".partitiontable.partitions[$((number - 1))] | \"\(.start) \(.size)\"" >range
                read -r start size <range
                dd if=b.raw of=range.raw bs=512 skip="$start" count="$size" status=none
                diff <(holes --nonzero range.raw) <(holes "$MNT/disk-a.parts/$number.raw")
                [ "$(stat -c %b "$MNT/disk-a.parts/$number.raw")" -eq "$(nonzero_blocks range.raw)" ]
        done
}

@test "without the option there are no folders of partitions" {
        make_gpt a.raw
        mkvma -o a.vma --device a=a.raw
        mount_vmafs a.vma
        [ "$(names_in "$MNT")" = disk-a.raw ]
        run ! ls "$MNT/disk-a.parts"
}

@test "a partition says where it is and what, in its extended attributes" {
        make_gpt a.raw
        mkvma -o a.vma --device a=a.raw
        mount_vmafs a.vma -o partitions
        cat >expected <<'END'
user.vmafs.filesystem="unknown"
user.vmafs.label="EFI system"
user.vmafs.length="1048576"
user.vmafs.start="1048576"
user.vmafs.type="C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
user.vmafs.uuid="00000000-0000-0000-0000-00000000AB01"
END
        diff expected <(getfattr -d "$MNT/disk-a.parts/1.raw" | grep user.vmafs)
}

@test "a disk without a table has an empty folder" {
        make_data a.raw 1048576
        mkvma -o a.vma --device a=a.raw
        mount_vmafs a.vma -o partitions
        [ "$(names_in "$MNT")" = "$(printf 'disk-a.parts\ndisk-a.raw\nlvm')" ]
        [ -z "$(names_in "$MNT/disk-a.parts")" ]
        run ! cat "$MNT/disk-a.parts/1.raw"
        [[ $output == *"No such file"* ]]
}

@test "what a table is damaged by is told by its folder" {
        make_gpt_damaged a.raw
        noise 512 2 | dd of=a.raw bs=512 seek=16383 conv=notrunc status=none
        mkvma -o a.vma --device a=a.raw
        mount_vmafs a.vma -o partitions
        [ -z "$(names_in "$MNT/disk-a.parts")" ]
        [ "$(getfattr --only-values -n user.vmafs.error "$MNT/disk-a.parts")" = 'neither copy of its GPT is sound' ]
}

@test "a table that is lost is an I/O error, and is told" {
        make_mbr a.raw
        mkvma -o a.vma --device a=a.raw --drop a:0
        start_vmafs a.vma -o partitions
        wait_indexed
        run ls "$MNT/disk-a.parts"
        [[ $output == *"Input/output error"* ]]
        run cat "$MNT/disk-a.parts/1.raw"
        [[ $output == *"Input/output error"* ]]
        [[ $(getfattr --only-values -n user.vmafs.error "$MNT/disk-a.parts") == *"cannot be read"* ]]
        grep -q 'the partition table at byte 0 of the disk cannot be read' "$LOG"
        # The disk goes on.
        cmp -i 65536 a.raw "$MNT/disk-a.raw"
}

@test "what is lost of a partition is an I/O error for its range alone" {
        make_mbr a.raw
        mkvma -o a.vma --device a=a.raw --drop a:72
        mount_vmafs a.vma -o partitions,wait
        cmp -n $((72 * 65536 - 8192 * 512)) -i $((8192 * 512)):0 a.raw "$MNT/disk-a.parts/3.raw"
        run cat "$MNT/disk-a.parts/3.raw"
        [[ $output == *"Input/output error"* ]]
        cmp -i $((73 * 65536)):$((73 * 65536 - 8192 * 512)) -n 3000000 a.raw "$MNT/disk-a.parts/3.raw"
        cmp -n 1024000 -i 32256:0 a.raw "$MNT/disk-a.parts/1.raw"
}

# The disk a.raw, whose clusters are in order, behind a gate that is closed after its header.
mount_gated() {
        local header

        mkvma -o g.vma --device a=a.raw
        header=$((0x$(od -An -tx1 -j 56 -N 4 g.vma | tr -d ' \n')))
        mount_gatefs g.vma
        gate open "$header"
        start_vmafs "$GATED" -o index=none,partitions
        wait_for 60 reads_blocked 1
}

# Does process $1 wait for the mount?
waits() {
        grep -qsE 'fuse|request_wait' "/proc/$1/wchan"
}

@test "a lookup, a listing and an attribute wait for the index, and block nobody" {
        make_gpt a.raw
        mount_gated
        ls "$MNT/disk-a.parts" >listed 3>&- &
        lister=$!
        stat -c %s "$MNT/disk-a.parts/2.raw" >looked 3>&- &
        looker=$!
        wait_for 60 waits "$lister"
        wait_for 60 waits "$looker"
        # Others are answered meanwhile.
        [ "$(stat -c %s "$MNT/disk-a.raw")" -eq 8388608 ]
        [ -n "$(names_in "$MNT")" ]
        [ ! -s listed ] && [ ! -s looked ]
        gate open all
        wait "$lister"
        wait "$looker"
        [ "$(cat listed)" = "$(printf '1.raw\n2.raw\n3.raw')" ]
        [ "$(cat looked)" -eq $((4095 * 512)) ]
        "$VMAFS" info --partitions --json g.vma >info.json
        find_parts
        parts_equal a.raw
}

@test "whoever waits for a table can be killed, and does not hold up the end of the mount" {
        make_gpt a.raw
        mount_gated
        ls "$MNT/disk-a.parts" >/dev/null 2>&1 3>&- &
        killed=$!
        ls "$MNT/disk-a.parts" >ended 2>&1 3>&- &
        waiting=$!
        wait_for 60 waits "$killed"
        wait_for 60 waits "$waiting"
        kill -9 "$killed"
        wait_for 60 has_ended "$killed"
        kill -TERM "$DAEMON"
        wait_for 60 has_ended "$waiting"
        grep -q 'ls: ' ended
        gate open all
        wait_for 60 has_ended "$DAEMON"
}

# ---- extract and map ----

@test "extract takes partitions, with the disk they are of and without" {
        make_gpt a.raw
        mkvma -o a.vma --device a=a.raw
        zstd -qk a.vma
        for archive in a.vma a.vma.zst; do
                mkdir "of-$archive" "two-$archive"
                "$VMAFS" extract -C "of-$archive" "$archive" 'disk-a.parts/*'
                [ "$(names_in "of-$archive")" = disk-a.parts ]
                "$VMAFS" info --partitions --json "$archive" >info.json
                PARTS=of-$archive/disk-a.parts parts_equal a.raw
                "$VMAFS" extract -C "two-$archive" "$archive" disk-a.raw disk-a.parts/2.raw
                cmp a.raw "two-$archive/disk-a.raw"
                cmp "of-$archive/disk-a.parts/2.raw" "two-$archive/disk-a.parts/2.raw"
                "$VMAFS" extract -O "$archive" disk-a.parts/3.raw | cmp - "of-$archive/disk-a.parts/3.raw"
        done
        diff <(holes of-a.vma/disk-a.parts/1.raw) <(holes --nonzero of-a.vma/disk-a.parts/1.raw)
}

@test "extract and map of a partition that is not there are wrong usage" {
        make_gpt a.raw
        mkvma -o a.vma --device a=a.raw
        echo conf >conf
        mkvma -o none.vma --config a.conf=conf
        for archive in a.vma none.vma; do
                run --separate-stderr "$VMAFS" extract "$archive" disk-a.parts/9.raw
                [ "$status" -eq 2 ]
                one_line_says 'holds no file named disk-a.parts/9.raw'
                run --separate-stderr "$VMAFS" extract -O "$archive" disk-a.parts/9.raw
                [ "$status" -eq 2 ]
                run --separate-stderr "$VMAFS" map "$archive" disk-a.parts/9.raw
                [ "$status" -eq 2 ]
                one_line_says 'holds no disk named disk-a.parts/9.raw'
        done
}

@test "extract of a partition that has lost a part leaves it partial" {
        make_mbr a.raw
        mkvma -o a.vma --device a=a.raw --drop a:72
        run --separate-stderr "$VMAFS" extract a.vma 'disk-a.parts/?.raw'
        [ "$status" -eq 1 ]
        [ "$(names_in disk-a.parts)" = "$(printf '1.raw\n2.raw\n3.raw.partial')" ]
}

@test "map of a partition says where in the archive it lies" {
        make_mbr a.raw
        mkvma -o a.vma --device a=a.raw
        "$VMAFS" map --output=json a.vma disk-a.parts/1.raw >map.json
        jq -e 'map(.length) | add == 1024000' map.json
        jq -r '.[] | select(.offset) | "\(.start) \(.length) \(.offset)"' map.json >stored
        [ -s stored ]
        while read -r start length offset; do
                cmp -n "$length" -i "$((start + 32256)):$offset" a.raw a.vma
        done <stored
}

# As of a whole disk, in busy.bats.
@test "of a partition whose strays lie among another disk's, a segment is decoded about once" {
        make_data a.raw 50331648
        noise 50331648 7 >b.raw
        echo start=2048,size=96256 | sfdisk -q b.raw
        mkvma -o busy.vma --order=busy --device a=a.raw --device b=b.raw
        zstd -q -3 -T1 --rsyncable --rm busy.vma
        "$VMAFS" index busy.vma.zst
        mount_vmafs busy.vma.zst -o partitions,direct_io,cache=96M
        cmp -n $((96256 * 512)) -i 1048576:0 b.raw "$MNT/disk-b.parts/1.raw"
        decoded=$(getfattr --only-values -n user.vmafs.decoded "$MNT")
        echo "decoded $decoded"
        [ "$decoded" -lt $((50331648 * 5 / 2)) ]
}
