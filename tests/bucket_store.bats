# SPDX-License-Identifier: GPL-2.0-or-later
# A datastore of Proxmox Backup Server in an S3 bucket: it is as one on disk, whatever the server does.
# The server is tests/tools/faultserver.c.
# shellcheck disable=SC2030,SC2031,SC2154 # what run sets; a test is a process
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
        for url in s3://ok/store/ s3://ok/copy/ s3://ok/store; do
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

is_told_of_vm() {
        ls "$MNT/vm" >/dev/null
        grep -q 'store/: vm: cannot be listed: .*(403 Told)' "$LOG"
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
        wait_for 60 is_told_of_vm
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

# What VERB prints of the datastore near, and of the one in the bucket, and its status: same STATUS BELOW VERB [WORD ...]
same() {
        "$VMAFS" "${@:3}" "near$2" >near.txt 2>&1 || [ $? -eq "$1" ]
        run "-$1" "$VMAFS" "${@:3}" "s3://ok/store/${2#/}"
        echo "${output//"s3://ok/store"/near}" | diff near.txt -
}

@test "info and verify of a datastore in a bucket are those of one on disk, also of a part of it" {
        local where verb

        make_store
        rm "ds/$SECOND/index.json.blob"
        cp -r ds near
        upload
        for where in "" vm/ vm vm/100/ vm/100 ns/a/ ns/a "$FIRST" "$FIRST/" "$CONTAINER"; do
                for verb in info "info --json" "info --partitions" verify "verify --json"; do
                        # shellcheck disable=SC2086 # words
                        same 0 "/$where" $verb
                done
        done
        "$VMAFS" info s3://ok/store/.cnt/vm/100/ | diff - <("$VMAFS" info near/vm/100)
        same 2 /vm/101/ info
        same 2 "/$FIRST/disk-drive-scsi0.raw" verify
        run -2 --separate-stderr "$VMAFS" index s3://ok/store/
        one_line_says 's3://ok/store/: is a datastore, which needs no index'
}

@test "a datastore in a bucket takes no spool, and says so" {
        make_store
        upload
        mkdir none
        run -2 --separate-stderr "$VMAFS" verify --spool="$PWD/spool,64M" s3://ok/store/
        one_line_says 's3://ok/store/: --spool is of archives, not of a datastore'
        run -2 --separate-stderr "$VMAFS" s3://ok/store/ none -o "spool=$PWD/spool,64M"
        one_line_says 's3://ok/store/: -o spool is of archives, not of a datastore'
}

@test "verify of a datastore in a bucket names what is missing or wrong, as on disk" {
        local wrong

        make_store
        rm "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)"
        wrong=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 5)
        cp "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 4)" "$wrong"
        printf x | dd of="ds/$SECOND/qemu-server.conf.blob" bs=1 seek=14 conv=notrunc status=none
        cp -r ds near
        upload
        same 1 / verify
        [[ $output == *'bytes 196608 to 262143 are lost'* ]]
        same 1 / verify --json
        same 1 "/$SECOND" verify
}

@test "map and extract of a datastore in a bucket are those of one on disk" {
        local out

        printf x | dd of=image bs=1 seek=300000 conv=notrunc status=none
        cp image later
        printf x | dd of=later bs=1 seek=200000 conv=notrunc status=none
        LATER=later make_store
        cp -r ds near
        upload
        mkdir out near.out
        same 0 "/$FIRST/drive-scsi0" map
        same 0 "/$FIRST/disk-drive-scsi0.raw" map --output=json
        same 0 "/$SECOND/drive-scsi0" map --changed-since="${FIRST##*/}"
        same 2 "/$FIRST/none" map
        "$VMAFS" map --output=json s3://ok/store/ "$FIRST/drive-scsi0" |
                diff - <("$VMAFS" map --output=json near "$FIRST/drive-scsi0")
        "$VMAFS" extract -O "s3://ok/store/$FIRST/disk-drive-scsi0.raw" | cmp - image
        "$VMAFS" extract -O s3://ok/store/ "$SECOND/drive-scsi0" | cmp - later
        "$VMAFS" extract -O s3://ok/store/ "$CONTAINER/root/other" | cmp - <("$VMAFS" extract -O near "$CONTAINER/root/other")
        for out in "$FIRST" "$CONTAINER"; do
                "$VMAFS" extract -C out "s3://ok/store/$out"
                "$VMAFS" extract -C near.out "near/$out"
        done
        content out | diff - <(content near.out)
        [ "$(stat -c %b out/disk-drive-scsi0.raw)" -lt $((1048576 / 512)) ]
        run -2 --separate-stderr "$VMAFS" extract -C out s3://ok/store/ "$FIRST/none"
        one_line_says 'is not in the snapshot'
}

@test "verbs on an encrypted datastore in a bucket need its key" {
        make_store --encrypt
        cp -r ds near
        upload
        same 0 / verify
        same 0 / verify --keyfile=key
        run -1 --separate-stderr "$VMAFS" extract -O "s3://ok/store/$FIRST/disk-drive-scsi0.raw"
        "$VMAFS" extract --keyfile=key -O "s3://ok/store/$FIRST/disk-drive-scsi0.raw" | cmp - image
}

@test "a server that gives nothing of a datastore is an error of its verbs, and no damage" {
        make_store
        cp -r ds near
        upload
        echo drop >fault
        for verb in info verify extract map; do
                run -1 --separate-stderr "$VMAFS" "$verb" --timeout=1 "s3://ok/store/$FIRST"
                one_line_says "s3://ok/store/$FIRST: the connection to the server fails"
        done
        rm fault
}

@test "with a server that fails while a datastore is verified or extracted, nothing is called damaged" {
        make_store
        upload
        mkdir out
        # The lists and the snapshots' files are given, and the chunks are not.
        echo chunks-drop >fault
        run -1 --separate-stderr "$VMAFS" verify --timeout=1 s3://ok/store/
        one_line_says "s3://ok/store/: chunk "
        [[ $stderr == *"cannot be fetched: the connection to the server fails"* ]]
        [ -z "$output" ]
        run -1 --separate-stderr "$VMAFS" extract -C out --timeout=1 s3://ok/store/ "$FIRST/drive-scsi0"
        one_line_says "out/disk-drive-scsi0.raw.partial: is incomplete: chunk "
        [[ $stderr == *'cannot be fetched: the connection to the server fails'* ]]
        run -1 --separate-stderr "$VMAFS" extract -O --timeout=1 s3://ok/store/ "$FIRST/drive-scsi0"
        one_line_says "$FIRST/drive-scsi0: chunk "
        [[ $stderr == *'cannot be fetched: the connection to the server fails'* ]]
}

@test "the verbs' processes that read a datastore in a bucket have no secret" {
        local pid verb

        make_store
        upload
        mkfifo out
        "$VMAFS" extract -O "s3://ok/store/$FIRST/disk-drive-scsi0.raw" >out &
        verb=$!
        exec {fifo}<out
        wait_for 60 pgrep -P "$verb" -x fetcher
        for pid in "$verb" $(pgrep -P "$verb"); do
                run ! grep -qa bPxRfiCY "/proc/$pid/environ" "/proc/$pid/cmdline"
        done
        cat <&"$fifo" | cmp - image
        exec {fifo}<&-
        wait "$verb"
}
