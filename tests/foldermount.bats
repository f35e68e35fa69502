# SPDX-License-Identifier: GPL-2.0-or-later
# A folder of archives, mounted as a tree.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        [ "$(id -u)" -ne 0 ] || [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        make_disk a.raw 1048576 0-2 40-99 200-200
        mkdir d
}

# A guest's archive with the disk a.raw, another one in each test: make_archive FILE ID [RAW]
make_archive() {
        echo "name: guest$2" >qemu-server.conf
        mkvma -o "$1" --config qemu-server.conf=qemu-server.conf --device a="${3:-a.raw}" \
                --ctime=$((1700000000 + 1000 * BATS_TEST_NUMBER + $2))
}

error_of() {
        getfattr --only-values -n user.vmafs.error "$1" 2>/dev/null
}

# Does the folder have just these names? For wait_for.
shows() {
        [ "$(names_in "$1")" = "$(printf '%s\n' "${@:2}")" ]
}

is_absent() {
        [ ! -e "$1" ]
}

# How many descriptors has the process?
descriptors_of() {
        find "/proc/$1/fd" -mindepth 1 | wc -l
}

@test "disks as they are, plain and compressed, are opened when they are entered" {
        cp a.raw d/sdcard.img
        xz -0 -c a.raw >d/old.raw.xz
        # Its name is all that is looked at in a folder.
        printf 'PK\3\4 no disk' >d/packed.img
        mount_vmafs d
        shows "$MNT" old.raw.xz packed.img sdcard.img
        cmp "$MNT/sdcard.img/disk-sdcard.raw" a.raw
        cmp "$MNT/old.raw.xz/disk-old.raw" a.raw
        shows "$MNT/packed.img"
        [[ $(error_of "$MNT/packed.img") == *"is a zip archive"* ]]
}

# Is what lies in DIR what is in d/ct.tar?
same_tree() {
        tar -C "$1" --numeric-owner -df d/ct.tar ./srv
}

@test "a tar of files is a tree, with links and owners, plain and compressed" {
        "$TOOLS/mktree" 2000 >d/ct.tar
        zstd -q d/ct.tar
        mount_vmafs d
        for name in ct.tar ct.tar.zst; do
                same_tree "$MNT/$name"
                [ "$(find "$MNT/$name" -mindepth 1 | wc -l)" -eq 2002 ]
                [ "$(stat -c '%u:%g' "$MNT/$name/srv/000/00000/file-1.txt")" = 1000:1001 ]
                [ "$(getfattr --only-values -n user.vmafs.index "$MNT/$name")" = complete ]
        done
        [ "$(stat -c %h "$MNT/ct.tar/srv/000/00000/file-49.txt")" -eq 2 ]
        [ "$(stat -c %i "$MNT/ct.tar/srv/000/00000/file-49.txt")" = \
                "$(stat -c %i "$MNT/ct.tar/srv/000/00000/file-48.txt")" ]
        run ! cat "$MNT/ct.tar/srv/none"
        [[ $output == *'No such file'* ]]
}

@test "-o view=images shows a tar of files flat in a folder" {
        "$TOOLS/mktree" 200 >d/ct.tar
        mount_vmafs d -o view=images
        [ ! -e "$MNT/ct.tar/srv" ]
}

@test "what is open of a tree stays readable when its tar is replaced, and the new one is shown" {
        "$TOOLS/mktree" 300 >d/ct.tar
        mount_vmafs d
        cp "$MNT/ct.tar/srv/000/00001/file-101.txt" before
        exec 7<"$MNT/ct.tar/srv/000/00001/file-101.txt"
        "$TOOLS/mktree" 100 >new.tar
        mv new.tar d/ct.tar
        wait_for 60 is_absent "$MNT/ct.tar/srv/000/00001"
        cmp before - <&7
        exec 7<&-
        same_tree "$MNT/ct.tar"
}

@test "archives are folders, other files and folders are as they are" {
        local name

        mkdir d/sub
        make_archive d/a.vma 1
        zstd -q d/a.vma -o d/sub/b.vma.zst
        gzip -c d/a.vma >d/sub/c.vma.gz
        qemu-img convert -O qcow2 a.raw d/q.qcow2
        echo text >d/a.vma.notes
        touch -d 2026-01-02T03:04:05Z d/a.vma d/a.vma.notes
        start_vmafs d
        shows "$MNT" a.vma a.vma.notes q.qcow2 sub
        shows "$MNT/sub" b.vma.zst c.vma.gz
        for name in a.vma sub/b.vma.zst sub/c.vma.gz; do
                shows "$MNT/$name" disk-a.raw qemu-server.conf
                cmp "$MNT/$name/disk-a.raw" a.raw
                grep -qx 'name: guest1' "$MNT/$name/qemu-server.conf"
                diff <(holes "$MNT/$name/disk-a.raw") <(printf '0 12288\n163840 245760\n819200 4096\n')
                [ "$(stat -c %b "$MNT/$name/disk-a.raw")" -eq $((64 * 8)) ]
                [ "$(getfattr --only-values -n user.vmafs.device "$MNT/$name/disk-a.raw")" = a ]
                [ "$(getfattr --only-values -n user.vmafs.format "$MNT/$name")" = vma ]
        done
        cmp "$MNT/q.qcow2/disk-q.raw" a.raw
        cmp "$MNT/a.vma.notes" d/a.vma.notes
        [ "$(stat -c %Y "$MNT/a.vma")" = "$(date -d 2026-01-02T03:04:05Z +%s)" ]
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT")" = folder ]
        run touch "$MNT/a.vma.notes" "$MNT/new" "$MNT/a.vma/new"
        [[ $output == *"Read-only file system"* ]]
}

@test "what comes and goes in the folder comes and goes in the mount" {
        mkdir d/sub
        make_archive d/a.vma 1
        start_vmafs d
        shows "$MNT" a.vma sub
        make_archive d/b.vma 2
        make_archive d/sub/c.vma 3
        wait_for 60 shows "$MNT" a.vma b.vma sub
        wait_for 60 shows "$MNT/sub" c.vma
        cmp "$MNT/b.vma/disk-a.raw" a.raw
        cmp "$MNT/sub/c.vma/disk-a.raw" a.raw
        rm -r d/a.vma d/sub
        wait_for 60 shows "$MNT" b.vma
        wait_for 60 is_absent "$MNT/a.vma"
        echo one >d/log
        wait_for 60 test -e "$MNT/log"
        grep -qx one "$MNT/log"
        echo two >>d/log
        wait_for 60 grep -qx two "$MNT/log"
}

@test "a disk that is open goes on when its archive is removed or replaced" {
        make_data b.raw 1048576 5000000
        make_archive d/a.vma 1
        make_archive d/b.vma 2
        cp d/b.vma old.vma
        start_vmafs d
        exec {first}<"$MNT/a.vma/disk-a.raw" {second}<"$MNT/b.vma/disk-a.raw"
        head -c 4096 <&"$first" | cmp -n 4096 - a.raw
        make_archive new.vma 3 b.raw
        rm d/a.vma
        mv new.vma d/b.vma
        # The new one is found while the old one is still open.
        wait_for 60 cmp -s "$MNT/b.vma/disk-a.raw" b.raw
        wait_for 60 shows "$MNT" b.vma
        cmp "/proc/self/fd/$first" a.raw
        cmp "/proc/self/fd/$second" a.raw
        exec {first}<&- {second}<&-
        [ "$(sha "$MNT/b.vma/disk-a.raw")" = "$(sha b.raw)" ]
}

@test "an archive that is not whole yet is an empty folder, until it is" {
        make_archive whole.vma 1
        make_archive d/b.vma 2
        head -c 600 whole.vma >d/a.vma
        start_vmafs d
        shows "$MNT/a.vma"
        [[ $(error_of "$MNT/a.vma") == *"header"* ]]
        grep -q 'a.vma: .*header' "$LOG"
        cmp "$MNT/b.vma/disk-a.raw" a.raw
        tail -c +601 whole.vma >>d/a.vma
        wait_for 60 shows "$MNT/a.vma" disk-a.raw qemu-server.conf
        cmp "$MNT/a.vma/disk-a.raw" a.raw
        [ -z "$(error_of "$MNT/a.vma")" ]
}

@test "one that grows while it is open fails with ESTALE, and is found anew" {
        make_archive d/a.vma 1
        start_vmafs d -o direct_io
        exec {file}<"$MNT/a.vma/disk-a.raw"
        head -c 4096 <&"$file" >/dev/null
        printf 'more' >>d/a.vma
        run cat "/proc/self/fd/$file"
        [ "$status" -ne 0 ]
        exec {file}<&-
        wait_for 60 cmp -s "$MNT/a.vma/disk-a.raw" a.raw
}

@test "archives that are damaged, foreign, empty or unreadable do not hurt the others" {
        make_archive d/good.vma 1
        make_archive d/cut.vma 2
        truncate -s -8192 d/cut.vma
        noise 5000 >d/junk.vma.zst
        : >d/empty.qcow2
        echo "this is a text, and no image" >d/text.vmdk
        start_vmafs d
        shows "$MNT" cut.vma empty.qcow2 good.vma junk.vma.zst text.vmdk
        find "$MNT" >/dev/null
        [[ $(error_of "$MNT/junk.vma.zst") == *"not an archive"* ]]
        [[ $(error_of "$MNT/empty.qcow2") == *"is empty"* ]]
        [[ $(error_of "$MNT/text.vmdk") == *"is a text"* ]]
        cmp "$MNT/good.vma/disk-a.raw" a.raw
        run cat "$MNT/cut.vma/disk-a.raw"
        [[ $output == *"Input/output error"* ]]
        cmp -n 12288 "$MNT/cut.vma/disk-a.raw" a.raw
}

@test "nothing outside of the folder is shown, and no link or FIFO is opened" {
        mkdir outside
        make_archive outside/o.vma 9
        make_archive d/in.vma 1
        mkdir d/sub
        ln -s "$PWD/outside/o.vma" d/absolute.vma
        ln -s ../outside/o.vma d/above.vma
        ln -s ../outside d/folder
        ln -s ../in.vma d/sub/up.vma
        ln -s sub/../in.vma d/round.vma
        ln -s in.vma d/latest.vma
        mkfifo d/fifo.vma d/fifo
        [ "$(id -u)" -ne 0 ] || mknod d/null.vma c 1 3
        start_vmafs d
        shows "$MNT" in.vma latest.vma sub
        shows "$MNT/sub" up.vma
        cmp "$MNT/latest.vma/disk-a.raw" a.raw
        cmp "$MNT/sub/up.vma/disk-a.raw" a.raw
        # A folder and an archive that become links while they are mounted.
        mv d/sub outside/sub2
        ln -s ../outside d/sub
        run cat "$MNT/sub/o.vma/qemu-server.conf"
        [ "$status" -ne 0 ]
        ln -sf ../outside/o.vma d/in.vma
        wait_for 60 shows "$MNT" latest.vma
}

@test "names with odd bytes, and folders named like archives" {
        local odd

        odd=$(printf 'd/a\tb\x80.vma')
        make_archive "$odd" 1
        make_archive 'd/with space & %.vma' 2
        mkdir d/folder.vma
        make_archive d/folder.vma/x.vma 3
        start_vmafs d
        [ "$(find "$MNT" -name 'disk-a.raw' | wc -l)" -eq 3 ]
        find "$MNT" -name disk-a.raw -print0 | xargs -0 -n 1 cmp a.raw
        rm "$odd"
        wait_for 60 shows "$MNT" folder.vma 'with space & %.vma'
}

# Compares all disks in the mount with a.raw, in an order of its own: read_all OFFSET
read_all() {
        local i n

        for i in $(seq 40); do
                n=$(((i * 7 + $1) % 40 + 1))
                cmp "$MNT/$n.vma.zst/disk-a.raw" a.raw || return 1
        done
}

all_are_indexed() {
        "$VMAFS" info --json d | jq -e '[.archives[] | select(.indexed)] | length == 40' >/dev/null
}

@test "forty archives read in turn by several readers: few are open at a time" {
        local i before after readers=()

        for i in $(seq 40); do
                make_archive "$i.vma" "$i"
                zstd -q "$i.vma" -o "d/$i.vma.zst"
        done
        start_vmafs d
        before=$(descriptors_of "$DAEMON")
        for i in 0 13 26; do
                read_all "$i" 3>&- &
                readers+=($!)
        done
        for i in "${readers[@]}"; do
                wait "$i"
        done
        after=$(descriptors_of "$DAEMON")
        echo "descriptors: $before before, $after after"
        # 16 archives are kept open, each with its file, its index and a watch.
        [ $((after - before)) -le 96 ]
        # Their indexes have been kept, or are about to be.
        wait_for 60 all_are_indexed
        # The first ones were closed meanwhile, and are the same when they are opened again.
        read_all 3
}

@test "the index that there is of an archive is used, and none with -o index=none" {
        make_archive a.vma 1
        zstd -q a.vma -o d/a.vma.zst
        "$VMAFS" index d
        start_vmafs d
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT/a.vma.zst")" = complete ]
        umount "$MNT"
        start_vmafs d -o index=none
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT/a.vma.zst")" = "0%" ]
        cmp "$MNT/a.vma.zst/disk-a.raw" a.raw
        umount "$MNT"
        run "$VMAFS" d "$MNT" -o index=x
        [ "$status" -eq 2 ]
}

@test "a folder of a thousand archives opens none of them to be listed" {
        make_archive 1.vma 1
        for i in $(seq 1000); do echo "d/$i.vma"; done | xargs -n 1 ln 1.vma
        start_vmafs d
        [ "$(find "$MNT" -maxdepth 1 -mindepth 1 -type d | wc -l)" -eq 1000 ]
        [ "$(find "/proc/$DAEMON/fd" -lname '*.vma' | wc -l)" -eq 0 ]
        cmp "$MNT/777.vma/disk-a.raw" a.raw
        [ "$(find "/proc/$DAEMON/fd" -lname '*.vma' | wc -l)" -gt 0 ]
}

@test "a mount point in the folder itself is not shown" {
        make_archive d/a.vma 1
        mkdir d/mnt
        "$VMAFS" d d/mnt 3>&-
        shows d/mnt a.vma
        cmp d/mnt/a.vma/disk-a.raw a.raw
        umount d/mnt
}

@test "a mount ends while a reader waits for an archive that is being scanned" {
        make_archive d/a.vma 1
        mount_gatefs d/a.vma
        gate open 16384
        start_vmafs "$GATE_DIR"
        cat "$MNT/a.vma/disk-a.raw" >/dev/null 2>&1 3>&- &
        wait_for 60 reads_blocked 1
        umount -l "$MNT"
        kill -TERM "$DAEMON" || true
        gate open all
        wait_for 60 has_ended "$DAEMON"
}
