# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section images of tests/bench/run, which sources this: dense images of each kind through the
# mount, beside qemu-storage-daemon's FUSE export of the same image, and vmdkmount; and how soon empty ones of
# 10 TiB are mounted.

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

# A line: the name that is printed, QEMU's format, what it is made with.
image_kinds() {
        cat <<'END'
qcow2       qcow2
qcow2-zlib  qcow2      -c -o compression_type=zlib
qcow2-zstd  qcow2      -c -o compression_type=zstd
qcow        qcow
qed         qed
vdi         vdi
vhd         vpc        -o subformat=dynamic,force_size=on
vhd-fixed   vpc        -o subformat=fixed,force_size=on
vhdx        vhdx
parallels   parallels
vmdk-sparse vmdk       -o subformat=monolithicSparse
vmdk        vmdk       -o subformat=streamOptimized
END
}

# The largest that QEMU makes where that is not 10 TiB.
large_kinds() {
        cat <<'END'
qcow2     10T
qed       10T
qcow      10T
vdi       10T
vpc       2000G
vhdx      10T
parallels 10T
vmdk      10T
END
}

# An empty image of 10 TiB is ready at once, since nothing of its tables is read before it is asked for.
bench_large_images() {
        local format size i

        while read -r format size; do
                qemu-img create -q -f "$format" "$DIR/large.img" "$size" 2>/dev/null ||
                        die "no $format of $size"
                for ((i = 0; i < 2 * ROUNDS; i++)); do
                        sample "large.$format" mount_vmafs "$DIR/large.img"
                        unmount
                done
                rm "$DIR"/large*.img
                figure "$format of $size: mount" "large.$format" s "<=" 0.05
        done < <(large_kinds)
}

# IMAGES_KINDS: only those whose name it has.
bench_images() {
        local kind format options

        bench_large_images
        # What begins with a tar would be one, where the disk lies in the image as it is.
        {
                head -c "$MIB" /dev/zero
                real_data $((IMAGES_MIB - 1))
        } >"$DIR/image.raw"
        while read -r kind format options; do
                [[ ${IMAGES_KINDS:-$kind} == *$kind* ]] || continue
                # shellcheck disable=SC2086 # words
                qemu-img convert -f raw -O "$format" $options "$DIR/image.raw" "$DIR/image.img"
                bench_image "$kind" "$format" "$DIR/image.img"
                [ "$kind" != vmdk ] || bench_vmdkmount "$DIR/image.img"
                rm "$DIR/image.img"
        done < <(image_kinds)
        rm "$DIR"/image.*
}
