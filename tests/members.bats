#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# qcow2 and QED images that are members of a tar: their disks, and those of their snapshots.
#
# Each test is a process, and what it sets is read by the helpers.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

bats_require_minimum_version 1.5.0
load helpers
load qcow2

BACKING=()

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        RANDOM=3
}

# An image that has lived, and where that is possible with snapshots: make_image NAME.FORMAT [SNAPSHOT...]
make_image() {
        local name

        qemu-img create -q -f "${1##*.}" -o cluster_size=16k "$1" 2099712
        live "$1" 2099712 16384 "$([[ $1 == *.qed ]] && echo zeros-keep || echo zeros-compress)" 20
        for name in "${@:2}"; do
                qemu-img snapshot -c "$name" "$1"
                live "$1" 2099712 16384 zeros-compress 10
        done
}

# The tar's disk NAME is what qemu-img finds: same TAR NAME IMAGE [OPTION OF qemu-img...]
same() {
        qemu-img convert "${@:4}" -O raw "$3" expected
        rm -rf out
        mkdir out
        "$VMAFS" extract -C out "$1" "$2"
        cmp expected "out/$2"
        cmp expected "$MNT/$2"
}

make_members() {
        make_image web.qcow2 first second
        make_image data.qcow2 first
        make_image old.qed
        tar --format=ustar -cf vm.tar web.qcow2 data.qcow2 old.qed
}

@test "the disks of member images, and of their snapshots, hold what qemu-img finds" {
        make_members
        mount_vmafs vm.tar
        (cd "$MNT" && find . -type f | sort) | diff - <(sort <<<"./data.qcow2
./disk-data.raw
./disk-old.raw
./disk-web.raw
./old.qed
./snapshots/first/disk-data.raw
./snapshots/first/disk-web.raw
./snapshots/second/disk-web.raw
./web.qcow2")
        cmp web.qcow2 "$MNT/web.qcow2"
        same vm.tar disk-web.raw web.qcow2
        same vm.tar disk-data.raw data.qcow2
        same vm.tar disk-old.raw old.qed
        same vm.tar snapshots/first/disk-web.raw web.qcow2 -l snapshot.name=first
        same vm.tar snapshots/second/disk-web.raw web.qcow2 -l snapshot.name=second
        same vm.tar snapshots/first/disk-data.raw data.qcow2 -l snapshot.name=first
        "$VMAFS" verify vm.tar
}

@test "so do those of a compressed tar, without and with an index" {
        make_members
        zstd -q vm.tar
        "$VMAFS" index --file=index vm.tar.zst
        for option in none index; do
                mount_vmafs vm.tar.zst -o index=$option
                same vm.tar.zst disk-data.raw data.qcow2
                same vm.tar.zst disk-old.raw old.qed
                same vm.tar.zst snapshots/second/disk-web.raw web.qcow2 -l snapshot.name=second
        done
        "$VMAFS" verify vm.tar.zst
}

@test "map tells of a member's disk what qemu-img tells of the image, further on" {
        local at name

        make_members
        for name in web.qcow2 old.qed; do
                at=$(grep -abo "$([ $name = old.qed ] && echo QED || echo QFI)" vm.tar | head -n 1 | cut -d: -f1)
                diff <(qemu-img map --output=json $name |
                        jq -c ".[] | [.start, .length, .present, .zero, (.offset | if . then . + $at else . end)]") \
                        <("$VMAFS" map --output=json vm.tar "disk-${name%.*}.raw" |
                                jq -c '.[] | [.start, .length, .present, .zero, .offset]')
        done
        # Of what is no image all is told that there is to tell.
        make_data some.raw 70000
        tar --format=ustar -rf vm.tar some.raw
        [ "$("$VMAFS" map --output=json vm.tar some.raw | jq -c '.[] | [.start, .length, .zero]')" = \
                "[0,70000,false]" ]
}

@test "snapshots that one image calls alike are two" {
        make_image web.qcow2 twice twicf
        LC_ALL=C sed -i s/twicf/twice/ web.qcow2
        make_image data.qcow2 twice
        tar --format=ustar -cf vm.tar web.qcow2 data.qcow2
        mount_vmafs vm.tar
        (cd "$MNT/snapshots" && find . -type f | sort) | diff - <(printf '%s\n' ./twice/disk-data.raw \
                ./twice/disk-web.raw ./twice~2/disk-web.raw)
}

@test "an overlay whose base is in the same tar is a disk, also in a compressed one" {
        make_image base.qcow2
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2
        live middle.qcow2 2099712 65536 zeros 5
        mkdir vm
        mv base.qcow2 middle.qcow2 vm
        qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 vm/top.qcow2
        tar --format=ustar -cf vm.tar vm
        zstd -q vm.tar
        for archive in vm.tar vm.tar.zst; do
                mount_vmafs $archive
                same $archive disk-top.raw vm/top.qcow2
                same $archive disk-middle.raw vm/middle.qcow2
                same $archive disk-base.raw vm/base.qcow2
                cmp vm/top.qcow2 "$MNT/vm%2Ftop.qcow2"
                unmount_all
                "$VMAFS" verify $archive
        done
        "$VMAFS" map --output=json vm.tar disk-top.raw | jq -e 'any(.depth == 2)'
}

@test "so is an overlay on an image of another format, also of one that has several files" {
        local kind

        make_disk disk 2097152 0-9 300-310
        for kind in vmdk vdi vhdx; do
                qemu-img convert -O $kind disk base.$kind
                qemu-img create -q -f qcow2 -b base.$kind -F $kind on-$kind.qcow2
                qemu-io -c "write -q -P 5 65536 8192" on-$kind.qcow2
        done
        qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse disk parts.vmdk
        qemu-img create -q -f qcow2 -b parts.vmdk -F vmdk on-parts.qcow2
        tar --format=ustar -cf vm.tar on-*.qcow2 base.* parts*.vmdk
        "$VMAFS" verify vm.tar
        mount_vmafs vm.tar
        for kind in vmdk vdi vhdx parts; do
                same vm.tar disk-on-$kind.raw on-$kind.qcow2
        done
}

@test "what a base in another folder names is looked for there" {
        make_disk disk 1048576 0-9
        mkdir sub
        qemu-img convert -O vmdk -o subformat=monolithicFlat disk sub/base.vmdk
        qemu-img create -q -f qcow2 -b sub/base.vmdk -F vmdk top.qcow2
        (cd sub && qemu-img create -q -f vmdk -b base.vmdk -F vmdk mid.vmdk)
        qemu-img create -q -f qcow2 -b sub/mid.vmdk -F vmdk upper.qcow2
        noise 1048576 9 >base-flat.vmdk
        tar --format=ustar -cf vm.tar base-flat.vmdk sub top.qcow2 upper.qcow2
        mount_vmafs vm.tar
        same vm.tar disk-top.raw top.qcow2
        same vm.tar disk-upper.raw upper.qcow2
}

@test "extract of all says when a member is missing, and of one that is there does not" {
        mkdir out
        noise 2000000 1 >a.raw
        noise 2000000 2 >b.raw
        tar --format=ustar -cf vm.tar a.raw b.raw
        # A byte of the header of b.raw.
        printf x | dd of=vm.tar bs=1 seek=$((512 + 2000384 + 140)) conv=notrunc status=none
        run -1 "$VMAFS" extract -C out vm.tar
        [[ $output == *'vm.tar: at byte 2000896: a member'"'"'s header is damaged'*'is not extracted'* ]]
        cmp out/a.raw a.raw
        "$VMAFS" extract --force -C out vm.tar a.raw
}

@test "a backing file that is not in the tar is refused, and the member is there as it is" {
        make_image base.qcow2
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
        tar --format=ustar -cf vm.tar top.qcow2
        run "$VMAFS" verify --backing=dir vm.tar
        [ "$status" -eq 0 ]
        [[ $output == *"top.qcow2 has the backing file base.qcow2, which is not in the archive"* ]]
        mount_vmafs vm.tar -o backing=any
        cmp top.qcow2 "$MNT/top.qcow2"
        [ ! -e "$MNT/disk-top.raw" ]
}

@test "a VMDK image of several files in one tar is one disk" {
        local type

        make_ragged_disk disk
        for type in monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat; do
                mkdir $type
                qemu-img convert -O vmdk -o subformat=$type disk $type/vm.vmdk
                # The parts come first.
                tar --format=ustar -cf $type.tar $type/vm-*.vmdk $type/vm.vmdk
                "$VMAFS" verify $type.tar
                "$VMAFS" extract -C $type $type.tar disk-vm.raw
                qemu-img convert -O raw $type/vm.vmdk expected
                cmp expected $type/disk-vm.raw
                mount_vmafs $type.tar
                cmp expected "$MNT/disk-vm.raw"
                cmp $type/vm.vmdk "$MNT/$type%2Fvm.vmdk"
        done
}

# An OVA of FILES with their manifest, whose OVF says ATTRIBUTES of its disk: make_ova ATTRIBUTES FILE...
make_ova() {
        local file

        printf '<Envelope><References><File %s/></References></Envelope>\n' "$1" >vm.ovf
        for file in vm.ovf "${@:2}"; do
                printf 'SHA256(%s)= %s\n' "$file" "$(sha "$file")"
        done >vm.mf
        tar --format=ustar -cf vm.ova vm.ovf "${@:2}" vm.mf
}

# The OVA shows DISK, with the holes that its image alone has, and the manifest agrees: ova_holds DISK
ova_holds() {
        local at

        run "$VMAFS" verify vm.ova
        [ "$status" -eq 0 ]
        [[ $output =~ manifest\ vm.mf:\ ([0-9]+)\ of\ ([0-9]+)\ files\ agree ]]
        [ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ]
        "$VMAFS" extract -O vm.ova disk-web.raw | cmp - "$1"
        mount_vmafs vm.ova
        cmp "$1" "$MNT/disk-web.raw"
        # From its end to its beginning.
        for ((at = DISK_SIZE / 65536; at > 0; at -= 29)); do
                dd if="$MNT/disk-web.raw" bs=65536 skip=$at count=1 status=none |
                        cmp - <(dd if="$1" bs=65536 skip=$at count=1 status=none)
        done
        wait_indexed
        holes "$MNT/disk-web.raw" | cmp - plain-holes
        unmount_all
}

@test "the disk of an OVA that is cut into chunks, gzipped, or both" {
        local subformat

        make_ragged_disk disk
        for subformat in streamOptimized monolithicSparse; do
                rm -f web*
                qemu-img convert -O vmdk -o subformat=$subformat disk web.vmdk
                mount_vmafs web.vmdk
                wait_indexed
                holes "$MNT/disk-web.raw" >plain-holes
                unmount_all
                split -a 9 -d -b 300000 web.vmdk web.vmdk.
                make_ova "ovf:href='web.vmdk' ovf:chunkSize='300000' ovf:size='$(stat -c %s web.vmdk)'" \
                        web.vmdk.0*
                ova_holds disk
                rm web.vmdk.0*
                gzip web.vmdk
                make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'" web.vmdk.gz
                ova_holds disk
                split -a 9 -d -b 30000 web.vmdk.gz web.vmdk.gz.
                make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip' ovf:chunkSize='30000'" web.vmdk.gz.0*
                ova_holds disk
        done
}

# Bytes that process PID, and those it has waited for, have read: read_by PID
read_by() {
        awk '/^rchar:/ { print $2 }' "/proc/$1/io"
}

@test "verify does not read a gzipped disk of an OVA again, however small the cache" {
        local self=$BASHPID before

        noise 41943040 >disk
        qemu-img convert -O vmdk -o subformat=monolithicSparse disk web.vmdk
        gzip -1 web.vmdk
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'" web.vmdk.gz
        tar --delete -f vm.ova vm.mf
        before=$(read_by "$self")
        "$VMAFS" verify --cache=16M vm.ova
        # To decode it, to prove its restart points, and to check the gzipped file, which is shown too.
        [ $(($(read_by "$self") - before)) -lt $(($(stat -c %s vm.ova) * 7 / 2)) ]
}

@test "verify --record hashes a gzipped disk in the order of the stream, however small the cache" {
        local self=$BASHPID before cluster commands=()

        noise 65536 >cluster
        qemu-img create -q -f qcow2 web.qcow2 24M
        for cluster in $(shuf -i 0-383 --random-source=<(noise 10000)); do
                commands+=(-c "write -q -s cluster $((cluster * 65536)) 64k")
        done
        qemu-io -f qcow2 "${commands[@]}" web.qcow2 >/dev/null
        gzip -1 web.qcow2
        make_ova "ovf:href='web.qcow2.gz' ovf:compression='gzip'" web.qcow2.gz
        tar --delete -f vm.ova vm.mf
        before=$(read_by "$self")
        "$VMAFS" verify --record --cache=16M vm.ova
        # In the order of the disk it would be seventy times as much.
        [ $(($(read_by "$self") - before)) -lt $(($(stat -c %s vm.ova) * 15)) ]
        run -0 "$VMAFS" verify vm.ova
        [[ $output == *'and the disks are the same'* ]]
}

# A mount of OVA with its index has read less than SIZE bytes when it has given the end of disk:
# reads_the_end OVA SIZE
reads_the_end() {
        local last=$(($(stat -c %s disk) / 65536 - 1))

        start_vmafs "$1" -o cache=16M
        dd if="$MNT/disk-web.raw" bs=64K skip=$last count=1 status=none |
                cmp - <(dd if=disk bs=64K skip=$last count=1 status=none)
        [ "$(read_by "$DAEMON")" -lt "$2" ]
        cmp disk "$MNT/disk-web.raw"
        unmount_all
}

@test "the index of an OVA has the restart points of its gzipped disks, whole or in chunks" {
        local size

        noise 41943040 >disk
        qemu-img convert -O vmdk -o subformat=monolithicSparse disk web.vmdk
        gzip -1 web.vmdk
        size=$(stat -c %s web.vmdk.gz)
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'" web.vmdk.gz
        mount_vmafs vm.ova
        wait_indexed
        unmount_all
        [ "$("$VMAFS" info --json vm.ova | jq '.index."restart-points"')" -gt 4 ]
        [ "$("$VMAFS" info --json vm.ova | jq '.index."widest-segment"')" -le 8388608 ]
        reads_the_end vm.ova $((size / 2))
        zstd -q vm.ova
        "$VMAFS" index vm.ova.zst
        reads_the_end vm.ova.zst "$size"
        split -a 9 -d -b 3000000 web.vmdk.gz web.vmdk.gz.
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip' ovf:chunkSize='3000000'" web.vmdk.gz.0*
        "$VMAFS" index vm.ova
        reads_the_end vm.ova $((size / 2))
        "$VMAFS" verify vm.ova
}

@test "a gzipped file that an OVF names twice is one disk, and has an index" {
        noise 4194304 >disk
        qemu-img convert -O vmdk -o subformat=monolithicSparse disk web.vmdk
        gzip -1 web.vmdk
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'/><File ovf:href='web.vmdk.gz' ovf:compression='gzip'" \
                web.vmdk.gz
        "$VMAFS" index vm.ova
        mount_vmafs vm.ova
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT")" = complete ]
        cmp disk "$MNT/disk-web.raw"
        [ ! -e "$MNT/disk-web.raw~2" ]
}

@test "a gzipped disk of a compressed OVA is read through both, with no room in the cache" {
        noise 41943040 >disk
        qemu-img convert -O vmdk -o subformat=monolithicSparse disk web.vmdk
        gzip -1 web.vmdk
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'" web.vmdk.gz
        zstd -q vm.ova
        timeout 60 "$VMAFS" verify --record --cache=8M vm.ova.zst
        timeout 60 "$VMAFS" extract --cache=8M -O vm.ova.zst disk-web.raw | cmp - disk
}

@test "a gzipped disk of an OVA that is damaged is an error where that is" {
        make_ragged_disk disk
        qemu-img convert -O vmdk -o subformat=monolithicSparse disk web.vmdk
        gzip web.vmdk
        make_ova "ovf:href='web.vmdk.gz' ovf:compression='gzip'" web.vmdk.gz
        printf 'damage' | dd of=vm.ova bs=1 seek=$((1024 + 512 + $(stat -c %s web.vmdk.gz) / 2)) conv=notrunc status=none
        run "$VMAFS" verify vm.ova
        [ "$status" -eq 1 ]
        [[ $output == *"web.vmdk.gz DIFFERS from its digest"* ]]
        mount_vmafs vm.ova
        [ ! -e "$MNT/disk-web.raw" ] || run ! cmp disk "$MNT/disk-web.raw"
}

@test "what is damaged in a member is told at its byte of the tar" {
        local offset

        make_data raw 3145728
        qemu-img convert -O qcow2 raw web.qcow2
        echo other >notes
        tar --format=ustar -cf vm.tar notes web.qcow2
        truncate -s -1100000 vm.tar
        run "$VMAFS" verify vm.tar
        [ "$status" -eq 1 ]
        [[ $output == *"a cluster lies past the end of the file (disk-web.raw from "* ]]
        offset=$(sed -n 's/^archive byte \([0-9]*\): a cluster lies.*/\1/p' <<<"$output" | head -n 1)
        # Its place in the L2 table, which is after the image's beginning.
        [ "$offset" -gt $((262144 + 1536)) ] && [ "$offset" -lt $((262144 + 65536 + 1536)) ]
}

@test "of more images than 64 the others are members alone, and verify says so" {
        local i

        qemu-img create -q -f qed base 1M
        for ((i = 100; i < 166; i++)); do
                ln base $i.qed
        done
        tar --format=ustar --hard-dereference -cf vm.tar 1*.qed
        run "$VMAFS" verify vm.tar
        [ "$status" -eq 0 ]
        [[ $output == *"164.qed is not looked into: vmafs shows the disks of 64 images"* ]]
        mount_vmafs vm.tar
        [ -e "$MNT/disk-163.raw" ] && [ ! -e "$MNT/disk-164.raw" ] && [ -e "$MNT/165.qed" ]
}

@test "an image that is stored sparse holds what qemu-img finds, in each of GNU tar's formats" {
        local format

        qemu-img create -q -f qcow2 -o preallocation=metadata web.qcow2 2099712
        live web.qcow2 2099712 65536 zeros 20
        qemu-img snapshot -c first web.qcow2
        live web.qcow2 2099712 65536 zeros 10
        cp --sparse=always web.qcow2 holes && mv holes web.qcow2
        for format in gnu posix; do
                tar -S --format=$format -cf vm.tar web.qcow2
                [ "$(stat -c %s vm.tar)" -lt "$(stat -c %s web.qcow2)" ]
                mount_vmafs vm.tar
                same vm.tar disk-web.raw web.qcow2
                same vm.tar snapshots/first/disk-web.raw web.qcow2 -l first
                unmount_one "$MNT"
        done
}

@test "images that vmafs does not interpret leave a tar sound, indexed and recorded" {
        qemu-img create -q -f qcow2 base.qcow2 1M
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
        qemu-img create -q -f qcow2 other.qcow2 1M
        tar -czf vm.tar.gz other.qcow2 over.qcow2
        run "$VMAFS" verify --record vm.tar.gz
        [ "$status" -eq 0 ]
        [[ $output == *"note: over.qcow2 has the backing file base.qcow2"*"vm.tar.gz: sound" ]]
        [[ $output != *"not in its own folder"* ]]
        run "$VMAFS" info vm.tar.gz
        [[ $output == *"note: "*"over.qcow2"*"index:        "*"per mille"* ]]
}

@test "a tar whose beginning is damaged is refused with what is wrong with the stream" {
        cd "$BATS_TEST_TMPDIR" || return
        noise 3M >a.raw
        tar --format=ustar -c a.raw | zstd -q -o a.tar.zst
        # In raw data, so that only the frame's checksum tells.
        dd if=/dev/zero of=a.tar.zst bs=1 seek=1000000 count=100 conv=notrunc status=none
        run "$VMAFS" info a.tar.zst
        echo "$output"
        [ "$status" -eq 1 ]
        [[ $output == *"the frame's checksum is wrong"* ]]
}
