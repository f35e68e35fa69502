# SPDX-License-Identifier: GPL-2.0-or-later
# A datastore of Proxmox Backup Server in an S3 bucket: it is as one on disk, whatever the server does.
# The server is tests/tools/faultserver.c.
# shellcheck disable=SC2154 # what run sets
load helpers
load server
load datastore
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_disk image 1048576 0-2 40-99 200-200
        mkdir files
        be_nobody_else
        as_somebody
}

teardown() {
        unmount_all
        end_servers
}

# The datastore ds is in the bucket, with its snapshots in .cnt as the server has them.
upload() {
        mkdir files/store
        mv ds/.chunks files/store/.chunks
        mv ds files/store/.cnt
        serve "$PWD" --s3 AKIDEXAMPLE "$AWS_SECRET_ACCESS_KEY" eu-1
        export AWS_ENDPOINT_URL=$URL
}

# What is in the folder DIR, and the SHA-256 of each file: content DIR
content() {
        (
                cd "$1" || exit
                find . -mindepth 1 -printf '%p %y %m %s %l\n' | sort
                find . -type f -exec sha256sum {} + | sort
        )
}

@test "a datastore in a bucket is mounted as one on disk, in both layouts" {
        make_store
        start_vmafs ds
        content "$MNT" >wanted
        umount "$MNT"
        cp -r ds copy
        upload
        mv copy files/copy
        for url in s3://ok/store/ s3://ok/copy/; do
                start_vmafs "$url"
                content "$MNT" | cmp - wanted
                [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = pbs ]
                diff <(holes "$MNT/$FIRST/disk-drive-scsi0.raw") <(printf '0 65536\n131072 327680\n786432 65536\n')
                cmp "$MNT/$CONTAINER/root/other" "$MNT/$CONTAINER/root/etc/passwd"
                [ ! -s "$LOG" ]
                umount "$MNT"
        done
}

@test "an encrypted datastore in a bucket needs its key, and says so" {
        make_store --encrypt
        upload
        start_vmafs s3://ok/store/
        run ! cat "$MNT/$FIRST/qemu-server.conf"
        [[ $(getfattr --only-values -n user.vmafs.error "$MNT/$FIRST/qemu-server.conf") == *keyfile=* ]]
        umount "$MNT"
        start_vmafs s3://ok/store/ -o keyfile=key
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
        cmp "$MNT/$CONTAINER/root/other" "$MNT/$CONTAINER/root/etc/passwd"
        grep -qx 'name: web01' "$MNT/$FIRST/qemu-server.conf"
}

@test "chunks of a bucket that are missing or wrong are I/O errors for their ranges, and are named" {
        local missing wrong disk

        make_store
        missing=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 0)
        wrong=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        cp "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 4)" "$wrong"
        rm "$missing"
        upload
        start_vmafs s3://ok/store/ -o direct_io
        disk=$MNT/$FIRST/disk-drive-scsi0.raw
        run ! dd if="$disk" of=/dev/null bs=64K count=1
        grep -q "chunk ${missing##*/} is missing" "$LOG"
        run ! dd if="$disk" of=/dev/null bs=64K skip=3 count=1
        grep -q "chunk ${wrong##*/} does not hold what its name says" "$LOG"
        cmp <(dd if="$disk" bs=64K skip=4 status=none) <(dd if=image bs=64K skip=4 status=none)
}

@test "while a bucket with a datastore cannot be read, reads fail; then all is there, and what is new" {
        local disk late=vm/100/2026-02-03T00:00:00Z

        make_store
        upload
        start_vmafs s3://ok/store/ -o direct_io,timeout=3
        disk=$MNT/$FIRST/disk-drive-scsi0.raw
        cmp "$disk" image -n 65536
        [ "$(names_in "$MNT/vm/100")" = "$(printf '%s\n%s' "${FIRST##*/}" "${SECOND##*/}")" ]
        echo drop >fault
        run ! dd if="$disk" of=/dev/null bs=64K skip=2 count=1
        grep -q 'cannot be fetched: the connection to the server fails' "$LOG"
        run ! ls "$MNT/$SECOND"
        rm fault
        wait_for 60 cmp "$disk" image
        wait_for 60 cmp "$MNT/$SECOND/disk-drive-scsi0.raw" image
        mv "files/store/.cnt/$FIRST" "files/store/.cnt/$late"
        wait_for 60 test -e "$MNT/$late"
        [ ! -e "$MNT/$FIRST" ]
        [ "$(names_in "$MNT/$late" | wc -l)" -eq 2 ]
}

@test "why a datastore in a bucket cannot be listed is logged, once until it can be" {
        make_store
        upload
        start_vmafs s3://ok/store/
        ls "$MNT/vm" >/dev/null
        echo lists-403 >fault
        for _ in 1 2 3; do
                run ! ls "$MNT/ct"
        done
        [ "$(grep -cF 'ct: cannot be listed: the server refuses to give it (403 Told)' "$LOG")" -eq 1 ]
        # What was listed already is shown.
        wait_for 60 eval 'ls "$MNT/vm" && grep -q "store/: vm: cannot be listed: .*(403 Told)" "$LOG"'
        [ "$(names_in "$MNT/vm")" = 100 ]
        rm fault
        wait_for 60 ls "$MNT/ct"
        echo drop >fault
        run ! ls "$MNT/$CONTAINER"
        run ! ls "$MNT/$CONTAINER"
        [ "$(grep -c "$CONTAINER: cannot be listed: " "$LOG")" -le 1 ]
}

@test "the credentials of a datastore's bucket stay with the processes that fetch, which end with the mount" {
        local pid fetcher children

        make_store
        upload
        start_vmafs s3://ok/store/
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
        fetcher=$(fetcher_of "$DAEMON")
        children=$(pgrep -r R,S,D -P "$fetcher")
        [ -n "$children" ]
        for pid in "$DAEMON" "$fetcher" $children; do
                [ "$(grep -ca bPxRfiCY "/proc/$pid/environ" "/proc/$pid/cmdline" | grep -c ':0$')" -eq 2 ]
        done
        # What one of them was for, another one does.
        # shellcheck disable=SC2086 # words
        kill -9 $children
        cmp "$MNT/$CONTAINER/root/other" "$MNT/$CONTAINER/root/etc/passwd"
        children=$(pgrep -r R,S,D -P "$fetcher")
        kill -9 "$DAEMON"
        for pid in "$fetcher" $children; do
                wait_for 60 has_ended "$pid"
        done
}

@test "verbs refuse a datastore in a bucket" {
        local verb what

        make_store
        upload
        run -1 --separate-stderr "$VMAFS" info s3://ok/store/
        one_line_says 'is a datastore of Proxmox Backup Server in a bucket, which only vmafs mount reads'
        for verb in verify index map extract; do
                mapfile -t what < <([ $verb != map ] || echo disk-a.raw)
                run -2 --separate-stderr "$VMAFS" $verb s3://ok/store/ "${what[@]}"
                one_line_says 's3://ok/store/: is a folder'
        done
}
