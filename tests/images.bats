# SPDX-License-Identifier: GPL-2.0-or-later
# Images and tars that other tools have made: the same bytes, and the same holes, as they say.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # what run sets
load helpers
load qcow2
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_disk disk.raw $((40 * 1024 * 1024 + 512)) 0-2 16-31 33-33 100-163 300-303 8192-8200 \
                10000-10239
}

make_vmdk() {
        qemu-img convert -O vmdk -o "subformat=$1" disk.raw "$1.vmdk"
}

# start, length, data, zero, and where there is one the offset, of each range.
ranges() {
        jq -c ".[] | [.start, .length, .data, .zero${1:+, .offset}]"
}

# The archive's disk is disk.raw: extracted, mounted, and by what verify says.
holds_disk() {
        "$VMAFS" verify "$1" >/dev/null
        mkdir -p out
        "$VMAFS" extract -C out "$1"
        cmp "out/$2" disk.raw
        rm -r out
        mount_vmafs "$1"
        cmp "$MNT/$2" disk.raw
        dd if="$MNT/$2" bs=7000 status=none | cmp - disk.raw
        unmount_all
}

@test "every subformat of VMDK that qemu-img writes holds the same disk" {
        local format

        for format in streamOptimized monolithicSparse monolithicFlat twoGbMaxExtentSparse \
                twoGbMaxExtentFlat; do
                echo "$format"
                make_vmdk "$format"
                holds_disk "$format.vmdk" "disk-$format.raw"
        done
}

@test "map of a VMDK agrees with qemu-img" {
        make_vmdk streamOptimized
        diff <("$VMAFS" map --output=json streamOptimized.vmdk disk-streamOptimized.raw | ranges) \
                <(qemu-img map --output=json streamOptimized.vmdk | ranges)
        make_vmdk monolithicSparse
        diff <("$VMAFS" map --output=json monolithicSparse.vmdk disk-monolithicSparse.raw |
                ranges offset) \
                <(qemu-img map --output=json monolithicSparse.vmdk | ranges offset)
}

@test "a VMDK that was written to at random, and grains of zeros" {
        local i

        qemu-img create -q -f vmdk -o subformat=monolithicSparse,zeroed_grain=on r.vmdk 200M
        RANDOM=7
        for ((i = 0; i < 60; i++)); do
                echo "write -P $((i + 1)) $((RANDOM * 6000 / 512 * 512)) $((RANDOM % 200 * 512 + 512))"
                [ $((i % 5)) -ne 0 ] || echo "write -z $((RANDOM * 6000 / 65536 * 65536)) 131072"
        done >commands # no pipe: a subshell's numbers have a seed of their own
        qemu-io -f vmdk r.vmdk <commands >/dev/null
        qemu-img convert -O raw r.vmdk disk.raw
        holds_disk r.vmdk disk-r.raw
}

@test "a stream with its directory at the end, its grains in reverse" {
        "$TOOLS/mkvmdk" disk.raw reverse.vmdk
        qemu-img compare -q -f raw -F vmdk disk.raw reverse.vmdk
        holds_disk reverse.vmdk disk-reverse.raw
}

@test "a stream that is cut off: what is there reads, the rest is an error and named" {
        local size

        "$TOOLS/mkvmdk" disk.raw cut.vmdk
        size=$(stat -c %s cut.vmdk)
        truncate -s $((size / 2)) cut.vmdk
        run "$VMAFS" verify cut.vmdk
        [ "$status" -eq 1 ]
        [[ $output == *"footer is missing"*"cut.vmdk: DAMAGED" ]]
        mount_vmafs cut.vmdk
        wait_indexed
        # Its grains are in reverse: the last one is there.
        cmp <(dd if=disk.raw bs=65536 skip=639 count=1 status=none) \
                <(dd if="$MNT/disk-cut.raw" bs=65536 skip=639 count=1 status=none)
        run dd if="$MNT/disk-cut.raw" of=/dev/null bs=4096 count=1
        [ "$status" -ne 0 ]
        [[ $output == *"Input/output error"* ]]
}

# A descriptor whose extents are LINES, which are in the order of the disk.
descriptor() {
        printf '%s\n' '# Disk DescriptorFile' version=1 CID=fffffffe parentCID=ffffffff "$@"
}

@test "a VMDK as other tools write it: one file with a flat disk inside, parts of 63 sectors" {
        local sectors=$(($(stat -c %s disk.raw) / 512))

        {
                printf 'KDMV\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
                printf '\x80\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0\0\2\0\0'
        } >one.vmdk
        truncate -s 512 one.vmdk
        descriptor "RW $sectors FLAT \"other-name.vmdk\" 128" >>one.vmdk
        truncate -s 64K one.vmdk
        cat disk.raw >>one.vmdk
        holds_disk one.vmdk disk-one.raw

        cp disk.raw all-flat.vmdk
        descriptor 'RW 63 FLAT "./all-flat.vmdk" 0' \
                "RW $((sectors - 63)) FLAT \"./all-flat.vmdk\" 63" >parts.vmdk
        holds_disk parts.vmdk disk-parts.raw
}

@test "an image without its descriptor is refused, and so is one part of a disk" {
        make_vmdk monolithicSparse
        dd if=/dev/zero of=monolithicSparse.vmdk bs=512 seek=1 count=20 conv=notrunc status=none
        run --separate-stderr "$VMAFS" info monolithicSparse.vmdk
        [ "$status" -eq 1 ]
        one_line_says "has no descriptor"
        make_vmdk twoGbMaxExtentSparse
        run --separate-stderr "$VMAFS" info twoGbMaxExtentSparse-s001.vmdk
        [ "$status" -eq 1 ]
        one_line_says "open the descriptor that names all of them, twoGbMaxExtentSparse.vmdk"
}

@test "tables of zeros: grains are found by their markers, or are an error" {
        local format

        for format in streamOptimized monolithicSparse; do
                make_vmdk "$format"
                # Between the descriptor and the grains.
                dd if=/dev/zero of="$format.vmdk" bs=512 seek=21 count=107 conv=notrunc status=none
                run "$VMAFS" verify "$format.vmdk"
                [ "$status" -eq 1 ]
                [[ $output == *"$format.vmdk: DAMAGED" ]]
                mount_vmafs "$format.vmdk"
                wait_indexed
                if [ "$format" = streamOptimized ]; then
                        cmp <(head -c 12288 disk.raw) <(head -c 12288 "$MNT/disk-$format.raw")
                else
                        run head -c 4096 "$MNT/disk-$format.raw"
                        [[ $output == *"Input/output error"* ]]
                fi
                # Nothing is known of what the tables had as zeros.
                run dd if="$MNT/disk-$format.raw" of=/dev/null bs=4096 skip=2048 count=1
                [[ $output == *"Input/output error"* ]]
                unmount_all
        done
}

@test "a compressed VMDK, without and with an index" {
        make_vmdk monolithicSparse
        zstd -q monolithicSparse.vmdk
        holds_disk monolithicSparse.vmdk.zst disk-monolithicSparse.raw
        run "$VMAFS" info monolithicSparse.vmdk.zst
        [[ $output == *"index:        "*"per mille"* ]]
}

@test "the tables of a plain image are judged each time: an index is no faster" {
        "$TOOLS/mkvmdk" disk.raw plain.vmdk
        "$VMAFS" index plain.vmdk
        run "$VMAFS" info plain.vmdk
        [[ $output == *"none, and none is needed"* ]]
        "$VMAFS" verify --record plain.vmdk
        holds_disk plain.vmdk disk-plain.raw
        run "$VMAFS" verify plain.vmdk
        [[ $output == *"the disks are the same"* ]]
}

@test "an image of several files is not indexed for good" {
        make_vmdk twoGbMaxExtentSparse
        run --separate-stderr "$VMAFS" index twoGbMaxExtentSparse.vmdk
        [ "$status" -eq 1 ]
        one_line_says "one of its files alone"
}

@test "a delta of ESX alone is refused: its descriptor says what it belongs to" {
        "$TOOLS/mkesx" sesparse disk.raw - web-000001-sesparse.vmdk
        run --separate-stderr "$VMAFS" info web-000001-sesparse.vmdk
        [ "$status" -eq 1 ]
        one_line_says "open the descriptor that names all of them, web-000001.vmdk"
}

@test "an OVA shows its members, and its disk, too" {
        "$TOOLS/mkvmdk" disk.raw web-disk1.vmdk
        echo '<Envelope/>' >web.ovf
        tar --format=ustar -cf web.ova web.ovf web-disk1.vmdk
        holds_disk web.ova disk-web-disk1.raw
        mount_vmafs web.ova
        cmp "$MNT/web.ovf" web.ovf
        cmp "$MNT/web-disk1.vmdk" web-disk1.vmdk
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "disk-web-disk1.raw web-disk1.vmdk web.ovf " ]
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = tar ]
}

@test "an OVA that is compressed, without and with an index" {
        make_vmdk streamOptimized
        echo '<Envelope/>' >web.ovf
        tar --format=ustar -czf web.ova.gz web.ovf streamOptimized.vmdk
        holds_disk web.ova.gz disk-streamOptimized.raw
        "$VMAFS" index web.ova.gz
        holds_disk web.ova.gz disk-streamOptimized.raw
        run "$VMAFS" verify web.ova.gz
        [[ $output == *"agrees"*"sound" ]]
}

@test "raw images in tars of every sparse format keep their bytes and their holes" {
        local options

        local options formats=(
                "--format=gnu"
                "--format=posix"
                "--format=gnu --sparse"
                "--format=posix --sparse --sparse-version=0.0"
                "--format=posix --sparse --sparse-version=0.1"
                "--format=posix --sparse --sparse-version=1.0"
                "--format=gnu --sparse --hole-detection=raw"
        )

        for options in "${formats[@]}"; do
                echo "tar $options"
                # shellcheck disable=SC2086 # words
                tar $options -cf t.tar ./disk.raw
                holds_disk t.tar disk.raw
                [[ $options == *--sparse* ]] || continue
                diff <("$VMAFS" map --output=json t.tar disk.raw | ranges) \
                        <(qemu-img map -f raw --output=json disk.raw | ranges)
        done
}

@test "a tar that is cut off in a sparse image" {
        tar --format=gnu --sparse -cf t.tar disk.raw
        truncate -s 200000 t.tar
        run "$VMAFS" verify t.tar
        [ "$status" -eq 1 ]
        [[ $output == *"cut off"*"t.tar: DAMAGED" ]]
        mount_vmafs t.tar
        wait_indexed
        head -c 12288 disk.raw | cmp - <(head -c 12288 "$MNT/disk.raw")
        run dd if="$MNT/disk.raw" of=/dev/null bs=4096 skip=10100 count=1
        [ "$status" -ne 0 ]
}

BACKING=()

# refuses IMAGE WORD...: with one line that has each word
refuses() {
        local word

        run --separate-stderr "$VMAFS" info "$1"
        [ "$status" -ne 0 ]
        for word in "${@:2}"; do
                one_line_says "$word"
        done
}

# put IMAGE OFFSET HEX: a byte
put() {
        printf '%b' "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "a VDI is converted, mounted, compressed and put into a tar" {
        qemu-img convert -O vdi disk.raw d.vdi
        holds_disk d.vdi disk-d.raw
        [ "$("$VMAFS" info --json d.vdi | jq -r .format)" = vdi ]
        zstd -q -k d.vdi
        holds_disk d.vdi.zst disk-d.raw
        tar -cf t.tar d.vdi
        holds_disk t.tar disk-d.raw
        truncate -s -2M d.vdi
        run "$VMAFS" verify d.vdi
        [ "$status" -eq 1 ]
        [[ $output == *"past the end of the file"* ]]
}

@test "a VDI that is a snapshot is refused with the UUID of its parent, and a strange one with its version" {
        qemu-img create -q -f vdi d.vdi 8M
        put d.vdi 76 04
        put d.vdi 424 ab
        refuses d.vdi "is a snapshot of the VDI with the UUID 000000ab-"
        put d.vdi 70 03
        refuses d.vdi "is VDI version 3.1"
}

@test "a VDI of 10 TiB: nothing of its table is read before it is asked for" {
        qemu-img create -q -f vdi d.vdi 10T
        qemu-io -f vdi -c "write -q -P 3 9T 70k" d.vdi
        mount_vmafs d.vdi
        wait_indexed
        [ "$(stat -c '%s %b' "$MNT/disk-d.raw")" = "10995116277760 2048" ]
        [ "$(dd if="$MNT/disk-d.raw" bs=1M skip=$((9 << 20)) count=1 status=none | tr -d '\0' |
                wc -c)" -eq $((70 * 1024)) ]
}

@test "a VHD is converted, mounted, compressed and put into a tar" {
        local type

        for type in dynamic fixed; do
                qemu-img convert -O vpc -o subformat=$type,force_size=on disk.raw $type.vhd
                holds_disk $type.vhd disk-$type.raw
                [ "$("$VMAFS" info --json $type.vhd | jq -r .format)" = vhd ]
                tar -cf t.tar $type.vhd
                holds_disk t.tar disk-$type.raw
        done
        zstd -q dynamic.vhd
        holds_disk dynamic.vhd.zst disk-dynamic.raw
}

# base.raw, middle.raw and top.raw: a disk, and what became of it twice.
make_history() {
        local i

        cp disk.raw base.raw
        cp base.raw middle.raw
        RANDOM=11
        for ((i = 0; i < 30; i++)); do
                [ $i -ne 15 ] || cp middle.raw top.raw
                pick 81000
                noise 1536 $i | dd of="$([ $i -lt 15 ] && echo middle.raw || echo top.raw)" bs=512 \
                        seek="$RANDOM_NUMBER" conv=notrunc status=none
        done
        # Zeros that are written are not the parent's data.
        dd if=/dev/zero of=top.raw bs=4096 count=10 seek=16 conv=notrunc status=none
}

# The chain top.$1 on middle.$1 on base.$1, which is there, holds top.raw, and is refused unasked.
chain_holds() {
        make_history
        "$TOOLS/mkdiff" "$1" middle.raw base.raw "base.$1" "middle.$1"
        "$TOOLS/mkdiff" "$1" top.raw middle.raw "middle.$1" "top.$1"
        refuses "top.$1" "has the parent middle.$1" "backing=dir"
        "$VMAFS" verify --backing=dir "top.$1"
        "$VMAFS" extract --backing=dir -C . "top.$1"
        cmp disk-top.raw top.raw
        mount_vmafs "top.$1" -o backing=dir
        cmp "$MNT/disk-top.raw" top.raw
        "$VMAFS" map --backing=dir --output=json "top.$1" disk-top.raw | jq -e 'any(.depth == 2)'
        unmount_all
        # In a tar a parent is another member.
        tar -cf t.tar "top.$1"
        run "$VMAFS" info --backing=dir t.tar
        [[ $output != *disk-top.raw* ]]
        tar -cf t.tar "top.$1" "middle.$1" "base.$1"
        "$VMAFS" extract -C . --force t.tar disk-top.raw
        cmp disk-top.raw top.raw
}

@test "differencing VHDs on a dynamic and on a fixed one" {
        local type

        for type in dynamic fixed; do
                qemu-img convert -O vpc -o subformat=$type,force_size=on disk.raw base.vhd
                chain_holds vhd
                rm disk-top.raw
        done
}

@test "a differencing VHD does not take another image for its parent, nor itself" {
        qemu-img convert -O vpc -o force_size=on disk.raw base.vhd
        make_history
        "$TOOLS/mkdiff" vhd middle.raw base.raw base.vhd middle.vhd
        qemu-img convert -O vpc -o force_size=on middle.raw base.vhd
        run --separate-stderr "$VMAFS" info --backing=dir middle.vhd
        [ "$status" -eq 1 ]
        one_line_says "another UUID"
        rm base.vhd
        run --separate-stderr "$VMAFS" info --backing=dir middle.vhd
        [ "$status" -ne 0 ]
        one_line_says "base.vhd"
        cp middle.vhd base.vhd
        "$TOOLS/mkdiff" vhd top.raw middle.raw base.vhd loop.vhd
        mv loop.vhd base.vhd
        run --separate-stderr "$VMAFS" info --backing=dir base.vhd
        [ "$status" -ne 0 ]
}

@test "an image of Parallels is converted, mounted, compressed and put into a tar" {
        qemu-img convert -O parallels disk.raw p.hdd
        holds_disk p.hdd disk-p.raw
        zstd -q -k p.hdd
        holds_disk p.hdd.zst disk-p.raw
        tar -cf t.tar p.hdd
        holds_disk t.tar disk-p.raw
        truncate -s -2M p.hdd
        run "$VMAFS" verify p.hdd
        [ "$status" -eq 1 ]
        [[ $output == *"past the end of the file"* ]]
}

@test "a VHDX is converted, mounted, compressed and put into a tar" {
        truncate -s 41M disk.raw
        qemu-img convert -O vhdx -o block_size=1M disk.raw v.vhdx
        holds_disk v.vhdx disk-v.raw
        [ "$("$VMAFS" info --json v.vhdx | jq -r .format)" = vhdx ]
        # What is said to be zeros is.
        "$VMAFS" map --output=json v.vhdx disk-v.raw |
                jq -e 'any(.zero) and any(.data) and all(.zero != .data)'
        zstd -q -k v.vhdx
        holds_disk v.vhdx.zst disk-v.raw
        tar -cf t.tar v.vhdx
        holds_disk t.tar disk-v.raw
        truncate -s -2M v.vhdx
        run "$VMAFS" verify v.vhdx
        [ "$status" -eq 1 ]
        [[ $output == *"past the end of the file"* ]]
}

@test "differencing VHDXs, sector by sector" {
        truncate -s 41M disk.raw
        qemu-img convert -O vhdx -o block_size=1M disk.raw base.vhdx
        chain_holds vhdx
        # A parent that was written to is another one.
        qemu-img convert -O vhdx -o block_size=1M middle.raw base.vhdx
        run --separate-stderr "$VMAFS" info --backing=dir top.vhdx
        [ "$status" -ne 0 ]
        one_line_says "another GUID"
}

@test "images of 10 TiB, and the largest VHD: nothing of their tables is read before it is asked for" {
        local format size

        for format in vhdx:10T parallels:10T vpc:2000G; do
                size=${format#*:}
                rm -f d.img
                qemu-img create -q -f "${format%:*}" d.img "$size"
                qemu-io -f "${format%:*}" -c "write -q -P 3 1900G 70k" d.img
                mount_vmafs d.img
                wait_indexed
                [ "$(dd if="$MNT/disk-d.raw" bs=1M skip=$((1900 << 10)) count=1 status=none |
                        tr -d '\0' | wc -c)" -eq $((70 * 1024)) ]
                unmount_all
        done
}

@test "a qcow of version 1 is converted, mounted, compressed and put into a tar" {
        local options

        for options in '' -c; do
                rm -f q.qcow*
                # Of a compressed one it says that it has failed, after all was written.
                qemu-img convert $options -O qcow disk.raw q.qcow || [ -n "$options" ]
                holds_disk q.qcow disk-q.raw
                [ "$("$VMAFS" info --json q.qcow | jq -r .format)" = qcow ]
                zstd -q -k q.qcow
                holds_disk q.qcow.zst disk-q.raw
        done
        tar -cf t.tar q.qcow
        holds_disk t.tar disk-q.raw
        truncate -s $(($(stat -c %s q.qcow) / 2)) q.qcow
        run "$VMAFS" verify q.qcow
        [ "$status" -eq 1 ]
}

@test "a qcow of version 1 with a disk of 10 TiB, whose L1 table no qcow2 could have" {
        # As qemu-img makes it, which writes all of the table's 40 MiB.
        printf '%b' 'QFI\0373\0\0\0\01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' \
                '\0\0\012\0\0\0\0\0\014\011\0\0\0\0\0\0\0\0\0\0\0\0\0\060' >d.qcow
        truncate -s $((48 + (40 << 20))) d.qcow
        qemu-img info d.qcow | grep '^virtual size: 10 TiB'
        mount_vmafs d.qcow
        wait_indexed
        [ "$(stat -c '%s %b' "$MNT/disk-d.raw")" = "10995116277760 0" ]
        [ "$(dd if="$MNT/disk-d.raw" bs=1M skip=$((9 << 20)) count=1 status=none | tr -d '\0' |
                wc -c)" -eq 0 ]
}

@test "chains of backing files with qcow of version 1, which are refused unasked" {
        qemu-img create -q -f qcow base.qcow 8M
        qemu-io -f qcow -c "write -q -P 3 100k 3M" base.qcow
        qemu-img create -q -f qcow -b base.qcow -F qcow middle.qcow
        qemu-io -f qcow -c "write -q -P 4 1M 70k" -c "write -q -P 5 7M 1k" middle.qcow
        qemu-img create -q -f qcow2 -b middle.qcow -F qcow top.qcow2
        qemu-io -f qcow2 -c "write -q -P 6 1030k 70k" top.qcow2
        refuses middle.qcow "base.qcow" "backing=dir"
        BACKING=(--backing=dir)
        same_chain middle.qcow disk-middle.raw
        same_chain top.qcow2 disk-top.raw
}

@test "a qcow of version 1 that is encrypted, or whose header cannot be, is refused" {
        qemu-img create -q -f qcow d.qcow 8M
        put d.qcow 39 01
        refuses d.qcow "is encrypted"
        put d.qcow 39 00
        put d.qcow 32 11
        refuses d.qcow "clusters of 2^17 bytes"
        put d.qcow 32 0c
        put d.qcow 33 20
        refuses d.qcow "L2 tables of 2^32 entries"
        put d.qcow 33 09
        put d.qcow 24 7f
        refuses d.qcow "128 TiB"
        put d.qcow 24 00
        put d.qcow 40 7f
        refuses d.qcow "L1 table"
}
