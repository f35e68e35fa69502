# SPDX-License-Identifier: GPL-2.0-or-later
# A datastore of Proxmox Backup Server, mounted as a tree.
# shellcheck disable=SC2154 # what run sets
load helpers
load datastore
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_disk image 1048576 0-2 40-99 200-200
}

@test "the genuine datastore has every disk and file with its SHA-256, plain and encrypted" {
        local store options path want got

        reference_dir
        tar -xf <(zstd -dc "$REFERENCE/pbs/genuine.tar.zst")
        echo secret >password
        for store in plain crypt; do
                options=direct_io
                [ "$store" = plain ] || options=keyfile=gf/keys/scrypt.key,passfile=password
                start_vmafs "gf/$store" -o "$options"
                while read -r path want; do
                        case $path in
                        *.img.fidx)
                                path=$(dirname "$path")/disk-$(basename "$path" .img.fidx).raw
                                ;;
                        *.blob) path=${path%.blob} ;;
                        *.pcat1.didx) path=${path%.didx} ;;
                        *) continue ;; # trees: the next test
                        esac
                        got=$(sha "$MNT/$path")
                        [ "$got" = "$want" ]
                done < <(jq -r ".flat.$store | to_entries[] | \"\(.key) \(.value.sha256)\"" gf/EXPECT.json)
                umount "$MNT"
        done
}

@test "trees of both versions and of an encrypted archive are the same, and as they were packed" {
        local root

        reference_dir
        tar -xf <(zstd -dc "$REFERENCE/pbs/genuine.tar.zst")
        echo secret >password
        start_vmafs gf/plain
        root=$MNT/ct/101/2026-02-01T00:00:00Z/root
        cp -a "$root" one
        cp -a "$MNT/ns/a/ns/b/host/h/2026-02-01T00:00:00Z/root" two
        umount "$MNT"
        start_vmafs gf/crypt -o keyfile=gf/keys/scrypt.key,passfile=password
        cp -a "$MNT/$FIRST/root" three
        for root in two three; do
                diff -r --no-dereference --exclude=fifo one "$root"
                diff <(cd one && find . -printf '%p %y %m %s %T@ %l\n' | sort) \
                        <(cd "$root" && find . -printf '%p %y %m %s %T@ %l\n' | sort)
        done
        [ "$(stat -c %a one/a/b/text)" = 4750 ]
        [ "$(readlink one/link)" = a/b ]
        cmp one/a/big one/z-hardlink
}

@test "a datastore is shown by namespace, type, group and snapshot, with disks that are sparse" {
        make_store
        touch ds/vm/notes ds/vm/100/owner
        mkdir ds/lost+found ds/vm/.hidden ds/vm/100/other ds/vm/100/2026-02-30T00:00:00Z
        ln -s vm ds/ct/linked
        start_vmafs ds
        [ "$(names_in "$MNT")" = "$(printf 'ct\nhost\nns\nvm')" ]
        [ "$(names_in "$MNT/vm")" = 100 ]
        [ "$(names_in "$MNT/ct")" = 101 ]
        [ "$(names_in "$MNT/vm/100")" = "$(printf '%s\n%s' "${FIRST##*/}" "${SECOND##*/}")" ]
        [ "$(names_in "$MNT/$FIRST")" = "$(printf 'disk-drive-scsi0.raw\nqemu-server.conf')" ]
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
        cmp "$MNT/ns/a/$FIRST/disk-drive-scsi0.raw" image
        # In chunks of 64 KiB: 0, 2 to 6, 12.
        diff <(holes "$MNT/$FIRST/disk-drive-scsi0.raw") <(printf '0 65536\n131072 327680\n786432 65536\n')
        [ "$(stat -c %b "$MNT/$FIRST/disk-drive-scsi0.raw")" -eq $((7 * 65536 / 512)) ]
        [ "$(stat -c %Y "$MNT/$FIRST/disk-drive-scsi0.raw")" -eq "$(date -d 2026-02-01T00:00:00Z +%s)" ]
        [ "$(getfattr --only-values -n user.vmafs.device "$MNT/$FIRST/disk-drive-scsi0.raw")" = drive-scsi0 ]
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = pbs ]
        grep -qx 'name: web01' "$MNT/$FIRST/qemu-server.conf"
        run touch "$MNT/$FIRST/new"
        [[ $output == *"Read-only file system"* ]]
}

@test "a container's files have their owners, modes, links and attributes" {
        local root

        make_store
        start_vmafs ds
        for root in ct/101 host/h; do
                root=$MNT/$root/2026-02-01T00:00:00Z/root
                [ "$(stat -c '%u %g %a' "$root/etc")" = "1000 1001 700" ]
                [ "$(cat "$root/etc/passwd" "$root/link" "$root/other" | sort -u)" = "root:x:0:0" ]
                [ "$(getfattr --only-values -n user.a "$root/x")" = value ]
                [ -p "$root/fifo" ]
                [ "$(stat -c %s "$root/big")" -eq 200000 ]
        done
        cmp "$MNT/ct/101/2026-02-01T00:00:00Z/root/big" "$MNT/host/h/2026-02-01T00:00:00Z/root/big"
}

# An access control list as hexadecimal digits: acl_of TYPE FILE
acl_of() {
        getfattr --absolute-names --only-values -n "system.posix_acl_$1" "$2" | xxd -p -c 256
}

@test "a container's access control lists are shown, and decide who may read" {
        local root

        need_root
        make_store
        let_others_pass
        mount_vmafs ds -o allow_other,umask=022
        for root in ct/101 host/h; do
                root=$MNT/$root/2026-02-01T00:00:00Z/root
                # The version; owner rw-, users 1500 r--, 2000 rw-, group r--, group 3000 r--, mask rw-, others ---.
                [ "$(acl_of access "$root/acl")" = 0200000001000600ffffffff02000400dc05000002000600d007000004000400ffffffff08000400b80b000010000600ffffffff20000000ffffffff ]
                [ "$(acl_of default "$root/shared")" = 0200000001000700ffffffff02000700d007000004000500ffffffff08000500b80b000010000700ffffffff20000000ffffffff ]
                [ "$(stat -c %a "$root/acl")" = 660 ]
                run ! getfattr -n system.posix_acl_access "$root/big"
                [ "$(setpriv --reuid=1500 --regid=1500 --clear-groups cat "$root/acl")" = x ]
                [ "$(setpriv --reuid=1501 --regid=3000 --clear-groups cat "$root/acl")" = x ]
                run ! setpriv --reuid=1501 --regid=1501 --clear-groups cat "$root/acl"
        done
        # In a mount that is root's alone nobody else may read; they are shown all the same.
        fusermount3 -u "$MNT"
        mount_vmafs ds
        root=$MNT/ct/101/2026-02-01T00:00:00Z/root
        [ "$(acl_of access "$root/acl")" = 0200000001000600ffffffff02000400dc05000002000600d007000004000400ffffffff08000400b80b000010000600ffffffff20000000ffffffff ]
        [ "$(stat -c %a "$root/acl")" = 660 ]
        run ! setpriv --reuid=1500 --regid=1500 --clear-groups cat "$root/acl"
}

@test "an encrypted datastore needs its key, and says so" {
        make_store --encrypt
        start_vmafs ds
        run cat "$MNT/$FIRST/qemu-server.conf"
        [[ $output == *"Input/output error"* ]]
        run dd if="$MNT/$FIRST/disk-drive-scsi0.raw" of=/dev/null bs=4096 count=1
        [[ $output == *"Input/output error"* ]]
        [[ $(getfattr --only-values -n user.vmafs.error "$MNT/$FIRST/qemu-server.conf") == *keyfile=* ]]
        grep -q 'keyfile=' "$LOG"
        umount "$MNT"
        start_vmafs ds -o keyfile=key
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
        grep -qx 'name: web01' "$MNT/$FIRST/qemu-server.conf"
        diff <(holes "$MNT/$FIRST/disk-drive-scsi0.raw") <(printf '0 65536\n131072 327680\n786432 65536\n')
}

# Runs a command on a terminal on which INPUT is typed: on_terminal INPUT COMMAND
on_terminal() {
        printf '%s' "$1" | script -qec "$2" /dev/null | tr -d '\r'
        return "${PIPESTATUS[1]}"
}

@test "the password of a key is asked for on a terminal, and not shown" {
        local path

        reference_dir
        tar -xf <(zstd -dc "$REFERENCE/pbs/genuine.tar.zst")
        path=$(jq -r '.flat.crypt | keys[] | select(endswith(".blob"))' gf/EXPECT.json | head -n 1)
        run on_terminal $'secret\n' "'$VMAFS' extract -O --keyfile=gf/keys/scrypt.key gf/crypt '$path' >content"
        [ "$status" -eq 0 ]
        [[ $output == *"password of gf/keys/scrypt.key: "* ]]
        [ "$(sha content)" = "$(jq -r --arg p "$path" '.flat.crypt[$p].sha256' gf/EXPECT.json)" ]
        run on_terminal $'wrong\n' "'$VMAFS' verify --keyfile=gf/keys/scrypt.key gf/crypt"
        [ "$status" -eq 2 ]
        [[ $output == *"the password does not open the key"* ]]
        # A mount asks before it goes to the background.
        mkdir mnt
        on_terminal $'secret\n' "'$VMAFS' gf/crypt mnt -o keyfile=gf/keys/scrypt.key"
        sha256sum "mnt/${path%.blob}"
        umount mnt
        # Who interrupts it gets the terminal back as it was.
        mkfifo keys
        exec 7<>keys
        script -fqec "'$VMAFS' verify --keyfile=gf/keys/scrypt.key gf/crypt || stty -a" /dev/null <&7 >typescript 3>&- 7>&- &
        wait_for 60 grep -q 'password of' typescript
        printf '\x03' >&7
        wait_for 60 grep -q 'no password was given' typescript
        wait_for 60 grep -qE ' echo ' typescript
        exec 7>&-
        # Where nobody is to be asked.
        run --separate-stderr "$VMAFS" verify --keyfile=gf/keys/scrypt.key gf/crypt </dev/null
        [ "$status" -eq 2 ]
        one_line_says "passfile=PATH"
}

@test "key files that are none are refused, with the file's name" {
        make_store
        mkdir mnt
        echo '{}' >wrong
        run "$VMAFS" ds mnt -o keyfile=wrong
        [ "$status" -ne 0 ]
        [[ $output == *"no key file"* ]]
        run "$VMAFS" ds mnt -o keyfile=absent
        [ "$status" -eq 2 ]
        [[ $output == *"keyfile absent: No such file"* ]]
        truncate -s 1G huge
        run "$VMAFS" ds mnt -o keyfile=huge
        [ "$status" -ne 0 ]
        [[ $output == *"keyfile huge: has more than 65536 bytes"* ]]
        run ! mountpoint -q mnt
}

@test "a missing chunk costs its range, and a wrong one too, and both are named" {
        local lost wrong

        make_store
        lost=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        wrong=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 5)
        rm "$lost"
        cp "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 4)" "$wrong"
        start_vmafs ds
        run dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=65536 skip=3 count=1 of=/dev/null
        [ "$status" -ne 0 ]
        grep -q "chunk $(basename "$lost") is missing" "$LOG"
        run dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=65536 skip=5 count=1 of=/dev/null
        [ "$status" -ne 0 ]
        grep -q "chunk $(basename "$wrong") does not hold what its name says" "$LOG"
        cmp <(dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=65536 count=3 status=none) <(head -c 196608 image)
        cmp <(dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=65536 skip=4 count=1 status=none) \
                <(dd if=image bs=65536 skip=4 count=1 status=none)
        cmp <(tail -c +393217 "$MNT/$FIRST/disk-drive-scsi0.raw") <(tail -c +393217 image)
}

@test "a snapshot without a manifest, or with a damaged one, is empty and says why" {
        make_store
        rm "ds/$FIRST/index.json.blob"
        printf x | dd of="ds/$SECOND/index.json.blob" bs=1 seek=20 conv=notrunc status=none
        start_vmafs ds
        [ -z "$(names_in "$MNT/$FIRST")" ]
        [[ $(getfattr --only-values -n user.vmafs.error "$MNT/$FIRST") == *"not finished"* ]]
        [ -z "$(names_in "$MNT/$SECOND")" ]
        [[ $(getfattr --only-values -n user.vmafs.error "$MNT/$SECOND") == *"checksum"* ]]
        cmp "$MNT/ns/a/$FIRST/disk-drive-scsi0.raw" image
}

@test "an index that is not the manifest's is not believed" {
        make_store
        printf x | dd of="ds/$FIRST/drive-scsi0.img.fidx" bs=1 seek=4100 conv=notrunc status=none
        start_vmafs ds
        run dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=4096 count=1 of=/dev/null
        [ "$status" -ne 0 ]
        grep -q 'not the one that the manifest names' "$LOG"
}

shows() {
        [ "$(names_in "$MNT/vm/100" | wc -l)" -eq "$1" ]
}

is_absent() {
        ! stat "$1" &>/dev/null
}

@test "snapshots that come and go are seen, and one that is pruned while it is read gives no wrong byte" {
        make_store
        start_vmafs ds
        shows 2
        cp -r "ds/$FIRST" ds/vm/100/tmp
        mv ds/vm/100/tmp ds/vm/100/2026-02-03T00:00:00Z
        wait_for 60 shows 3
        cmp "$MNT/vm/100/2026-02-03T00:00:00Z/disk-drive-scsi0.raw" image
        exec 5<"$MNT/$SECOND/disk-drive-scsi0.raw"
        head -c 4096 <&5 | cmp - <(head -c 4096 image)
        rm -r "ds/$SECOND"
        wait_for 60 shows 2
        wait_for 60 is_absent "$MNT/$SECOND"
        # Whatever can still be read of it is right.
        cat <&5 >rest 2>/dev/null || true
        cmp -n "$(stat -c %s rest)" rest <(tail -c +4097 image)
        exec 5<&-
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
}

# All times but those that looking changes: a folder's last access.
state() {
        find ds \( -type f -printf '%p %i %s %T@ %C@ %A@\n' -o -printf '%p %i %s %T@ %C@\n' \) | sort
}

@test "more snapshots than files may be open are shown, read and read again" {
        local i

        MANY=3x40 make_store
        ulimit -Sn 64
        start_vmafs ds
        ulimit -Sn "$(ulimit -Hn)"
        [ "$(find "$MNT/vm" -name disk-drive-scsi0.raw | wc -l)" -eq 122 ]
        for i in 1 2; do
                cat "$MNT"/vm/100?/*/qemu-server.conf | grep -c web01 >count
                [ "$(cat count)" -eq 120 ]
                for disk in "$MNT"/vm/100?/*/disk-drive-scsi0.raw; do
                        cmp -n 4096 "$disk" image
                done
        done
        [ "$(find "/proc/$DAEMON/fd" -type l | wc -l)" -le 64 ]
}

# Has the daemon read more than SIZE bytes since it had read START?
has_read() {
        [ "$(($(awk '/^rchar:/ { print $2 }' "/proc/$DAEMON/io") - $2))" -gt "$1" ]
}

@test "the chunks that come next are decoded before their reader asks" {
        noise 1M 9 >image
        make_store
        start_vmafs ds -o direct_io
        cat "$MNT/$FIRST/qemu-server.conf" >conf
        start=$(awk '/^rchar:/ { print $2 }' "/proc/$DAEMON/io")
        dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=64K count=2 status=none | cmp -n 131072 - image
        # These two chunks and the disk's table are less.
        wait_for 60 has_read $((3 * 65536)) "$start"
}

@test "a disk whose snapshot was replaced while it was closed gives no byte of the other one" {
        MANY=1x40 make_store
        ulimit -Sn 64
        start_vmafs ds
        ulimit -Sn "$(ulimit -Hn)"
        exec 5<"$MNT/$SECOND/disk-drive-scsi0.raw"
        find "$MNT/vm/1000" >/dev/null
        # Another file under the same name; the other indexes have taken the place of the open one.
        cp "ds/$SECOND/drive-scsi0.img.fidx" new
        mv new "ds/$SECOND/drive-scsi0.img.fidx"
        run dd bs=4096 count=1 of=/dev/null <&5
        [ "$status" -ne 0 ]
        exec 5<&-
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
}

@test "a bucket that was copied to disk is a datastore, and a cache's empty chunks are named" {
        local chunk

        make_store
        mkdir bucket
        mv ds/.chunks bucket/
        mv ds bucket/.cnt
        touch bucket/.in-use bucket/.cnt/vm/100/.namespace
        start_vmafs bucket
        cmp "$MNT/$FIRST/disk-drive-scsi0.raw" image
        cmp "$MNT/ns/a/$FIRST/disk-drive-scsi0.raw" image
        umount "$MNT"
        run "$VMAFS" info bucket/vm/100
        [ "${lines[2]}" = "2 snapshots" ]
        "$VMAFS" verify "bucket/.cnt/$FIRST"
        chunk=$(chunk_of "bucket/.cnt/$FIRST/drive-scsi0.img.fidx" 3)
        truncate -s 0 "bucket/${chunk#ds/}"
        run "$VMAFS" verify "bucket/$FIRST"
        [ "$status" -eq 1 ]
        [[ $output == *"is empty: a datastore in an object store keeps such files for chunks that it has not fetched"* ]]
}

@test "chunks behind a link out of the datastore are refused with a word" {
        local chunk folder

        make_store
        chunk=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        folder=$(dirname "$chunk")
        mkdir elsewhere
        mv "$folder" elsewhere/
        ln -s "$PWD/elsewhere/$(basename "$folder")" "$folder"
        run --separate-stderr "$VMAFS" verify "ds/$FIRST"
        # Without the sandbox, or in it where the kernel has no Landlock, it is simply followed.
        [ "$status" -eq 0 ] || [[ $output == *"is in a folder that is a link out of .chunks"* ]]
}

@test "nothing in the datastore is changed by reading it" {
        make_store
        find ds -exec touch -h -d 2026-01-01 {} +
        state >before
        start_vmafs ds
        tar -cf /dev/null -C "$MNT" .
        umount "$MNT"
        diff before <(state)
}

# Compares each disk of the group until ROUNDS are over: what can be read of it must be one image or the other.
# A file that has gone, or an error, is no wrong byte: read_group ROUNDS
read_group() {
        local disk rc

        for _ in $(seq "$1"); do
                for disk in "$MNT"/vm/100/*/disk-drive-scsi0.raw; do
                        rc=0
                        cmp -s "$disk" image 2>/dev/null || rc=$?
                        if [ "$rc" -eq 1 ]; then
                                cmp -s "$disk" later 2>/dev/null || [ $? -ne 1 ] || echo "$disk" >>wrong
                        fi
                done
                cmp "$MNT/ns/a/$FIRST/disk-drive-scsi0.raw" image || echo ns >>wrong
        done
}

@test "sixteen readers of a datastore that is pruned and collected get no wrong byte" {
        local i chunk snapshot readers=()

        cp image later
        noise 262144 7 | dd of=later bs=65536 seek=8 conv=notrunc status=none
        LATER=later make_store
        start_vmafs ds -o cache=1M
        for i in {1..16}; do
                read_group 12 3>&- &
                readers+=($!)
        done
        for i in {1..20}; do
                snapshot=ds/vm/100/2026-03-01T00:00:$((10 + i))Z
                cp -r "ds/$SECOND" ds/vm/100/tmp
                mv ds/vm/100/tmp "$snapshot"
                # A chunk that is found to be wrong is renamed, and comes again; in another encoding, too.
                chunk=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 0)
                cp "$chunk" ds/tmp
                mv ds/tmp "$chunk"
                rm -rf "ds/vm/100/2026-03-01T00:00:$((9 + i))Z"
        done
        # All that has the other image's chunks goes, and then these.
        snapshots=("ds/$SECOND" "$snapshot")
        chunks=()
        for i in 8 9 10 11; do
                chunks+=("$(chunk_of "ds/$SECOND/drive-scsi0.img.fidx" "$i")")
        done
        rm -r "${snapshots[@]}"
        rm "${chunks[@]}"
        for i in "${readers[@]}"; do
                wait "$i"
        done
        [ ! -e wrong ]
        [ "$(names_in "$MNT/vm/100")" = "${FIRST##*/}" ]
        umount "$MNT"
        wait "$DAEMON"
}

@test "FIFOs and links in the place of a datastore's files are not opened" {
        local name

        make_store
        mv ds/ct/101/2026-02-01T00:00:00Z/root.pxar.didx moved
        ln -s "$PWD/moved" ds/ct/101/2026-02-01T00:00:00Z/root.pxar.didx
        for name in "$FIRST/drive-scsi0.img.fidx" "$FIRST/qemu-server.conf.blob" "$SECOND/index.json.blob" \
                host/h/2026-02-01T00:00:00Z/root.mpxar.didx; do
                rm "ds/$name"
                mkfifo "ds/$name"
        done
        start_vmafs ds
        # Whatever waited for a writer would wait for ever.
        timeout 60 find "$MNT" -type f -exec cat {} + >/dev/null 2>&1 || true
        run timeout 60 ls -lR "$MNT"
        [ "$status" -ne 124 ]
        [ -z "$(names_in "$MNT/$SECOND")" ]
        [ -z "$(names_in "$MNT/$CONTAINER/root")" ]
        run timeout 60 cat "$MNT/$FIRST/disk-drive-scsi0.raw"
        [ "$status" -eq 1 ]
        cmp "$MNT/ns/a/$FIRST/disk-drive-scsi0.raw" image
        run timeout 60 "$VMAFS" verify ds
        [ "$status" -eq 1 ]
        grep -q "^$CONTAINER/root.pxar.didx: " <<<"$output"
        grep -q "^$FIRST/drive-scsi0.img.fidx: " <<<"$output"
        timeout 60 "$VMAFS" info ds
}

# How many KiB of memory has the process taken at most?
peak_of() {
        awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"
}

@test "a tree a million folders deep is walked, and extracted as far as can be" {
        DEEP=1000000 make_store
        start_vmafs ds
        # shellcheck disable=SC2016 # for perl
        perl -e 'chdir $ARGV[0] or die "$!"; for (1 .. 5000) { chdir "d" or die "$_: $!" }' "$MNT/ct/102/2026-02-01T00:00:00Z/root"
        # A sanitizer has memory of its own.
        grep -qaE '__(asan|tsan)_init' "$VMAFS" || [ "$(peak_of "$DAEMON")" -lt $((64 * 1024)) ]
        umount "$MNT"
        wait "$DAEMON"
        mkdir out
        run --separate-stderr "$VMAFS" extract -C out ds/ct/102/2026-02-01T00:00:00Z
        [ "$status" -eq 1 ]
        [[ $stderr == *"/d: is in more folders than can be made"* ]]
        [[ $stderr == *"is incomplete: what is lost is not in root.partial"* ]]
        [ -d out/root.partial/d/d/d/d ]
}

@test "info lists the snapshots of a datastore, from their manifests alone" {
        make_store
        rm -r ds/.chunks/*
        rm "ds/$SECOND/index.json.blob"
        run --separate-stderr "$VMAFS" info ds
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "ct/101/2026-02-01T00:00:00Z "*" 1 tree  a note" ]]
        [[ ${lines[2]} == "$FIRST "*"1.0 MiB  1 disk  1 file  a note" ]]
        [[ ${lines[3]} == "$SECOND "*"is not finished" ]]
        [[ ${lines[4]} == "ns/a/$FIRST "* ]]
        [ "${lines[5]}" = "5 snapshots" ]
        "$VMAFS" info --json ds >json
        jq -e '[.snapshots[] | select(.finished)] | length == 4' json
        jq -e --arg path "$FIRST" '.snapshots[] | select(.path == $path) |
                [.ctime, .size, .disks, .trees, .files, .encrypted, .error] ==
                [1769904000, 1048576, 1, 0, 1, false, null]' json
}

@test "verify of a sound datastore reads each chunk once" {
        make_store
        run --separate-stderr "$VMAFS" verify ds
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "ds: sound" ]
        "$VMAFS" verify --json ds >json
        jq -e '.sound and (.snapshots | length == 5) and all(.snapshots[]; .sound)' json
        [ "$(jq .chunks json)" -le "$(find ds/.chunks -type f | wc -l)" ]
}

@test "verify names each snapshot that a missing or wrong chunk hurts, and the ranges" {
        local lost

        make_store
        lost=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        rm "$lost"
        printf x | dd of="$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 5)" bs=1 seek=20 conv=notrunc status=none
        printf x | dd of="ds/$SECOND/qemu-server.conf.blob" bs=1 seek=14 conv=notrunc status=none
        run --separate-stderr "$VMAFS" verify ds
        [ "$status" -eq 1 ]
        grep -qx "$FIRST/drive-scsi0.img.fidx: bytes 196608 to 262143 are lost: chunk $(basename "$lost") is missing" <<<"$output"
        grep -q "^$SECOND/drive-scsi0.img.fidx: bytes 327680 to 393215 are lost: chunk .* has a wrong checksum" <<<"$output"
        grep -q "^ns/a/$FIRST/drive-scsi0.img.fidx: bytes 196608 " <<<"$output"
        grep -qx "$SECOND/qemu-server.conf.blob: is not the file that the manifest names" <<<"$output"
        [ "${lines[-1]}" = "ds: DAMAGED" ]
        run "$VMAFS" verify --json ds
        [ "$status" -eq 1 ]
        jq -e '.sound == false and ([.snapshots[] | select(.sound | not)] | length == 3)' <<<"$output"
        jq -e --arg path "$FIRST" '.snapshots[] | select(.path == $path) | .damage[0] |
                [.file, .start, .length] == ["drive-scsi0.img.fidx", 196608, 65536]' <<<"$output"
}

@test "info and verify take a group, a namespace or a snapshot by its path" {
        local lost

        make_store
        ln -s ds/vm linked
        lost=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        rm "$lost"
        for path in ds/vm/100 "$PWD/ds/vm/100/" linked/100; do
                run --separate-stderr "$VMAFS" info "$path"
                [ "$status" -eq 0 ]
                [ "${#lines[@]}" -eq 3 ]
                [[ ${lines[0]} == "$FIRST "* && ${lines[1]} == "$SECOND "* ]]
        done
        run "$VMAFS" info "ds/ns/a"
        [[ ${lines[0]} == "ns/a/$FIRST "* && ${lines[1]} == "1 snapshot" ]]
        run "$VMAFS" verify ds/ct
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "1 snapshot, "* && ${lines[1]} == "ds/ct: sound" ]]
        run "$VMAFS" verify "ds/$SECOND"
        [ "$status" -eq 1 ]
        [ "${lines[0]}" = "$SECOND/drive-scsi0.img.fidx: bytes 196608 to 262143 are lost: chunk $(basename "$lost") is missing" ]
        "$VMAFS" verify --json "ds/ct/101" >json
        jq -e '[.archive, .sound, (.snapshots | length)] == ["ds/ct/101", true, 1]' json
        # What is no place of snapshots.
        run "$VMAFS" verify "ds/$SECOND/disk-drive-scsi0.raw"
        [ "$status" -eq 2 ]
        [[ $output == *"neither a snapshot nor a folder of snapshots"* ]]
        run "$VMAFS" info ds/vm/101
        [ "$status" -eq 2 ]
        [[ $output == "vmafs: ds/vm/101: No such file or directory" ]]
        # Other files beside a datastore's own are not in it.
        mkvma -o ds/other.vma --device drive-scsi0=image
        run "$VMAFS" info ds/other.vma
        [[ $output == *"format:       vma"* ]]
}

@test "verify leaves the client's benchmark alone" {
        make_store
        mkdir -p ds/host/benchmark
        cp -r "ds/ct/101/2026-02-01T00:00:00Z" ds/host/benchmark/
        rm "ds/host/benchmark/2026-02-01T00:00:00Z/root.pxar.didx"
        "$VMAFS" verify ds
}

@test "verify of an encrypted datastore proves all with the key, and says what it could not without" {
        make_store --encrypt
        run --separate-stderr "$VMAFS" verify ds
        [ "$status" -eq 0 ]
        [[ $output == *"encrypted, of which only the checksums were compared"* ]]
        run --separate-stderr "$VMAFS" verify --keyfile=key ds
        [ "$status" -eq 0 ]
        [[ $output != *"only the checksums"* ]]
        # Sound as a blob, and not what its name says.
        cp "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)" "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 5)"
        "$VMAFS" verify ds
        run "$VMAFS" verify --keyfile=key ds
        [ "$status" -eq 1 ]
        [[ $output == *"does not hold what its name says"* ]]
}

# shellcheck disable=SC2153 # ROOT is from helpers.bash
# The keys that the manual lists for VERB of a datastore, sorted: documented VERB
documented() {
        awk -v verb=".Cm $1" '
                /^of a datastore prints/ && before == verb { found = 1 }
                found && /^\.Ed/ { exit }
                found && /^[ {]/ { print }
                { before = $0 }' "$ROOT/man/vmafs.1" | grep -oE '"[a-z]+"' | tr -d '"' | sort -u
}

@test "the JSON of info and verify has the keys of the manual" {
        local verb

        make_store
        rm "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)" "ds/$SECOND/index.json.blob"
        for verb in info verify; do
                "$VMAFS" "$verb" --json ds >json || [ "$verb" = verify ]
                diff <(documented "$verb") <(jq -r '.. | objects | keys[]' json | sort -u)
        done
}
