# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section images of tests/bench/run, which sources this: dense qcow2 images and a streamOptimized
# VMDK through the mount, beside qemu-storage-daemon's FUSE export of the same image, and vmdkmount.

IMAGES_MIB=${IMAGES_MIB:-512}
IMAGES_READS=10000

# start_image_export FORMAT FILE: as start_export, of an image.
start_image_export() {
        local end=$((SECONDS + 10))

        : >"$EXPORT"
        qemu-storage-daemon \
                --blockdev driver=file,filename="$2",node-name=f,read-only=on \
                --blockdev driver="$1",file=f,node-name=r,read-only=on \
                --export type=fuse,id=e,node-name=r,mountpoint="$EXPORT",writable=off &
        # shellcheck disable=SC2034 # stop_export looks at it
        exporter=$!
        until mountpoint -q "$EXPORT"; do
                [ "$SECONDS" -lt "$end" ] || die "qemu-storage-daemon exports nothing"
                sleep 0.05
        done
}

# What is read is the disk, however it is read.
check_image() {
        mount_vmafs "$1"
        cmp "$DIR/image.raw" "$MNT/disk-image.raw" || die "$1 differs from what is mounted"
        unmount
}

# bench_image NAME FORMAT FILE: each round mounts anew, so that nothing is in the page cache.
bench_image() {
        local i

        check_image "$3"
        warm "$3"
        for ((i = 0; i < ROUNDS; i++)); do
                mount_vmafs "$3"
                sample_filling "$1.seq" read_all "$MNT/disk-image.raw"
                unmount
                start_image_export "$2" "$3"
                sample_filling "$1.seq.qemu" read_all "$EXPORT"
                stop_export
                mount_vmafs "$3"
                wait_for_index
                random_reads "$1.random" "$MNT/disk-image.raw" "$IMAGES_READS"
                unmount
                start_image_export "$2" "$3"
                random_reads "$1.random.qemu" "$EXPORT" "$IMAGES_READS"
                stop_export
        done
        ratio "$1: sequential speed, x qemu-storage-daemon" "$1.seq.qemu" "$1.seq" ">=" 2
        ratio "$1: 4 KiB random reads, x qemu-storage-daemon" \
                "$1.random.iops" "$1.random.qemu.iops" ">=" 1.5
        figure "$1: 4 KiB random read, 99th" "$1.random.p99" "us"
}

# Beside libvmdk's own mount, which shows the disk as vmdk1.
bench_vmdkmount() {
        local i disk=$MNT/vmdk1

        for ((i = 0; i < ROUNDS; i++)); do
                vmdkmount "$1" "$MNT" >/dev/null
                sample_filling vmdkmount.seq read_all "$disk"
                unmount
                vmdkmount "$1" "$MNT" >/dev/null
                random_reads vmdkmount.random "$disk" "$IMAGES_READS"
                unmount
        done
        ratio "vmdk: sequential speed, x vmdkmount" vmdkmount.seq vmdk.seq ">=" 3
        ratio "vmdk: 4 KiB random reads, x vmdkmount" vmdk.random.iops vmdkmount.random.iops ">=" 3
}

bench_images() {
        local options

        real_data "$IMAGES_MIB" >"$DIR/image.raw"
        qemu-img convert -f raw -O qcow2 "$DIR/image.raw" "$DIR/image.qcow2"
        bench_image qcow2 qcow2 "$DIR/image.qcow2"
        for options in zlib zstd; do
                qemu-img convert -c -f raw -O qcow2 -o "compression_type=$options" "$DIR/image.raw" \
                        "$DIR/image.qcow2"
                bench_image "qcow2 $options" qcow2 "$DIR/image.qcow2"
        done
        rm "$DIR/image.qcow2"
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$DIR/image.raw" "$DIR/image.vmdk"
        bench_image vmdk vmdk "$DIR/image.vmdk"
        bench_vmdkmount "$DIR/image.vmdk"
        rm "$DIR"/image.*
}
