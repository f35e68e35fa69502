# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions of the archives in a folder, and of the snapshots in a datastore.
# shellcheck disable=SC2154 # what run sets
load helpers
load datastore
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        [ "$(id -u)" -ne 0 ] || [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        mkdir d
        make_image image
}

# A disk of 4 MiB with two partitions, ext4 with the file fstab and one with data and holes:
# make_image FILE [TEXT]
make_image() {
        make_disk "$1" 4194304 700-999 1010-1011
        mkdir -p tree
        echo "${2:-fstab of the guest}" >tree/fstab
        truncate -s 1M "$1.fs"
        mkfs.ext4 -q -E hash_seed=11111111-1111-1111-1111-111111111111 \
                -U 22222222-2222-2222-2222-222222222222 -d tree "$1.fs"
        dd if="$1.fs" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
        sfdisk -q "$1" <<'END'
label: gpt
label-id: 0F0E0D0C-0B0A-0908-0706-050403020100
start=2048, size=2048, type=L, uuid=00000000-0000-0000-0000-00000000AB01
start=5000, size=3000, type=L, uuid=00000000-0000-0000-0000-00000000AB02, name="data"
END
}

# Prints the range of FILE that is its partition 1 or 2: range FILE NUMBER
range() {
        local sectors=(0 2048 5000 2048 3000)

        dd if="$1" bs=512 skip="${sectors[$2]}" count="${sectors[$(($2 + 2))]}" status=none
}

# Are the partitions in FOLDER those of IMAGE, with their holes? partitions_are IMAGE FOLDER
partitions_are() {
        local number

        [ "$(names_in "$2")" = "$(printf '1.raw\n2.raw')" ]
        for number in 1 2; do
                range "$1" $number >wanted
                cmp wanted "$2/$number.raw"
                [ "$(stat -c %s "$2/$number.raw")" -eq "$(stat -c %s wanted)" ]
        done
}

attribute() {
        getfattr --only-values -n "user.vmafs.$1" "$2" 2>/dev/null
}

attributes_are_those_of_partitions() {
        [ "$(attribute start "$1/1.raw")" -eq 1048576 ]
        [ "$(attribute length "$1/2.raw")" -eq $((3000 * 512)) ]
        [ "$(attribute type "$1/1.raw")" = 0FC63DAF-8483-4772-8E79-3D69D8477DE4 ]
        [ "$(attribute uuid "$1/2.raw")" = 00000000-0000-0000-0000-00000000AB02 ]
        [ "$(attribute label "$1/2.raw")" = data ]
        [ "$(attribute filesystem "$1/1.raw")" = ext4 ]
        getfattr -d "$1/2.raw" | grep -q '^user.vmafs.label="data"'
}

# The archive FILE of the disk RAW, another one for each ID: make_archive FILE ID [RAW]
make_archive() {
        mkvma -o "$1" --device a="${3:-image}" --order=shuffle \
                --ctime=$((1700000000 + 1000 * BATS_TEST_NUMBER + $2))
}

# ---- a folder of archives ----

@test "in a folder of archives each one has the partitions of its disks" {
        local archive

        make_archive d/a.vma 1
        make_archive b.vma 2
        zstd -q b.vma -o d/b.vma.zst
        qemu-img convert -f raw -O qcow2 image d/a.qcow2
        start_vmafs d -o partitions
        for archive in a.vma b.vma.zst a.qcow2; do
                echo "$archive"
                partitions_are image "$MNT/$archive/disk-a.parts"
                attributes_are_those_of_partitions "$MNT/$archive/disk-a.parts"
                debugfs -R 'cat fstab' "$MNT/$archive/disk-a.parts/1.raw" 2>/dev/null | cmp - tree/fstab
                [ -z "$(names_in "$MNT/$archive/lvm")" ]
        done
        # Once the archive is indexed, holes are holes, and are counted.
        range image 2 >wanted
        holes "$MNT/a.vma/disk-a.parts/2.raw" | diff - <(holes --nonzero wanted)
        [ "$(stat -c %b "$MNT/a.vma/disk-a.parts/2.raw")" -eq "$(nonzero_blocks wanted)" ]
        [ ! -s "$LOG" ]
        umount "$MNT"
        start_vmafs d
        [ "$(names_in "$MNT/a.vma")" = disk-a.raw ]
}

@test "a folder of archives: what cannot be told of a table is told by its folder" {
        make_disk none 1048576
        make_archive d/none.vma 1 none
        cp image damaged
        noise 512 | dd of=damaged bs=512 seek=1 conv=notrunc status=none
        noise 512 2 | dd of=damaged bs=512 seek=8191 conv=notrunc status=none
        make_archive d/damaged.vma 2 damaged
        start_vmafs d -o partitions
        [ -z "$(names_in "$MNT/none.vma/disk-a.parts")" ]
        run ! getfattr -n user.vmafs.error "$MNT/none.vma/disk-a.parts"
        [ -z "$(names_in "$MNT/damaged.vma/disk-a.parts")" ]
        [ "$(attribute error "$MNT/damaged.vma/disk-a.parts")" = 'neither copy of its GPT is sound' ]
}

# Do all partitions of the archives d/1.vma.zst to d/COUNT.vma.zst read right? read_all COUNT
read_all() {
        local i

        for i in $(seq "$1"); do
                cmp wanted "$MNT/$i.vma.zst/disk-a.parts/2.raw" || return 1
        done
}

@test "partitions of archives that were closed meanwhile are found again, and few are open" {
        local i

        range image 2 >wanted
        for i in $(seq 20); do
                make_archive "$i.vma" "$i"
                zstd -q "$i.vma" -o "d/$i.vma.zst"
        done
        # Without an index each is scanned anew, and the reader waits for its table.
        start_vmafs d -o partitions,direct_io,index=none
        exec 9<"$MNT/1.vma.zst/disk-a.parts/2.raw"
        read_all 20
        [ "$(find "/proc/$DAEMON/fd" -lname '*.vma.zst' -printf '%l\n' | sort -u | wc -l)" -le 17 ]
        for i in 1 2 20; do
                [ "$(attribute label "$MNT/$i.vma.zst/disk-a.parts/2.raw")" = data ]
                getfattr -d "$MNT/$i.vma.zst/disk-a.parts/2.raw" | grep -q '^user.vmafs.label="data"'
        done
        read_all 20
        holes "$MNT/1.vma.zst/disk-a.parts/2.raw" | diff - <(holes --nonzero wanted)
        # The one that is open is the archive that it was.
        rm d/1.vma.zst
        cmp wanted - <&9
        exec 9<&-
        [ ! -s "$LOG" ]
}

# Does process $1 wait for the mount?
waits() {
        grep -qsE 'fuse|request_wait' "/proc/$1/wchan"
}

# A folder with an archive that was entered, of which nothing more can be read for now.
mount_gated() {
        make_archive g.vma 1
        mount_gatefs g.vma
        start_vmafs "$GATE_DIR" -o partitions
        [ "$(names_in "$MNT/g.vma")" = "$(printf 'disk-a.parts\ndisk-a.raw\nlvm')" ]
        gate open 8192
}

@test "a listing and a read of partitions wait for the archive, block nobody, and can be killed" {
        local killed lister reader

        mount_gated
        ls "$MNT/g.vma/disk-a.parts" >list 3>&- &
        lister=$!
        cat "$MNT/g.vma/disk-a.parts/2.raw" >got 3>&- &
        reader=$!
        ls "$MNT/g.vma/lvm" 3>&- &
        killed=$!
        for process in $lister $reader $killed; do
                wait_for 60 waits "$process"
        done
        [ "$(stat -c %s "$MNT/g.vma/disk-a.raw")" -eq 4194304 ]
        kill -KILL $killed
        wait_for 60 has_ended $killed
        [ ! -s list ] && [ ! -s got ]
        gate open all
        wait $lister
        wait $reader
        [ "$(cat list)" = "$(printf '1.raw\n2.raw')" ]
        cmp got <(range image 2)
        partitions_are image "$MNT/g.vma/disk-a.parts"
}

@test "a mount of a folder ends while somebody waits for a table" {
        local waiting

        mount_gated
        ls "$MNT/g.vma/disk-a.parts" >/dev/null 2>&1 3>&- &
        waiting=$!
        wait_for 60 waits $waiting
        umount -l "$MNT" || fusermount3 -uz "$MNT"
        kill -TERM "$DAEMON" || true
        gate open all
        wait_for 60 has_ended "$DAEMON"
        wait_for 60 has_ended $waiting
}

@test "extract and map take a partition by its path in a folder of archives" {
        make_archive d/a.vma 1
        "$VMAFS" extract d a.vma/disk-a.parts/2.raw
        cmp disk-a.parts/2.raw <(range image 2)
        "$VMAFS" extract -O d/a.vma/disk-a.parts/1.raw | cmp - <(range image 1)
        "$VMAFS" map --output=json d/a.vma/disk-a.parts/2.raw | jq -e 'map(.length) | add == 1536000'
        "$VMAFS" info --partitions --json d/a.vma | jq -e '.disks[0]."partition-table".partitions | length == 2'
        run --separate-stderr "$VMAFS" info --partitions d
        [ "$status" -eq 2 ]
        one_line_says 'info --partitions takes one of them'
}

# ---- a datastore ----

@test "in a datastore each snapshot has the partitions of its disks" {
        make_image later "fstab of the day after"
        LATER=later CHUNK=65536 make_store
        start_vmafs ds -o partitions
        [ "$(names_in "$MNT/$FIRST")" = \
                "$(printf 'disk-drive-scsi0.parts\ndisk-drive-scsi0.raw\nlvm\nqemu-server.conf')" ]
        partitions_are image "$MNT/$FIRST/disk-drive-scsi0.parts"
        partitions_are later "$MNT/$SECOND/disk-drive-scsi0.parts"
        partitions_are image "$MNT/ns/a/$FIRST/disk-drive-scsi0.parts"
        attributes_are_those_of_partitions "$MNT/$FIRST/disk-drive-scsi0.parts"
        debugfs -R 'cat fstab' "$MNT/$SECOND/disk-drive-scsi0.parts/1.raw" 2>/dev/null |
                cmp - <(echo "fstab of the day after")
        [ -z "$(names_in "$MNT/$FIRST/lvm")" ]
        [ "$(names_in "$MNT/$CONTAINER")" = root ]
        # In chunks of 64 KiB: those that the partition shares with the disk's data.
        [ "$(stat -c %b "$MNT/$FIRST/disk-drive-scsi0.parts/2.raw")" -lt 3000 ]
        holes "$MNT/$FIRST/disk-drive-scsi0.parts/2.raw" | awk '{ n += $2 } END { exit !(n < 1536000) }'
        [ ! -s "$LOG" ]
        umount "$MNT"
        start_vmafs ds
        [ "$(names_in "$MNT/$FIRST")" = "$(printf 'disk-drive-scsi0.raw\nqemu-server.conf')" ]
}

@test "a datastore: what is lost of a table or a partition is an I/O error, and is told" {
        make_store
        rm "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 43)"
        start_vmafs ds -o partitions
        cmp <(range image 1) "$MNT/$FIRST/disk-drive-scsi0.parts/1.raw"
        run ! cat "$MNT/$FIRST/disk-drive-scsi0.parts/2.raw"
        wait_for 60 grep -q 'chunk [0-9a-f]* is missing' "$LOG"
        # 43 * 65536 is before the partition's byte 258048, and 44 * 65536 its byte 323584.
        cmp <(range image 2 | tail -c +323585) <(tail -c +323585 "$MNT/$FIRST/disk-drive-scsi0.parts/2.raw")
        umount "$MNT"
        rm "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 0)"
        start_vmafs ds -o partitions
        run ! ls "$MNT/$FIRST/disk-drive-scsi0.parts"
        wait_for 60 grep -q 'the partition table at byte 0 of the disk cannot be read' "$LOG"
        [[ $(attribute error "$MNT/$FIRST/disk-drive-scsi0.parts") == *"cannot be read"* ]]
        cmp <(range image 1) <(dd if="$MNT/$FIRST/disk-drive-scsi0.raw" bs=512 skip=2048 count=2048 status=none)
}

@test "extract, map and info take partitions inside of a snapshot" {
        make_store
        "$VMAFS" extract ds "$FIRST/disk-drive-scsi0.parts/2.raw"
        range image 2 >wanted
        cmp wanted disk-drive-scsi0.parts/2.raw
        [ "$(stat -c %b disk-drive-scsi0.parts/2.raw)" -lt 3000 ]
        "$VMAFS" extract -O "ds/$FIRST" disk-drive-scsi0.parts/1.raw | cmp - <(range image 1)
        "$VMAFS" map --output=json ds "$FIRST/disk-drive-scsi0.parts/2.raw" |
                jq -e 'map(.length) | add == 1536000'
        "$VMAFS" info --json --partitions "ds/$FIRST" >info.json
        jq -e '.snapshots[0].inside.disks[0] | .name == "disk-drive-scsi0.raw" and
                (."partition-table".partitions | map([.file, .filesystem]) ==
                [["disk-drive-scsi0.parts/1.raw", "ext4"], ["disk-drive-scsi0.parts/2.raw", null]])' info.json
        "$VMAFS" info --partitions ds/vm >info.text
        [ "$(grep -c '^  partitions: gpt 0F0E0D0C-' info.text)" -eq 2 ]
        for word in disk-drive-scsi0.parts/7.raw disk-drive-scsi0.parts lvm/vg/root.raw; do
                run --separate-stderr "$VMAFS" extract ds "$FIRST/$word"
                [ "$status" -eq 2 ]
                one_line_says "$FIRST/$word: is "
        done
        run --separate-stderr "$VMAFS" map --changed-since="$SECOND" ds "$FIRST/disk-drive-scsi0.parts/1.raw"
        [ "$status" -eq 2 ]
        one_line_says '--changed-since takes whole ones'
}

@test "a user finds yesterday's file in thirty snapshots of a virtual machine" {
        need_root
        let_others_pass
        make_image later "fstab of the day after"
        LATER=later MANY=1x30 make_store
        # The last of the thirty has what the image had the day before.
        cp -a "ds/$FIRST"/* ds/vm/1000/2025-01-02T05:00:00Z/
        chmod -R a+rX ds
        cp "$VMAFS" vmafs
        chmod 755 vmafs
        install -d -o 65534 -g 65534 own own/b own/r
        # What the manual says: one file's versions, by debugfs, and a mount of the one that is wanted.
        # The mounts live in a namespace of their own, where everybody may open /dev/fuse.
        # shellcheck disable=SC2016 # the inner shells expand them
        unshare -m bash -euc '
                trap "umount -q own/r || true; umount -q own/b || umount -ql own/b || true" EXIT
                mkdir dev
                mount -t tmpfs -o mode=755,dev none dev
                mknod -m 666 dev/fuse c 10 229
                mount --bind dev/fuse /dev/fuse
                export HOME=$PWD/own XDG_CACHE_HOME=$PWD/own
                setpriv --reuid=65534 --regid=65534 --clear-groups bash -euo pipefail -c "$1"' - '
cd own
../vmafs ../ds b -o partitions
for s in b/vm/1000/*; do
        debugfs -R "cat /fstab" $s/disk-drive-scsi0.parts/1.raw 2>/dev/null | sha256sum |
                sed "s|-|$s|"
done | uniq -w 64 >versions
fuse2fs -o ro b/vm/1000/2025-01-02T05:00:00Z/disk-drive-scsi0.parts/1.raw r
cp r/fstab .
fusermount3 -u r
# fuse2fs ends a moment after its mount.
for ((i = 0; i < 600; i++)); do
        fusermount3 -q -u b && break
        sleep 0.1
done
! mountpoint -q b' 3>&-
        cat own/versions
        [ "$(wc -l <own/versions)" -eq 2 ]
        grep -q "b/vm/1000/2025-01-02T05:00:00Z$" <(tail -n 1 own/versions)
        [ "$(cat own/fstab)" = "fstab of the guest" ]
}
