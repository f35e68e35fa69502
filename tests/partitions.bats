# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions of disks: as sfdisk sees them, and equal to the ranges of the disk.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
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

@test "info --partitions understands a GPT of sectors of 4096 bytes" {
        need_root
        make_data a.raw 8388608
        loop=$(losetup -f --show --sector-size 4096 a.raw)
        gpt_script | sed 's/start=2048, size=2048/start=64, size=512/; s/start=4096, size=4095/start=600, size=700/
                s/start=9000, size=3001/start=1500, size=333/; 1a first-lba: 6' | sfdisk -q --no-tell-kernel --no-reread "$loop"
        sfdisk_table "$loop" >sfdisk.json
        losetup -d "$loop"
        mkvma -o a.vma --device a=a.raw
        "$VMAFS" info --partitions --json a.vma >info.json
        jq -e '."sector-size" == 4096 and (.partitions | length) == 3' sfdisk.json
        diff sfdisk.json <(our_table)
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

@test "info --partitions of a folder is refused" {
        run --separate-stderr "$VMAFS" info --partitions .
        [ "$status" -eq 2 ]
        one_line_says 'info --partitions takes archives'
}
