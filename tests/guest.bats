# SPDX-License-Identifier: GPL-2.0-or-later
# What people do with a mounted backup: copy it, convert it, and mount the guest's file systems.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        mkdir files guest
        make_data files/large 3000000
        make_data files/small 100 77
        : >files/empty
        mkdir files/dir
        make_data files/dir/inner 70001 5000
}

# An archive g.vma of the image disk.raw, shuffled, mounted. Sets MNT and DISK.
mount_backup() {
        mkvma -o g.vma --device drive-scsi0=disk.raw --order=shuffle
        mount_vmafs g.vma
        DISK=$MNT/disk-drive-scsi0.raw
        wait_indexed
}

make_ext4() {
        truncate -s "$2" "$1"
        mke2fs -q -t ext4 -d files "$1"
}

# Attaches the disk to a loop device of its own and sets LOOP.
attach() {
        LOOP=$(losetup -r --show -f "$@" "$DISK")
}

same_files() {
        diff -r --exclude=lost+found files guest
}

@test "cp keeps the holes" {
        make_ext4 disk.raw 64M
        mount_backup
        cp "$DISK" copy.raw
        cmp disk.raw copy.raw
        cp --sparse=always "$DISK" always.raw
        [ "$(stat -c %b copy.raw)" -le $(($(stat -c %b always.raw) + 128)) ]
        [ "$(stat -c %b copy.raw)" -lt $((20 * 2048)) ]
        # As du of the mounted file says beforehand.
        [ "$(du -k "$DISK" | cut -f1)" -eq $(($(nonzero_blocks disk.raw) / 2)) ]
}

@test "tar -S keeps the holes" {
        make_ext4 disk.raw 64M
        mount_backup
        tar -S -C "$MNT" -cf t.tar disk-drive-scsi0.raw
        [ "$(stat -c %s t.tar)" -lt 20000000 ]
        tar -S -xf t.tar
        cmp disk.raw disk-drive-scsi0.raw
}

@test "qemu-img converts to qcow2, and finds it identical" {
        make_ext4 disk.raw 64M
        mount_backup
        qemu-img convert -f raw -O qcow2 "$DISK" copy.qcow2
        qemu-img compare -f raw -F qcow2 "$DISK" copy.qcow2
        qemu-img compare -f raw -F qcow2 disk.raw copy.qcow2
        [ "$(stat -c %s copy.qcow2)" -lt 20000000 ]
}

@test "qemu-img compare sees a difference, so it would have seen one" {
        make_ext4 disk.raw 64M
        mount_backup
        cp --sparse=always disk.raw other.raw
        printf X | dd of=other.raw bs=1 seek=40000001 conv=notrunc status=none
        run qemu-img compare -f raw -F raw "$DISK" other.raw
        [ "$status" -eq 1 ]
}

@test "an ext4 guest mounts through a loop device, with its files" {
        need_root
        make_ext4 disk.raw 64M
        mount_backup
        attach
        mount -o ro,noload "$LOOP" guest
        same_files
        umount guest
        losetup -d "$LOOP"
}

@test "mount -o loop,ro,noload mounts an ext4 guest in one go" {
        need_root
        make_ext4 disk.raw 64M
        mount_backup
        mount -o loop,ro,noload "$DISK" guest
        same_files
        umount guest
}

@test "a loop device with direct I/O gives the same" {
        need_root
        make_ext4 disk.raw 64M
        mount_backup
        attach --direct-io=on
        [ "$(losetup --noheadings --raw --output DIO "$LOOP")" -eq 1 ]
        cmp disk.raw "$LOOP"
        mount -o ro,noload "$LOOP" guest
        same_files
        umount guest
        losetup -d "$LOOP"
}

@test "an XFS guest mounts with ro,norecovery, with its files" {
        need_root
        truncate -s 320M disk.raw
        mkfs.xfs -q disk.raw
        mount -o loop disk.raw guest
        cp -r files/. guest
        umount guest
        mount_backup
        attach
        mount -o ro,norecovery,nouuid "$LOOP" guest
        same_files
        umount guest
        losetup -d "$LOOP"
}

@test "a partition mounts by its offset and size" {
        need_root
        make_ext4 part.raw 32M
        truncate -s 64M disk.raw
        printf 'label: gpt\nstart=2048, size=8192\nstart=12288, size=65536\n' | sfdisk -q disk.raw
        dd if=part.raw of=disk.raw bs=512 seek=12288 conv=notrunc,sparse status=none
        mount_backup
        [ "$(sfdisk -J "$DISK" | jq '.partitiontable.partitions[1].start')" -eq 12288 ]
        attach -o $((12288 * 512)) --sizelimit $((65536 * 512))
        [ "$(blockdev --getsize64 "$LOOP")" -eq $((65536 * 512)) ]
        mount -o ro,noload "$LOOP" guest
        same_files
        umount guest
        losetup -d "$LOOP"
}

@test "a guest's disk cannot be written through a loop device" {
        need_root
        make_ext4 disk.raw 16M
        mount_backup
        attach
        run dd if=/dev/zero of="$LOOP" bs=4096 count=1 oflag=direct
        [ "$status" -ne 0 ]
        cmp disk.raw "$DISK"
        losetup -d "$LOOP"
}

@test "debugfs reads a guest's file with no loop device at all" {
        make_ext4 disk.raw 16M
        mount_backup
        debugfs -R "cat /dir/inner" "$DISK" 2>/dev/null | cmp - files/dir/inner
}

@test "SIGTERM is refused once while a loop device uses a disk, and obeyed twice" {
        need_root
        make_ext4 disk.raw 16M
        mkvma -o g.vma --device drive-scsi0=disk.raw
        start_vmafs g.vma
        DISK=$MNT/disk-drive-scsi0.raw
        attach
        kill -TERM "$DAEMON"
        wait_for 60 grep -q "not unmounted: $LOOP still uses a disk of it" "$LOG"
        cmp disk.raw "$LOOP"
        mountpoint -q "$MNT"
        kill -TERM "$DAEMON"
        wait_for 60 is_gone "$MNT"
        wait_for 60 has_ended "$DAEMON"
        losetup -d "$LOOP"
}
