# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section busy of tests/bench/run, which sources this: archives of guests that wrote while they
# were backed up, beside the same disks in their order.

GUEST_MIB=1024
GUEST_FILES=800 # that are read

# compress_orders NAME DISK...: $DIR/NAME-ORDER.vma.zst and their indexes.
compress_orders() {
        local order archive disk devices=()

        for disk in "${@:2}"; do
                devices+=(--device "$disk=$DIR/$disk.raw")
        done
        for order in seq busy; do
                archive=$DIR/$1-$order.vma
                "$TOOLS/mkvma" -o "$archive" --order=$order "${devices[@]}"
                zstd -q --rsyncable --threads=1 --rm "$archive" -o "$archive.zst"
                build_index "$archive.zst"
        done
}

# note_decoded SUBJECT BYTES: how much was decoded of what is mounted for each of so many bytes.
note_decoded() {
        note "$1" "$(getfattr --absolute-names --only-values -n user.vmafs.decoded "$MNT" |
                awk -v n="$2" '{ printf "%.4f", $1 / n }')"
}

# read_in_order ORDER OPTIONS DISK…: read them one after the other through a new mount.
read_in_order() {
        local name="$1.$2.$#" archive=$DIR/disks-$1.vma.zst disks=("${@:3}")

        mount_vmafs "$archive" -o "index=$archive.index,$2"
        disks=("${disks[@]/#/$MNT/disk-}")
        sample_filling "$name" read_all "${disks[@]}"
        note_decoded "$name.decoded" "$(stat -c %s "${disks[@]}" | awk '{ n += $1 } END { print n }')"
        unmount
}

bench_busy_sequential() {
        local options i

        for ((i = 0; i < ROUNDS; i++)); do
                for options in direct_io cache=256M; do
                        read_in_order seq $options drive-scsi0.raw drive-scsi1.raw
                        read_in_order busy $options drive-scsi0.raw drive-scsi1.raw
                done
                read_in_order busy direct_io drive-scsi1.raw
                sample busy.dc decompress zstd -q -dc "$DIR/disks-busy.vma.zst"
        done
        ratio "busy: sequential read, direct_io, x in order" busy.direct_io.4 seq.direct_io.4 "<=" 1.4
        ratio "busy: sequential read, cached, x in order" busy.cache=256M.4 seq.cache=256M.4 "<=" 1.4
        ratio "busy: sequential read, direct_io, x zstd -q -dc" busy.direct_io.4 busy.dc "<=" 1.3
        ratio "busy: sequential read, cached, x zstd -q -dc" busy.cache=256M.4 busy.dc "<=" 1.3
        figure "busy: decoded for a byte of both disks" busy.direct_io.4.decoded x "<=" 1.4
        figure "busy: decoded for a byte of the second alone" busy.direct_io.3.decoded x
}

# What the median of cold reads takes, beside what zstd -dc takes for 5 MiB of output.
bench_busy_random() {
        local mib

        mib=$(($(zstd -dc "$DIR/disks-busy.vma.zst" | wc -c) / MIB))
        bench_random busy "$DIR/disks-busy.vma.zst"
        awk -v mib="$mib" '{ print $1 * 1e6 * 5 / mib }' "$DIR/samples/busy.dc" >"$DIR/samples/busy.5mib"
        ratio "busy: cold 4 KiB random read, median, x zstd -dc of 5 MiB" \
                busy.cold.median busy.5mib "<=" 1
        figure "busy: decoded for a cold 4 KiB random read, mean" busy.cold.decoded MiB "<=" 4
}

# ---- qemu-img convert ----

# convert_disks FORMAT FILE…: each into a new image.
convert_disks() {
        local disk

        for disk in "$@"; do
                rm -f "$DIR/copies/image.qcow2"
                qemu-img convert -f raw -O qcow2 "$disk" "$DIR/copies/image.qcow2" || return
        done
}

# A pipe that decompresses on one processor while the images are written on another.
convert_beside_pipe() {
        local pid

        decompress zstd -q -dc "$1" &
        pid=$!
        convert_disks "${@:2}" && wait "$pid"
}

# What one does without a mount: the archive's contents into files, and these into images.
convert_after_pipe() {
        zstd -q -dc "$1" >"$DIR/copies/contents" && convert_disks "${@:2}"
        rm "$DIR/copies/contents"
}

# convert_mounted NAME ORDER [OPTION]
convert_mounted() {
        local archive=$DIR/disks-$2.vma.zst

        mount_vmafs "$archive" -o "index=$archive.index${3:+,$3}"
        sample_filling "$1" convert_disks "$MNT"/disk-drive-scsi[01].raw
        unmount
}

bench_busy_convert() {
        local i archive=$DIR/disks-seq.vma.zst disks=("$DIR"/drive-scsi[01].raw)

        fresh_dir "$DIR/copies"
        warm "${disks[@]}" "$DIR"/disks-*.zst
        for ((i = 0; i < ROUNDS; i++)); do
                convert_mounted busy.convert busy
                convert_mounted busy.convert.direct busy direct_io
                convert_mounted seq.convert seq
                sample_filling pipe.convert convert_beside_pipe "$archive" "${disks[@]}"
                sample_filling file.convert convert_after_pipe "$archive" "${disks[@]}"
        done
        qemu-img compare -q "${disks[1]}" "$DIR/copies/image.qcow2" || die "qemu-img converted other bytes"
        rm -rf "$DIR/copies"
        ratio "busy: qemu-img convert from the mount, x in order" busy.convert seq.convert
        ratio "busy: qemu-img convert from the mount, x zstd -dc beside it from raw, in order" \
                busy.convert pipe.convert "<=" 1.2
        ratio "busy: qemu-img convert from the mount, x zstd -dc into a file, and then from raw" \
                busy.convert file.convert "<=" 1.2
        ratio "busy: qemu-img convert from the mount, direct_io, x zstd -dc beside it from raw, in order" \
                busy.convert.direct pipe.convert "<=" 1.2
        ratio "busy: qemu-img convert from the mount, direct_io, x zstd -dc into a file, and then from raw" \
                busy.convert.direct file.convert "<=" 1.2
}

# ---- a guest's file system ----

# 25,000 names in $DIR/tree: 2750 folders with 8 files each of 0.5 to 32 KiB, of the same median and
# mean as those below 64 KiB in a Debian's /usr, and 25 large files among them.
make_guest_tree() {
        local i size folder

        mkdir "$DIR/tree"
        generated_data 640 | {
                for ((i = 0; i < 2750; i++)); do
                        size=$((512 << i * 5 % 7))
                        folder=$DIR/tree/$((i / 50))/$((i % 50))
                        mkdir -p "$folder"
                        head -c $((8 * size)) | split -a 1 -b "$size" - "$folder/file."
                        [ $((i % 110)) -ne 0 ] || head -c 16M >"$folder/large"
                done
                cat >/dev/null
        }
}

make_guest() {
        make_guest_tree
        (cd "$DIR/tree" && find . -name 'file.*' | sort) | awk 'NR % 27 == 0' |
                head -n "$GUEST_FILES" >"$DIR/guest.files"
        truncate -s "${GUEST_MIB}M" "$DIR/guest.raw"
        mke2fs -q -F -t ext4 -d "$DIR/tree" "$DIR/guest.raw" || die "mke2fs failed"
        rm -rf "$DIR/tree"
}

walk_guest() {
        find "$DIR/guest" -printf '%s\n' >/dev/null
        (cd "$DIR/guest" && xargs cat <"$DIR/guest.files") >/dev/null
}

# walk_image SUBJECT IMAGE: nothing of the image, and of what it lies in, is in memory.
walk_image() {
        drop_caches
        mount -o loop,ro,noload "$2" "$DIR/guest"
        sample "$1" walk_guest
        umount "$DIR/guest"
}

# walk_mounted SUBJECT ORDER
walk_mounted() {
        local archive=$DIR/guest-$2.vma.zst

        mount_vmafs "$archive" -o "index=$archive.index"
        walk_image "$1" "$MNT/disk-guest.raw"
        note_decoded "$1.decoded" "$MIB"
        unmount
}

bench_busy_guest() {
        local i

        [ "$(id -u)" -eq 0 ] || return 0
        make_guest
        compress_orders guest guest
        mkdir "$DIR/guest"
        for ((i = 0; i < ROUNDS; i++)); do
                walk_image raw.walk "$DIR/guest.raw"
                walk_mounted busy.walk busy
                walk_mounted seq.walk seq
        done
        rm "$DIR"/guest-*.zst* "$DIR/guest.raw"
        ratio "busy: find and 800 files of a guest of 25,000, cold, x raw image" \
                busy.walk raw.walk "<=" 2.5
        ratio "in order: find and 800 files of a guest of 25,000, cold, x raw image" seq.walk raw.walk
        figure "busy: decoded for that" busy.walk.decoded MiB
}

bench_busy() {
        make_compressible
        compress_orders disks drive-scsi0 drive-scsi1
        figures_of_index busy "$DIR/disks-busy.vma.zst" 7
        bench_busy_sequential
        bench_busy_random
        bench_busy_convert
        bench_memory busy "$DIR/disks-busy.vma.zst"
        rm "$DIR"/disks-*.zst*
        bench_busy_guest
}
