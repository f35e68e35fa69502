# SPDX-License-Identifier: GPL-2.0-or-later
# extract and map of what is in a datastore.
# shellcheck disable=SC2154 # what run sets
load helpers
load datastore
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_disk image 1048576 0-2 40-99 200-200
        mkdir out
}

# All that is recorded of the files below FOLDER: attributes FOLDER
attributes() {
        (cd "$1" && find . -printf '%p %y %m %U %G %T@ %l\n' | sort &&
                find . ! -type l -print0 | sort -z | xargs -0 getfattr -d -m - 2>/dev/null)
}

# Are the trees A and B alike, with all that is recorded? same_trees A B
same_trees() {
        diff <(cd "$1" && find . -type f -exec sha256sum {} + | sort) \
                <(cd "$2" && find . -type f -exec sha256sum {} + | sort)
        diff <(attributes "$1") <(attributes "$2")
}

@test "extract takes a disk of a datastore by each of its names, sparse, at its exact size" {
        local name

        make_store
        for name in disk-drive-scsi0.raw drive-scsi0 drive-scsi0.img drive-scsi0.img.fidx; do
                "$VMAFS" extract -C out ds "$FIRST/$name"
                cmp out/disk-drive-scsi0.raw image
                [ "$(stat -c %b out/disk-drive-scsi0.raw)" -lt $((1048576 / 512)) ]
                rm out/disk-drive-scsi0.raw
        done
        [ -z "$(names_in out)" ]
        # From the snapshot's folder, and to standard output.
        "$VMAFS" extract -C out "ds/$FIRST" qemu-server.conf
        grep -qx 'name: web01' out/qemu-server.conf
        "$VMAFS" extract -O "ds/$FIRST/disk-drive-scsi0.raw" | cmp - image
        "$VMAFS" extract -O ds "$FIRST/qemu-server.conf.blob" | cmp - out/qemu-server.conf
}

@test "extract takes a whole snapshot, and replaces nothing that it was not told to" {
        make_store
        "$VMAFS" extract -C out "ds/$FIRST"
        [ "$(names_in out)" = "$(printf 'disk-drive-scsi0.raw\nqemu-server.conf')" ]
        cmp out/disk-drive-scsi0.raw image
        echo mine >out/qemu-server.conf
        run --separate-stderr "$VMAFS" extract -C out "ds/$FIRST" qemu-server.conf
        [ "$status" -eq 1 ]
        one_line_says "out/qemu-server.conf: is there already; --force replaces it"
        [ "$(cat out/qemu-server.conf)" = mine ]
        "$VMAFS" extract --force -C out "ds/$FIRST" qemu-server.conf
        grep -qx 'name: web01' out/qemu-server.conf
}

@test "extract says what is not in a datastore, and needs one snapshot" {
        make_store
        run --separate-stderr "$VMAFS" extract -C out ds
        [ "$status" -eq 2 ]
        one_line_says "vmafs info lists the snapshots"
        run --separate-stderr "$VMAFS" extract -C out ds/vm/100
        [ "$status" -eq 2 ]
        one_line_says "vm/100: is no snapshot"
        run --separate-stderr "$VMAFS" extract -C out ds vm/100/2027-01-01T00:00:00Z
        [ "$status" -eq 2 ]
        run --separate-stderr "$VMAFS" extract -C out ds "$FIRST/other"
        [ "$status" -eq 2 ]
        one_line_says "$FIRST/other: is not in the snapshot"
        run --separate-stderr "$VMAFS" extract -C out ds "$CONTAINER/root/etc/shadow"
        [ "$status" -eq 2 ]
        one_line_says "is not in the snapshot"
        run --separate-stderr "$VMAFS" extract -O ds "$CONTAINER/root/etc"
        [ "$status" -eq 2 ]
        run --separate-stderr "$VMAFS" extract -C absent "ds/$FIRST"
        [ "$status" -eq 2 ]
        [ -z "$(names_in out)" ]
}

@test "extract restores a tree with owners, modes, times, links, devices and attributes" {
        local snapshot

        need_root
        make_store
        start_vmafs ds
        for snapshot in "$CONTAINER" host/h/2026-02-01T00:00:00Z; do
                "$VMAFS" extract -C out "ds/$snapshot"
                same_trees "$MNT/$snapshot/root" out/root
                [ "$(stat -c '%u %g %a' out/root/etc)" = "1000 1001 700" ]
                [ out/root/other -ef out/root/etc/passwd ]
                [ -p out/root/fifo ]
                [ "$(names_in out)" = root ]
                rm -r out/root
        done
}

@test "the genuine trees are extracted as a mount shows them" {
        local snapshot store options

        need_root
        reference_dir
        tar -xf <(zstd -dc "$REFERENCE/pbs/genuine.tar.zst")
        echo secret >password
        for store in plain crypt; do
                options=()
                snapshot=ct/101/2026-02-01T00:00:00Z
                if [ "$store" = crypt ]; then
                        options=(keyfile=gf/keys/scrypt.key passfile=password)
                        snapshot=$FIRST
                fi
                start_vmafs "gf/$store" "${options[@]/#/-o}"
                mkdir "out/$store"
                "$VMAFS" extract -C "out/$store" "${options[@]/#/--}" "gf/$store" "$snapshot/root"
                same_trees "$MNT/$snapshot/root" "out/$store/root"
                [ "out/$store/root/z-hardlink" -ef "out/$store/root/a/big" ]
                umount "$MNT"
        done
}

@test "extract takes a folder or a file of a tree" {
        need_root
        make_store
        "$VMAFS" extract -C out ds "$CONTAINER/root/etc"
        [ "$(stat -c '%u %g %a' out/etc)" = "1000 1001 700" ]
        [ "$(cat out/etc/passwd)" = root:x:0:0 ]
        "$VMAFS" extract -C out ds "$CONTAINER/root/x" "$CONTAINER/root/other" "$CONTAINER/root/link"
        [ "$(getfattr --only-values -n user.a out/x)" = value ]
        [ "$(cat out/other)" = root:x:0:0 ]
        [ "$(readlink out/link)" = etc/passwd ]
        "$VMAFS" extract -O "ds/$CONTAINER/root/etc/passwd" | grep -qx root:x:0:0
        # A folder that is there is left alone, and so is what an earlier run left.
        run --separate-stderr "$VMAFS" extract --force -C out ds "$CONTAINER/root/etc"
        [ "$status" -eq 1 ]
        one_line_says "out/etc: is there already"
        mkdir out/root.partial
        run --separate-stderr "$VMAFS" extract -C out ds "$CONTAINER/root"
        [ "$status" -eq 1 ]
        one_line_says "root.partial: that is there already"
}

@test "a user gets what a user may make of a tree, and one warning" {
        local user=()

        need_root
        make_store
        chmod -R a+rX ds image
        chmod 777 out
        let_others_pass
        user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        run --separate-stderr "${user[@]}" "$VMAFS" extract -C out "ds/$CONTAINER"
        [ "$status" -eq 0 ]
        one_line_says "out: without owners, which only root can set"
        [ "$(cat out/root/etc/passwd)" = root:x:0:0 ]
        [ "$(stat -c '%u %a' out/root/etc)" = "65534 700" ]
        [ "$(getfattr --only-values -n user.a out/root/x)" = value ]
}

@test "what is lost of a tree or a disk is left out and named, and the rest is there" {
        local lost

        make_store
        lost=$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 3)
        rm "$lost"
        run --separate-stderr "$VMAFS" extract -C out "ds/$FIRST"
        [ "$status" -eq 1 ]
        one_line_says "out/disk-drive-scsi0.raw.partial: is incomplete: 64.0 KiB cannot be read"
        [ "$(names_in out)" = "$(printf 'disk-drive-scsi0.raw.partial\nqemu-server.conf')" ]
        cmp -n 196608 out/disk-drive-scsi0.raw.partial image
        cmp -i 262144 out/disk-drive-scsi0.raw.partial image
        cmp -n 65536 -i 196608:0 out/disk-drive-scsi0.raw.partial /dev/zero
        run --separate-stderr "$VMAFS" extract -O ds "$FIRST/drive-scsi0"
        [ "$status" -eq 1 ]
        one_line_says "cannot be read from byte 196608 on"
        # The first of the payload's two chunks.
        lost=$(xxd -s $((4096 + 8)) -l 32 -p -c 32 ds/host/h/*/root.ppxar.didx)
        rm "ds/.chunks/${lost:0:4}/$lost"
        run --separate-stderr "$VMAFS" extract -C out ds/host/h/2026-02-01T00:00:00Z
        [ "$status" -eq 1 ]
        echo "$stderr"
        [[ $stderr == *"/root/big: "*"cannot be read, and are holes"* ]]
        [[ $stderr == *"is incomplete: what is lost is not in root.partial"* ]]
        [ "$(readlink out/root.partial/link)" = etc/passwd ]
        [ ! -e out/root ]
}

@test "extract of a snapshot that is pruned meanwhile gives no wrong byte, and says so" {
        # More than a pipe, and what is read ahead of it, holds.
        noise $((64 * 1048576)) 3 >image
        CHUNK=1048576 make_store
        "$VMAFS" extract -O --cache=8M ds "$FIRST/drive-scsi0" 2>err | {
                head -c 65536 >part
                rm -r "ds/$FIRST" ds/.chunks/*
                cat >>part
        } || true
        cmp -n "$(stat -c %s part)" part image
        [ "$(stat -c %s part)" -lt "$(stat -c %s image)" ]
        grep -qE "^vmafs: $FIRST/drive-scsi0: cannot be read from byte [0-9]+ on" err
        # In the snapshot of which nothing is left but its indexes, the rest is left out by name.
        run --separate-stderr "$VMAFS" extract -C out "ds/$SECOND"
        [ "$status" -eq 1 ]
        one_line_says "disk-drive-scsi0.raw.partial: is incomplete: 64.0 MiB cannot be read"
}

@test "an encrypted snapshot is extracted with its key, and not without" {
        make_store --encrypt
        run --separate-stderr "$VMAFS" extract -C out "ds/$FIRST"
        [ "$status" -eq 1 ]
        [[ $stderr == *keyfile* ]]
        rm -f out/*
        "$VMAFS" extract --keyfile=key -C out "ds/$FIRST"
        cmp out/disk-drive-scsi0.raw image
}

# The map of what was changed by OFFSET LENGTH lines: changed ARGS...
changed() {
        "$VMAFS" map --output=json "$@" >json
        jq -r '.[] | "\(.start) \(.length) \(.zero)"' json
}

@test "map of a stored disk has the holes of its zero chunks, as qemu-img prints them" {
        make_store
        diff <("$VMAFS" map --output=json ds "$FIRST/drive-scsi0" | jq -c '.[] | [.start, .length, .zero, .data, .lost]') \
                <(printf '%s\n' '[0,65536,false,true,false]' '[65536,65536,true,false,false]' '[131072,327680,false,true,false]' '[458752,327680,true,false,false]' '[786432,65536,false,true,false]' '[851968,196608,true,false,false]')
        run "$VMAFS" map "ds/$FIRST/disk-drive-scsi0.raw"
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 4 ]
        [[ ${lines[1]} == "0 "*"0x10000 "* ]]
        run --separate-stderr "$VMAFS" map ds "$FIRST/qemu-server.conf"
        [ "$status" -eq 2 ]
        one_line_says "is no disk"
}

@test "map --changed-since prints what is not as it was, from the indexes alone" {
        cp image later
        # In chunk 3, over the border of 6 and 7, all of 12; what was zeros stays.
        printf x | dd of=later bs=1 seek=200000 conv=notrunc status=none
        printf xx | dd of=later bs=1 seek=458751 conv=notrunc status=none
        dd if=/dev/zero of=later bs=65536 seek=12 count=1 conv=notrunc status=none
        truncate -s 1114112 later
        LATER=later make_store
        rm -r ds/.chunks/*
        diff <(changed --changed-since="${FIRST##*/}" ds "$SECOND/drive-scsi0") <(printf '%s\n' '196608 65536 false' '393216 131072 false' '786432 65536 true' '1048576 65536 true')
        [ -z "$(changed --changed-since="ns/a/$FIRST" ds "$FIRST/drive-scsi0")" ]
        [ "$(cat json)" = "[]" ]
        diff <(changed --changed-since="$SECOND" ds "$FIRST/drive-scsi0") <(printf '%s\n' '196608 65536 false' '393216 65536 false' '458752 65536 true' '786432 65536 false')
        run --separate-stderr "$VMAFS" map --changed-since=2027-01-01T00:00:00Z ds "$FIRST/drive-scsi0"
        [ "$status" -eq 2 ]
        run --separate-stderr "$VMAFS" map --changed-since="$FIRST" image drive-scsi0
        [ "$status" -eq 2 ]
        one_line_says "for disks of a datastore"
        # An index that cannot be believed says nothing.
        printf x | dd of="ds/$FIRST/drive-scsi0.img.fidx" bs=1 seek=4100 conv=notrunc status=none
        run --separate-stderr "$VMAFS" map --changed-since="$FIRST" ds "$SECOND/drive-scsi0"
        [ "$status" -eq 1 ]
        one_line_says "the index is not the one that the manifest names"
}

@test "map of an encrypted disk needs the key to know zeros, and the change without one" {
        cp image later
        printf x | dd of=later bs=1 seek=200000 conv=notrunc status=none
        LATER=later make_store --encrypt
        [ "$("$VMAFS" map --output=json --keyfile=key ds "$FIRST/drive-scsi0" | jq -c '[.[] | .zero]')" = "[false,true,false,true,false,true]" ]
        [ "$(changed --changed-since="$FIRST" ds "$SECOND/drive-scsi0")" = "196608 65536 false" ]
        [ "$(changed --keyfile=key --changed-since="$FIRST" ds "$SECOND/drive-scsi0")" = "196608 65536 false" ]
}

@test "info of a group or a snapshot says what each snapshot adds to the one before it" {
        cp image later
        printf x | dd of=later bs=1 seek=200000 conv=notrunc status=none
        LATER=later make_store
        rm -r ds/.chunks/*
        run "$VMAFS" info ds/vm/100
        [[ ${lines[0]} == "$FIRST "*"  adds 512.0 KiB in 8 of 8 chunks  a note" ]]
        [[ ${lines[1]} == "$SECOND "*"  adds 64.0 KiB in 1 of 8 chunks  a note" ]]
        "$VMAFS" info --json "ds/$SECOND" >json
        jq -e '.snapshots[0] | [.chunks, .own, .adds] == [8, 1, 65536]' json
        "$VMAFS" info --json "ds/$FIRST" >json
        jq -e '.snapshots[0] | [.chunks, .own, .adds] == [8, 8, 524288]' json
        "$VMAFS" info --json ds >json
        jq -e 'all(.snapshots[]; .chunks == null and .own == null and .adds == null)' json
        # What cannot be read is not counted.
        printf x | dd of="ds/$SECOND/drive-scsi0.img.fidx" bs=1 seek=4100 conv=notrunc status=none
        run "$VMAFS" info "ds/$SECOND"
        [ "$status" -eq 0 ]
        [[ $output != *adds* ]]
}

@test "the recipes of the manual: a guest, a file in thirty snapshots, verify" {
        local day

        need_root
        make_store
        for day in {02..30}; do
                cp -r "ds/$CONTAINER" "ds/ct/101/2026-01-${day}T00:00:00Z"
        done
        "$VMAFS" info ds/vm/100
        "$VMAFS" verify "ds/$FIRST"
        "$VMAFS" extract -C out "ds/$FIRST"
        qemu-img convert -O qcow2 out/disk-drive-scsi0.raw 100.qcow2
        qemu-img compare -f qcow2 -F raw 100.qcow2 image
        grep -q '#qmdump#map:scsi0:drive-scsi0:' out/qemu-server.conf
        mount_vmafs ds
        [ "$(sha256sum "$MNT"/ct/101/*/root/etc/passwd | uniq -w 64 | wc -l)" -eq 1 ]
        sha256sum "$MNT"/ct/101/*/root/etc/passwd | uniq -w 64 | grep -q 2026-01-02T00
        cp -p "$MNT/$CONTAINER/root/etc/passwd" .
        [ "$(cat passwd)" = root:x:0:0 ]
        umount "$MNT"
        rm "ds/ct/101/2026-01-05T00:00:00Z/root.pxar.didx"
        "$VMAFS" verify --json ds >report.json || true
        [ "$(jq -r '.snapshots[] | select(.sound | not).path' report.json)" = ct/101/2026-01-05T00:00:00Z ]
}

# An index tells sound from damaged for each 256 KiB, so that a qcow2's header may be had, and the table
# 256 KiB after it not.
@test "a disk whose tables are lost since the archive was indexed is extracted as partial" {
        noise 1000000 >first
        noise 2000000 7 >raw
        printf 'a mark in the first cluster' | dd of=raw bs=1 seek=5000 conv=notrunc status=none
        qemu-img convert -f raw -O qcow2 raw a.qcow2
        tar -cf a.tar first a.qcow2
        zstd -q --rm a.tar
        "$VMAFS" index --file=a.tar.zst.vmafs a.tar.zst
        at=$(grep -obUa 'a mark in the first cluster' a.tar.zst | cut -d: -f1)
        printf X | dd of=a.tar.zst bs=1 seek="$at" conv=notrunc status=none
        run -1 "$VMAFS" extract -C out a.tar.zst
        [ ! -e out/disk-a.raw ]
        [ -e out/disk-a.raw.partial ]
        cmp first out/first
}
