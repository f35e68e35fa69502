# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section store of tests/bench/run, which sources this: a datastore of a Proxmox Backup Server.
# What it takes to read a disk is put beside verify of the same snapshot with two threads, which reads,
# decompresses and hashes each of its chunks and does nothing else.

SNAPSHOT=vm/100/2026-02-01T00:00:00Z

verify_snapshot() {
        "$VMAFS" verify --threads=2 "$DIR/store/$SNAPSHOT" >/dev/null
}

print_manifests() {
        find "$DIR/store" -name index.json.blob -exec cat {} + >/dev/null
}

print_info() {
        "$VMAFS" info "$DIR/store" >/dev/null
}

bench_store_read() {
        local i

        CHUNK=$((4 * MIB)) IMAGE=$1 "$TOOLS/mkpbs" "$DIR/store"
        mount_vmafs "$DIR/store"
        cmp "$1" "$MNT/$SNAPSHOT/disk-drive-scsi0.raw" || die "the disk of a datastore differs"
        unmount
        for ((i = 0; i < ROUNDS; i++)); do
                sample store.verify verify_snapshot
                mount_vmafs "$DIR/store"
                sample_filling store.seq read_all "$MNT/$SNAPSHOT/disk-drive-scsi0.raw"
                unmount
                mount_vmafs "$DIR/store"
                random_reads store.random "$MNT/$SNAPSHOT/disk-drive-scsi0.raw" 100
                unmount
        done
        rm -r "$DIR/store"
        ratio "datastore: sequential speed, x verify with two threads" store.verify store.seq ">=" 0.7
        figure "datastore: cold 4 KiB random read, median" store.random.median us
}

bench_store_many() {
        local i

        head -c $((100 * 65536)) "$1" >"$DIR/small.raw"
        MANY=200x100 IMAGE=$DIR/small.raw "$TOOLS/mkpbs" "$DIR/store"
        print_manifests
        for ((i = 0; i < ROUNDS; i++)); do
                sample store.cat print_manifests
                sample store.info print_info
                sample store.mount mount_vmafs "$DIR/store"
                sample store.ls ls "$MNT/vm/1007" >/dev/null
                unmount
        done
        rm -r "$DIR/store" "$DIR/small.raw"
        figure "datastore of 20,000 snapshots: mount" store.mount s "<=" 0.05
        figure "datastore of 20,000 snapshots: ls of a group" store.ls s "<=" 0.02
        ratio "datastore of 20,000 snapshots: info, x cat of the manifests" store.info store.cat "<=" 2
}

bench_store() {
        local raw=$DIR/drive-scsi0.raw

        real_data 384 | make_disk "$raw" 512
        bench_store_read "$raw"
        bench_store_many "$raw"
        rm "$raw"
}
