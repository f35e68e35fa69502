# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section store of tests/bench/run, which sources this: a datastore of a Proxmox Backup Server, and
# a folder of archives.
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

# note_memory SUBJECT: of the mount's process, MiB; a mount's cache is 256 MiB of it at most.
note_memory() {
        # shellcheck disable=SC2154 # run sets it
        note "$1" "$(awk '/^VmRSS:/ { print $2 / 1024 }' "/proc/$mounted/status")"
}

# After the mount; with all snapshots listed; with all of them looked into.
bench_store_memory() {
        mount_foreground "$DIR/store"
        note_memory store.memory.mount
        find "$MNT" -mindepth 3 -maxdepth 3 >"$DIR/found"
        [ "$(wc -l <"$DIR/found")" -ge 20000 ] || die "snapshots are missing"
        note_memory store.memory.listed
        find "$MNT" >/dev/null
        note_memory store.memory.entered
        unmount
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
        bench_store_memory
        rm -r "$DIR/store" "$DIR/small.raw"
        figure "datastore of 20,000 snapshots: mount" store.mount s "<=" 0.05
        figure "datastore of 20,000 snapshots: ls of a group" store.ls s "<=" 0.02
        figure "datastore of 20,000 snapshots: memory of the mount" store.memory.mount MiB "<=" 64
        figure "datastore of 20,000 snapshots: memory, all of them listed" store.memory.listed MiB "<=" 64
        figure "datastore of 20,000 snapshots: memory, all looked into" store.memory.entered MiB "<=" 64
        ratio "datastore of 20,000 snapshots: info, x cat of the manifests" store.info store.cat "<=" 2
}

list_often() {
        for _ in {1..50}; do
                ls "$1" >/dev/null
        done
}

bench_folder() {
        local i

        head -c 65536 "$1" >"$DIR/one.raw"
        mkdir "$DIR/folder"
        "$TOOLS/mkvma" -o "$DIR/one.vma" --device drive-scsi0="$DIR/one.raw"
        for ((i = 0; i < 1000; i++)); do
                echo "$DIR/folder/vzdump-qemu-$((1000 + i))-2026_01_01-00_00_00.vma"
        done | xargs -n 1 ln "$DIR/one.vma"
        for ((i = 0; i < ROUNDS; i++)); do
                sample folder.native list_often "$DIR/folder"
                sample folder.mount mount_vmafs "$DIR/folder"
                sample folder.first ls "$MNT" >/dev/null
                sample folder.ls list_often "$MNT"
                unmount
        done
        rm -r "$DIR/folder" "$DIR/one.vma" "$DIR/one.raw"
        figure "folder of 1,000 archives: mount" folder.mount s "<=" 0.05
        figure "folder of 1,000 archives: first ls" folder.first s
        ratio "folder of 1,000 archives: ls, x ls of the folder" folder.ls folder.native "<=" 2
}

bench_store() {
        local raw=$DIR/drive-scsi0.raw

        real_data 384 | make_disk "$raw" 512
        bench_store_read "$raw"
        bench_store_many "$raw"
        bench_folder "$raw"
        rm "$raw"
}
