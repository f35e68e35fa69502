#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# XVA, the exports of XenServer and XCP-ng.
#
# Each test is a process, and what it sets is read by the helpers.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154

bats_require_minimum_version 1.5.0
load helpers

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# root has holes of many chunks, data is smaller than one.
make_disks() {
        local block

        for block in 0 256 400 2600 5800; do
                noise 409600 $block | dd of=root bs=4096 seek=$block conv=notrunc iflag=fullblock status=none
        done
        truncate -s $((23 * 1048576 + 3072)) root
        make_data data 70144
}

@test "the disks of an XVA, with either kind of checksum, and with empty chunks" {
        local option

        make_disks
        for option in --xxh --sha1 --empty=3; do
                "$TOOLS/mkxva" "$option" vm.xva root data
                mount_vmafs vm.xva
                names_in "$MNT" | diff - <(printf '%s\n' disk-Ref4.raw disk-Ref7.raw ova.xml)
                cmp root "$MNT/disk-Ref4.raw"
                cmp data "$MNT/disk-Ref7.raw"
                [ "$(getfattr --only-values -n user.vmafs.device "$MNT/disk-Ref4.raw")" = Ref:4 ]
                tar -xOf vm.xva ova.xml | cmp - "$MNT/ova.xml"
                wait_indexed
                [ "$(stat -c %b "$MNT/disk-Ref4.raw")" -lt $((8 * 2048)) ]
                unmount_all
                run "$VMAFS" verify vm.xva
                [ "$status" -eq 0 ]
                [[ $output == *"bit rot in the disks' data would show in the archive's own checksums"* ]]
                "$VMAFS" extract --force -C . vm.xva
                cmp root disk-Ref4.raw
        done
}

@test "info says which disk is which" {
        make_disks
        "$TOOLS/mkxva" vm.xva root data
        run "$VMAFS" info vm.xva
        [[ $output == *'note: '*'Ref:4 is "root", drive 0; Ref:7 is "data", drive 0'* ]]
        [ "$("$VMAFS" info --json vm.xva | jq -r .format)" = xva ]
}

@test "an XVA that is compressed, without and with an index" {
        local archive option

        make_disks
        "$TOOLS/mkxva" vm.xva root data
        gzip -k vm.xva
        zstd -q vm.xva
        for archive in vm.xva.gz vm.xva.zst; do
                "$VMAFS" verify $archive
                "$VMAFS" index --file=index $archive
                for option in none index; do
                        mount_vmafs $archive -o index=$option
                        cmp root "$MNT/disk-Ref4.raw"
                        cmp data "$MNT/disk-Ref7.raw"
                        unmount_all
                done
        done
}

@test "verify names a chunk that has changed; mounted, only what is compressed is compared" {
        local at

        make_disks
        "$TOOLS/mkxva" vm.xva root data
        at=$(grep -abo 'Ref:4/00000001' vm.xva | head -n 1 | cut -d: -f1)
        printf X | dd of=vm.xva bs=1 seek=$((at + 512 + 100)) conv=notrunc status=none
        run "$VMAFS" verify vm.xva
        [ "$status" -eq 1 ]
        [[ $output == *"archive byte $at: a chunk does not have its checksum (disk-Ref4.raw from 1048576, 1048576 bytes)"* ]]
        run "$VMAFS" extract -C . vm.xva
        [ "$status" -eq 1 ]
        run "$VMAFS" extract -O vm.xva disk-Ref4.raw
        [ "$status" -eq 1 ]
        mount_vmafs vm.xva
        run ! cmp root "$MNT/disk-Ref4.raw"
        unmount_all

        zstd -q vm.xva
        mount_vmafs vm.xva.zst
        wait_indexed
        run dd if="$MNT/disk-Ref4.raw" of=/dev/null bs=4096 skip=256 count=1
        [[ $output == *"Input/output error"* ]]
        cmp -n 1048576 root "$MNT/disk-Ref4.raw"
        cmp -i $((2 * 1048576)) root "$MNT/disk-Ref4.raw"
}

@test "an XVA that is cut off keeps what is before that" {
        make_disks
        "$TOOLS/mkxva" vm.xva root data
        truncate -s 3000000 vm.xva
        run "$VMAFS" verify vm.xva
        [ "$status" -eq 1 ]
        [[ $output == *"the last chunks of a disk are missing (disk-Ref4.raw from "* ]]
        mount_vmafs vm.xva
        cmp -n $((2 * 1048576)) root "$MNT/disk-Ref4.raw"
        run ! cat "$MNT/disk-Ref7.raw"
}

@test "a folder shows an XVA as an archive" {
        make_disks
        mkdir backups
        "$TOOLS/mkxva" backups/vm.xva root data
        mount_vmafs backups
        cmp root "$MNT/vm.xva/disk-Ref4.raw"
}
