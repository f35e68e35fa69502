# SPDX-License-Identifier: GPL-2.0-or-later
# Snapshots of VMDK, ESX's deltas, and overlays on images of other formats: what qemu-img finds.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # what run sets
load helpers
load qcow2
bats_require_minimum_version 1.5.0

SIZE=$((9 * 1024 * 1024 + 512))
BACKING=(--backing=dir)

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# The CID in the descriptor of a VMDK, which is the file itself or inside of it.
cid_of() {
        head -c 10K "$1" | tr -d '\0' | sed -n 's/^CID=//p'
}

# esx_text FILE CID PARENT KIND: a descriptor of one part of KIND, on PARENT or on nothing.
esx_text() {
        local type=vmfs cid=ffffffff

        case $4 in VMFSSPARSE) type=vmfsSparse ;; SESPARSE) type=seSparse ;; esac
        [ -z "$3" ] || cid=$(cid_of "$3")
        printf '%s\n' '# Disk DescriptorFile' version=1 "CID=$2" "parentCID=$cid" \
                "createType=\"$type\"" \
                ${3:+"parentFileNameHint=\"$3\""} "RW $((SIZE / 512)) $4 \"$1\""
}

# after FROM TO: the disk TO is FROM after some writes.
after() {
        local i

        cp "$1" "$2"
        for ((i = 0; i < 8; i++)); do
                pick $((SIZE / 512 - 64))
                noise $((512 * (1 + RANDOM % 64))) "$RANDOM" | dd of="$2" bs=512 conv=notrunc \
                        seek="$RANDOM_NUMBER" status=none
        done
        pick 2000
        dd if=/dev/zero of="$2" bs=4096 count=100 seek="$RANDOM_NUMBER" conv=notrunc status=none
}

# layer KIND NAME PARENT: NAME.vmdk, on PARENT (or ""), with a history of its own.
layer() {
        local before=$2.before.raw

        case $1 in
        mono | zeroed | two)
                local options=subformat=monolithicSparse
                [ "$1" != two ] || options=subformat=twoGbMaxExtentSparse
                [ "$1" != zeroed ] || options+=,zeroed_grain=on
                qemu-img create -q -f vmdk -o $options ${3:+-b "$3" -F vmdk} "$2.vmdk" $SIZE
                live "$2.vmdk" $SIZE 65536 zeros-keep 12 -f vmdk
                return
                ;;
        esac
        if [ -n "$3" ]; then
                qemu-img convert -O raw "$3" "$before"
        else
                head -c $SIZE /dev/zero >"$before"
        fi
        after "$before" "$2.raw"
        case $1 in
        flat)
                mv "$2.raw" "$2-flat.vmdk"
                esx_text "$2-flat.vmdk" 5 "" VMFS >"$2.vmdk"
                ;;
        cowd:*)
                "$TOOLS/mkesx" "$1" "$2.raw" "$before" "$2-delta.vmdk" "$RANDOM"
                esx_text "$2-delta.vmdk" "c$RANDOM" "$3" VMFSSPARSE >"$2.vmdk"
                ;;
        sesparse)
                "$TOOLS/mkesx" sesparse "$2.raw" "$before" "$2-sesparse.vmdk" "$RANDOM"
                esx_text "$2-sesparse.vmdk" "e$RANDOM" "$3" SESPARSE >"$2.vmdk"
                ;;
        esac
}

# A map with what lies together as one line. Of a file that a descriptor names no offset is told.
joined() {
        jq -c 'def alike: [.depth, .present, .zero, .data, .offset == null];
               reduce (.[] | if .depth == 0 then .offset = null else . end) as $e ([];
                       if length > 0 and (.[-1] | alike) == ($e | alike) and
                               ($e.offset == null or .[-1].offset + .[-1].length == $e.offset)
                       then .[-1].length += $e.length else . + [$e] end) |
               .[] | [.start, .length, .depth, .present, .zero, .data, .offset]'
}

# Is NAME.vmdk sound, with the bytes and the map that qemu-img finds?
same() {
        "$VMAFS" verify "${BACKING[@]}" "$1.vmdk" >/dev/null || return 1
        same_disk "$1.vmdk" "disk-$1.raw" || return 1
        diff <(qemu-img map --output=json "$1.vmdk" | joined) \
                <("$VMAFS" map "${BACKING[@]}" --output=json "$1.vmdk" "disk-$1.raw" | joined)
}

# chain SEED KIND...: one on the other, each compared.
chain() {
        local kind parent="" n=0

        RANDOM=$1
        rm -f ./*.vmdk ./*.raw
        for kind in "${@:2}"; do
                layer "$kind" "l$n" "$parent" || return 1
                same "l$n" || return 1
                echo "$kind, depth $n: the same"
                parent=l$n.vmdk
                n=$((n + 1))
        done
}

@test "snapshots of VMDK as QEMU makes them, up to three deep, are what qemu-img finds" {
        chain 1 mono mono zeroed mono
        # What is in one file has its offsets.
        same_map l3.vmdk disk-l3.raw
        chain 2 two two mono
}

@test "ESX's deltas, of COWD and of SESparse, on each other and on QEMU's, are what qemu-img finds" {
        chain 4 flat cowd:1 sesparse cowd:8
        chain 5 two sesparse mono cowd:3
}

@test "COWD and SESparse without a parent, and a file of COWD with its descriptor inside" {
        chain 7 cowd:1
        chain 8 sesparse
        RANDOM=9
        head -c $SIZE /dev/zero >zero.raw
        after zero.raw a.raw
        esx_text a.vmdk 77 "" SPARSE >text
        "$TOOLS/mkesx" cowd:16 a.raw zero.raw a.vmdk 3 text
        qemu-img compare -q -f raw -F vmdk a.raw a.vmdk
        same_disk a.vmdk disk-a.raw
        same_map a.vmdk disk-a.raw
}

@test "a child that is longer or shorter than its parent" {
        local size

        qemu-img create -q -f vmdk base.vmdk 5M
        qemu-io -f vmdk -c "write -q -P 3 100k 3M" -c "write -q -P 4 5100k 20k" base.vmdk
        for size in 2M 9M; do
                rm -f child.vmdk
                qemu-img create -q -f vmdk -b base.vmdk -F vmdk child.vmdk $size
                qemu-io -f vmdk -c "write -q -P 5 1M 70k" child.vmdk
                same_disk child.vmdk disk-child.raw
                same_map child.vmdk disk-child.raw
        done
}

@test "a parent is refused unasked, and one with another CID always; a mount reads the right one" {
        chain 10 two cowd:1
        run --separate-stderr "$VMAFS" info l1.vmdk
        [ "$status" -ne 0 ]
        one_line_says "has the parent l0.vmdk; it is opened with backing=dir only"
        run "$VMAFS" info --backing=dir l1.vmdk
        [[ $output == *"made on l0.vmdk"* ]]
        qemu-img convert -O raw l1.vmdk expected
        mount_vmafs l1.vmdk -o backing=dir
        cmp "$MNT/disk-l1.raw" expected
        dd if="$MNT/disk-l1.raw" bs=7000 status=none | cmp - expected
        unmount_all
        # Inside of a tar, only the child itself is there.
        tar -cf t.tar l1.vmdk
        run "$VMAFS" info --backing=dir t.tar
        [[ $output != *disk-l1.raw* ]]
        sed -i 's/^CID=.*/CID=deadbeef/' l0.vmdk
        run --separate-stderr "$VMAFS" info --backing=any l1.vmdk
        [ "$status" -eq 1 ]
        one_line_says "its parent l0.vmdk has the CID deadbeef"
}

@test "with backing=dir no parent outside of the image's folder is opened" {
        mkdir in
        RANDOM=11
        layer mono l0 ""
        layer cowd:8 in/d ""
        sed -i -e "s|^parentCID=.*|parentCID=$(cid_of l0.vmdk)|" \
                -e "\$iparentFileNameHint=\"../l0.vmdk\"" -e 's|"in/|"|' in/d.vmdk
        run --separate-stderr "$VMAFS" info --backing=dir in/d.vmdk
        [ "$status" -ne 0 ]
        one_line_says "backing=any"
        BACKING=(--backing=any)
        same_disk in/d.vmdk disk-d.raw
}

@test "overlays of qcow2, QED and qcow on images of every other format" {
        local base over others options

        for base in vmdk vdi vpc vhdx parallels; do
                options=
                [ $base != vpc ] || options=force_size=on
                [ $base != vhdx ] || options=block_size=1M
                rm -f base.img over.*
                qemu-img create -q -f $base ${options:+-o $options} base.img 9M
                RANDOM=12
                live base.img 9437184 65536 keep 10 -f $base
                others=()
                [ $base != vmdk ] || others=(qed qcow)
                for over in qcow2 "${others[@]}"; do
                        echo "$over on $base"
                        # The header of a qcow has no room for the format, which QEMU probes then.
                        qemu-img create -q -f "$over" -b base.img -F $base "over.$over" 10M
                        live "over.$over" 10485760 65536 keep 6 -f "$over"
                        same_disk "over.$over" disk-over.raw
                        # qemu-img map says nothing of what is where in a VHDX.
                        [ $base = vhdx ] || same_chain "over.$over" disk-over.raw
                done
        done
}

@test "an overlay of qcow2 on a snapshot of VMDK, which is compressed below" {
        make_data text $((1024 * 1024)) 13
        truncate -s $SIZE text
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized text base.vmdk
        qemu-img create -q -f vmdk -b base.vmdk -F vmdk snap.vmdk
        qemu-io -f vmdk -c "write -q -P 7 100k 200k" snap.vmdk
        qemu-img create -q -f qcow2 -b snap.vmdk -F vmdk over.qcow2
        qemu-io -f qcow2 -c "write -q -P 8 250k 100k" over.qcow2
        same_disk over.qcow2 disk-over.raw
        same_chain over.qcow2 disk-over.raw
        mount_vmafs over.qcow2 -o backing=dir
        qemu-img convert -O raw over.qcow2 expected
        cmp "$MNT/disk-over.raw" expected
        dd if="$MNT/disk-over.raw" bs=7000 status=none | cmp - expected
        unmount_all
}
