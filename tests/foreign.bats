# SPDX-License-Identifier: GPL-2.0-or-later
# What is no archive is named by its kind, with what to do about it.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# Is FILE refused as no archive, with a KIND that begins so and an ADVICE that does, in one line?
is_foreign() {
        run --separate-stderr timeout 60 "$VMAFS" info "$1"
        [ "$status" -eq 2 ] && one_line_says "$1: is $2" &&
                [[ $stderr == *", not an archive that vmafs knows; $3"* ]]
}

# Makes FILE of a size at which every place is looked at, with the bytes TEXT (of printf) at OFFSET,
# and noise around them.
make_foreign() {
        noise 100000 >"$1"
        # Nothing else in it may look like a disk or a file system.
        printf '\1' | dd of="$1" bs=1 conv=notrunc status=none
        printf '\0\0' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
        printf '\0\0' | dd of="$1" bs=1 seek=1080 conv=notrunc status=none
        # shellcheck disable=SC2059 # a format it is
        printf -- "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "what other tools compress or pack is named with the tool" {
        make_foreign a.lzma 0 '\135\0\0\200\0\377\377\377\377\377\377\377\377'
        is_foreign a.lzma "compressed with LZMA alone" "xz -d"
        make_foreign a.lz 0 LZIP
        is_foreign a.lz "compressed with lzip" "lzip -d"
        make_foreign a.cpio 0 070701
        is_foreign a.cpio "a cpio archive" "cpio -id"
        make_foreign a.wim 0 'MSWIM\0\0\0'
        is_foreign a.wim "a WIM image" "wimlib-imagex"
        make_foreign a.E01 0 'EVF\11\15\12\377\0'
        is_foreign a.E01 "an EWF image" "ewfmount"
        make_foreign a.pcl 0 partclone-image
        is_foreign a.pcl "an image of partclone" "partclone.restore"
        make_foreign a.7z 0 '7z\274\257\47\34'
        is_foreign a.7z "a 7z archive" "7z x"
        make_foreign a.zip 0 'PK\3\4'
        is_foreign a.zip "a zip archive" "unzip"
        make_foreign a.rar 0 'Rar!\32\7\1\0'
        is_foreign a.rar "a rar archive" "unrar"
}

@test "what is encrypted is named" {
        make_foreign luks 0 'LUKS\272\276\0\2'
        is_foreign luks "an encrypted disk (LUKS)" "cryptsetup"
        make_foreign a.age 0 'age-encryption.org/v1'
        is_foreign a.age "encrypted with age" "age -d"
        make_foreign bitlocker.img 3 -FVE-FS-
        is_foreign bitlocker.img "a disk encrypted with BitLocker" cryptsetup
        make_foreign a.asc 0 '-----BEGIN PGP MESSAGE'
        is_foreign a.asc "encrypted or signed with PGP" gpg
}

@test "a file of a Proxmox Backup Server's datastore is named" {
        local magic

        for magic in '\102\253\070\007\276\203\160\241' '\061\271\130\102\157\266\243\177' \
                '\173\147\205\276\042\055\114\360' '\346\131\033\277\013\277\330\013' \
                '\057\177\101\355\221\375\017\315' '\034\221\116\245\031\272\263\315'; do
                make_foreign pbs 0 "$magic"
                is_foreign pbs "a file of a Proxmox Backup Server's datastore" proxmox-backup-client
        done
}

@test "a CD is named, with how to mount it" {
        make_foreign iso.img 32769 CD001
        is_foreign iso.img "a CD or DVD image (ISO 9660)" "mount -o ro,loop"
        # No loop device decompresses.
        mv iso.img disc.iso
        xz -0 -k disc.iso
        "$VMAFS" extract -O disc.iso.xz disk-disc.raw | cmp - disc.iso
}

@test "a disk that is named as an image of another format is named by what it is" {
        truncate -s 64M fs.qcow2
        mkfs.ext4 -qF fs.qcow2
        is_foreign fs.qcow2 "an ext2, ext3 or ext4 file system" "mount -o ro,loop,noload"
        make_foreign xfs.vmdk 0 XFSB
        is_foreign xfs.vmdk "an XFS file system" "mount -o ro,loop,norecovery"
        make_foreign ntfs.vhd 3 'NTFS    '
        is_foreign ntfs.vhd "an NTFS file system" "mount -o ro,loop"
        make_foreign fat.vdi 82 FAT32
        is_foreign fat.vdi "a FAT file system" "mount -o ro,loop"
        make_foreign btrfs.qed 65600 _BHRfS_M
        is_foreign btrfs.qed "a Btrfs file system" "mount -o ro,loop"
        make_foreign lvm.vhdx 512 LABELONE
        is_foreign lvm.vhdx "a physical volume of LVM" losetup
        truncate -s 8M disk.qcow2
        echo ',,L' | sfdisk -q disk.qcow2
        is_foreign disk.qcow2 "a disk with a partition table" "losetup -r -P"
        echo 'label: gpt' | sfdisk -q --wipe always disk.qcow2
        is_foreign disk.qcow2 "a disk with a partition table" "losetup -r -P"
}

@test "what is named as a disk in no format, or named as nothing, is one" {
        local name

        truncate -s 64M fs
        mkfs.ext4 -qF fs
        make_foreign xfs 0 XFSB
        make_foreign noise.img 0 '\1'
        gzip -k noise.img
        for name in fs xfs noise.img noise.img.gz; do
                "$VMAFS" info "$name" | grep '^format:  *raw$'
        done
        # One that is named as compressed and is not has lost its beginning.
        printf X | dd of=noise.img.gz bs=1 conv=notrunc status=none
        run --separate-stderr "$VMAFS" info noise.img.gz
        [ "$status" -eq 2 ]
        one_line_says "no known magic number"
}

@test "a log, an OVF and other texts are named" {
        printf '2026-11-28 10:00:00 INFO: Starting Backup of VM 101 (qemu)\n' >a.log
        is_foreign a.log "a log of vzdump" "the archive lies beside it"
        printf '<?xml version="1.0"?>\n<Envelope/>\n' >a.ovf
        is_foreign a.ovf "an XML text" "an OVF's disks"
        printf 'Backup before the upgrade: größer\n' >a.notes
        is_foreign a.notes "a text" "is it the notes"
}

@test "a file that begins with zeros is named" {
        truncate -s 1M zeros
        is_foreign zeros "zeros from its beginning on" "was it copied completely"
}

@test "what a compressed file holds is named, with what compressed it" {
        make_foreign a.zip 0 'PK\3\4'
        zstd -q a.zip
        gzip -k a.zip
        lzop a.zip
        xz -0 -k a.zip
        bzip2 -1 -k a.zip
        lz4 -q a.zip a.zip.lz4
        is_foreign a.zip.zst "compressed with zstd, and what it holds is a zip archive" unzip
        is_foreign a.zip.gz "compressed with gzip, and what it holds is a zip archive" unzip
        is_foreign a.zip.lzo "compressed with lzop, and what it holds is a zip archive" unzip
        is_foreign a.zip.xz "compressed with xz, and what it holds is a zip archive" unzip
        is_foreign a.zip.bz2 "compressed with bzip2, and what it holds is a zip archive" unzip
        is_foreign a.zip.lz4 "compressed with lz4, and what it holds is a zip archive" unzip
        make_foreign noise 0 '\1'
        gzip noise
        run --separate-stderr "$VMAFS" info noise.gz
        [ "$status" -eq 2 ]
        one_line_says "noise.gz: is compressed with gzip, and what it holds is not an archive that vmafs knows"
}

@test "a mount says the same" {
        make_foreign a.7z 0 '7z\274\257\47\34'
        mkdir mnt
        run --separate-stderr "$VMAFS" a.7z mnt
        [ "$status" -eq 2 ]
        one_line_says "a.7z: is a 7z archive, not an archive that vmafs knows; 7z x unpacks it"
}

@test "random bytes are no known kind" {
        make_foreign noise 0 '\1'
        run --separate-stderr "$VMAFS" info noise
        [ "$status" -eq 2 ]
        one_line_says "noise: is not an archive that vmafs knows: no known magic number, at byte 0"
}
