# SPDX-License-Identifier: GPL-2.0-or-later
# The ways to a guest's files that the manual names, each run on partitions of a .vma.zst.
# shellcheck disable=SC2016 # the inner shell expands them
load helpers
bats_require_minimum_version 1.5.0

setup() {
        need_root
        cd "$BATS_TEST_TMPDIR" || return
        let_others_pass
        make_guest
        cp "$VMAFS" vmafs
        chmod 755 vmafs
        install -d -o 65534 -g 65534 own own/b own/r
}

# The archive guest.vma.zst with FAT, ext4 and NTFS in its partitions 1 to 3, each with the files of
# the folder tree.
make_guest() {
        mkdir -p tree/etc
        echo 'fstab of the guest' >tree/etc/fstab
        noise 3000000 >tree/big
        chmod 755 tree tree/etc
        truncate -s 32M fat
        mformat -i fat -T 65536 -h 16 -s 63 ::
        mcopy -i fat -s tree/etc tree/big ::
        truncate -s 40M ext4
        mkfs.ext4 -q -d tree ext4
        truncate -s 20M ntfs
        mkntfs -qF ntfs >/dev/null 2>&1
        ntfscp -q ntfs tree/big big
        truncate -s 128M guest.raw
        sfdisk -q guest.raw <<'END'
label: gpt
start=2048, size=65536, type=U
start=67584, size=81920, type=L
start=149504, size=40960, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
END
        dd if=fat of=guest.raw bs=1M seek=1 conv=notrunc,sparse status=none
        dd if=ext4 of=guest.raw bs=1M seek=33 conv=notrunc,sparse status=none
        dd if=ntfs of=guest.raw bs=1M seek=73 conv=notrunc,sparse status=none
        mkvma -o guest.vma --device drive-scsi0=guest.raw
        zstd -q --rm guest.vma
        chmod 644 guest.vma.zst
        rm fat ext4 ntfs guest.raw
}

# Runs a script as nobody in own/, where the partitions are $P and everybody may open /dev/fuse, with
# these options of the mount: as_nobody OPTIONS SCRIPT
as_nobody() {
        unshare -m bash -euc '
                trap "umount -q own/r || true; umount -q own/b || umount -ql own/b || true" EXIT
                mkdir -p dev
                mount -t tmpfs -o mode=755,dev none dev
                mknod -m 666 dev/fuse c 10 229
                mount --bind dev/fuse /dev/fuse
                echo user_allow_other >dev/fuse.conf
                chmod 644 dev/fuse.conf
                mount --bind dev/fuse.conf /etc/fuse.conf
                export P=b/disk-drive-scsi0.parts XDG_CACHE_HOME=$PWD/own/cache
                setpriv --reuid=65534 --regid=65534 --clear-groups \
                        bash -euc "cd own; ../vmafs ../guest.vma.zst b -o $1; $2"' - "$@" 3>&-
}

@test "a user mounts ext4 with fuse2fs" {
        as_nobody partitions '
                fuse2fs -o ro "$P/2.raw" r
                cmp r/big ../tree/big
                cmp r/etc/fstab ../tree/etc/fstab
                fusermount3 -u r'
}

@test "a user mounts NTFS with ntfs-3g, which is setuid and needs allow_other" {
        as_nobody partitions,allow_other '
                ntfs-3g -o ro "$P/3.raw" r
                cmp r/big ../tree/big
                fusermount3 -u r'
}

@test "a user reads NTFS with ntfscat" {
        as_nobody partitions '
                ntfsls "$P/3.raw" | grep -qx big
                ntfscat "$P/3.raw" big | cmp - ../tree/big'
}

@test "a user reads FAT with mcopy" {
        as_nobody partitions '
                mcopy -s -i "$P/1.raw" ::/etc ::/big .
                cmp etc/fstab ../tree/etc/fstab
                cmp big ../tree/big'
}

@test "a user reads ext4 with debugfs" {
        as_nobody partitions '
                debugfs -R "cat /big" "$P/2.raw" 2>/dev/null | cmp - ../tree/big'
}

@test "a user reads ext4 and NTFS with 7zz" {
        as_nobody partitions '
                7zz e -so "$P/2.raw" etc/fstab | cmp - ../tree/etc/fstab
                7zz e -so "$P/3.raw" big | cmp - ../tree/big'
}

@test "root mounts a partition by its name, without an offset" {
        mkdir r
        mount_vmafs guest.vma.zst -o partitions,index=none
        mount -o ro,noload,loop "$MNT/disk-drive-scsi0.parts/2.raw" r
        cmp r/big tree/big
        umount r
}

# A disk of one partition, encrypted with the password in pw.
make_encrypted() {
        noise 3000000 5 >plain.raw
        truncate -s 4M plain.raw
        printf secret >pw
        truncate -s 6M luks
        cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks pw
        qemu-img convert -n --object secret,id=s,file=pw --image-opts driver=raw,file.filename=plain.raw \
                --target-image-opts driver=luks,key-secret=s,file.filename=luks
        truncate -s 8M encrypted.raw
        echo start=2048 | sfdisk -q encrypted.raw
        dd if=luks of=encrypted.raw bs=1M seek=1 conv=notrunc status=none
        mkvma -o guest.vma --device drive-scsi0=encrypted.raw
        zstd -qf --rm guest.vma
        chmod 644 guest.vma.zst plain.raw pw
}

@test "a user decrypts LUKS with qemu-img" {
        make_encrypted
        as_nobody partitions '
                [ "$(getfattr --only-values -n user.vmafs.filesystem $P/1.raw)" = crypto_LUKS ]
                qemu-img convert -O raw --object secret,id=s,file=../pw --image-opts \
                        driver=luks,key-secret=s,file.filename=$P/1.raw plain.raw
                cmp -n 3000000 plain.raw ../plain.raw'
}
