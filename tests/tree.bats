#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2030,SC2031,SC2154 # MNT is set and used in the same test
#
# A container's backup, and any other tar that is a tree of files: mounted, extracted, asked about.
# GNU tar compares a mount or what was extracted with the tar: kinds, modes, owners, times, link
# targets, devices, attributes and contents.

bats_require_minimum_version 1.5.0
load helpers

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# The root file system of a container, in root/.
make_root() {
        mkdir -p root/etc/vzdump root/dev root/usr/bin root/var/log root/home/web
        printf 'arch: amd64\nhostname: web01\nrootfs: local:subvol-123-disk-0,size=8G\n' \
                >root/etc/vzdump/pct.conf
        echo root:x:0:0 >root/etc/passwd
        ln root/etc/passwd root/usr/same
        ln -s ../etc/passwd root/usr/link
        mknod root/dev/null c 1 3
        mknod root/dev/loop0 b 7 0
        mkfifo root/dev/fifo
        noise 300000 >root/usr/bin/ping
        chmod 4755 root/usr/bin/ping
        setcap cap_net_raw+ep root/usr/bin/ping
        chown 100033:100044 root/home/web
        chmod 1770 root/home/web
        noise 70000 2 >root/home/web/secret
        chown 100033 root/home/web/secret
        chmod 600 root/home/web/secret
        touch -d '2001-02-03 04:05:06.789012345' root/home/web/secret
        setfattr -n user.comment -v 'as it was' root/home/web/secret
        truncate -s 5000000 root/var/log/lastlog
        printf x | dd of=root/var/log/lastlog bs=1 seek=3000000 conv=notrunc status=none
}

# As vzdump does it: the configuration first, then all of the container.
make_tar() {
        make_root
        tar -C root --format=posix --sparse --numeric-owner --acls --xattrs --xattrs-include='*' \
                -cpf ct.tar ./etc/vzdump/pct.conf ./
}

# Is what lies in DIR what is in ct.tar?
same_tree() {
        tar -C "$1" --numeric-owner --acls --xattrs --xattrs-include='*' -df ct.tar
}

compress() {
        case $1 in
        zst) zstd -q ct.tar ;;
        gz) gzip -k ct.tar ;;
        lzo) lzop -q ct.tar ;;
        xz) xz -k -0 ct.tar ;;
        bz2) bzip2 -k ct.tar ;;
        esac
}

@test "a container's tar is shown as it was, plain and compressed, with an index and without" {
        need_root
        make_tar
        for kind in '' .zst .gz .lzo .xz .bz2; do
                compress "${kind#.}"
                for _ in first second; do
                        mount_vmafs "ct.tar$kind" -o index=kept.idx
                        same_tree "$MNT"
                        [ "$(getfattr --only-values -n user.vmafs.index "$MNT")" = complete ]
                        unmount_all
                done
                rm kept.idx
        done
}

@test "ten thousand members are what was packed, and so is what is extracted of them" {
        need_root
        "$TOOLS/mktree" 10000 >ct.tar
        zstd -q ct.tar
        mount_vmafs ct.tar.zst
        same_tree "$MNT"
        [ "$(find "$MNT/srv" | wc -l)" -eq 10002 ]
        mkdir out
        "$VMAFS" extract -C out ct.tar.zst
        same_tree out/ct
}

@test "hard links have one number and count each other" {
        need_root
        make_tar
        mount_vmafs ct.tar
        [ "$(stat -c '%i %h' "$MNT/etc/passwd")" = "$(stat -c '%i %h' "$MNT/usr/same")" ]
        [ "$(stat -c %h "$MNT/etc/passwd")" -eq 2 ]
}

@test "a sparse file keeps its holes" {
        need_root
        make_tar
        mount_vmafs ct.tar
        cmp "$MNT/var/log/lastlog" root/var/log/lastlog
        [ "$(stat -c %b "$MNT/var/log/lastlog")" -le 16 ]
        [ "$(holes "$MNT/var/log/lastlog")" = "$(holes --nonzero root/var/log/lastlog)" ]
}

@test "devices and set-user-ID programs are shown and cannot be used" {
        need_root
        make_tar
        mount_vmafs ct.tar
        [ "$(stat -c '%F %t,%T' "$MNT/dev/null")" = 'character special file 1,3' ]
        run ! cat "$MNT/dev/null"
        findmnt -no OPTIONS "$MNT" | grep -w nosuid | grep -w nodev | grep -qw ro
}

@test "the recorded permissions hold for others" {
        need_root
        make_tar
        mount_vmafs ct.tar -o allow_other
        let_others_pass
        [ "$(stat -c '%u:%g %a' "$MNT/home/web")" = '100033:100044 1770' ]
        setpriv --reuid=100033 --regid=100044 --clear-groups cat "$MNT/home/web/secret" >copy
        cmp copy root/home/web/secret
        run ! setpriv --reuid=100055 --regid=100044 --clear-groups cat "$MNT/home/web/secret"
}

# access ID FILE: can the user and group ID, who has no other group, read it?
access() {
        setpriv --reuid="$1" --regid="$1" --clear-groups cat "$2" >/dev/null 2>&1
}

@test "access control lists decide who may read, of the root, too" {
        need_root
        let_others_pass
        mkdir top top/in
        echo x >top/in/file
        chmod 755 top/in
        chmod 640 top/in/file
        chmod 750 top
        chown 0:2000 top top/in/file
        tar -C top --format=posix --numeric-owner -cf ct.tar --no-recursion \
                --pax-option=$'SCHILY.acl.access:=user::rwx\nuser:1500:r-x\nuser:web:r-x\ngroup::---\nmask::r-x\nother::---' \
                ./ ./in/file
        tar -C top --format=posix --numeric-owner -rf ct.tar --no-recursion ./in
        for _ in first second; do
                mount_vmafs ct.tar -o allow_other,wait,index=kept.idx
                getfattr -n system.posix_acl_access "$MNT" "$MNT/in/file"
                [ "$(stat -c %a "$MNT")" = 750 ]
                access 1500 "$MNT/in/file"
                run ! access 2000 "$MNT/in/file"
                run ! setpriv --reuid=2000 --regid=2000 --clear-groups ls "$MNT"
                run ! access 1600 "$MNT/in/file"
                unmount_all
        done
}

@test "vzdump's configuration is in the root, and info shows the guest" {
        need_root
        make_tar
        compress zst
        mount_vmafs ct.tar.zst -o index=none
        cmp "$MNT/pct.conf" root/etc/vzdump/pct.conf
        run -0 "$VMAFS" info ct.tar.zst
        [[ $output == *'guest:        web01'* && $output == *'guest id:     123'* ]]
        [[ $output == *'not counted yet'* ]]
        "$VMAFS" index ct.tar.zst
        "$VMAFS" info --json ct.tar.zst >info.json
        [ "$(jq -c '[.view, .guest.id, .members.files, .members.links, .members.others]' info.json)" = \
                '["tree",123,6,1,3]' ]
}

@test "extract restores a folder with owners, modes, links and attributes, beside what is there" {
        need_root
        make_tar
        compress zst
        mkdir out
        "$VMAFS" extract -C out ct.tar.zst home/web usr etc/passwd
        [ "$(stat -c '%u:%g %a' out/web)" = '100033:100044 1770' ]
        [ "$(stat -c '%u %a %Y' out/web/secret)" = "100033 600 $(stat -c %Y root/home/web/secret)" ]
        [ "$(getfattr --only-values -n user.comment out/web/secret)" = 'as it was' ]
        getcap out/usr/bin/ping | grep -q cap_net_raw
        [ "$(readlink out/usr/link)" = ../etc/passwd ]
        cmp out/passwd root/etc/passwd
        run -1 "$VMAFS" extract -C out ct.tar.zst usr
        [[ $output == *'out/usr: is there already'* ]]
        run -2 "$VMAFS" extract -C out ct.tar.zst nowhere
}

@test "extract links names of one file, wherever they are in what is extracted" {
        need_root
        make_tar
        mkdir out
        "$VMAFS" extract -C out ct.tar
        same_tree out/ct
        [ "$(stat -c %i out/ct/etc/passwd)" = "$(stat -c %i out/ct/usr/same)" ]
        [ ! -e out/ct/pct.conf ]
}

@test "extract -O writes one file of a tree" {
        need_root
        make_tar
        "$VMAFS" extract -O ct.tar usr/bin/ping | cmp - root/usr/bin/ping
        run -2 "$VMAFS" extract -O ct.tar usr
}

@test "nothing is extracted through a link or out of the directory" {
        mkdir outside out
        ln -s "$PWD/outside" escape
        tar -cf ct.tar escape
        rm escape
        mkdir escape
        echo evil >escape/file
        echo evil >up
        tar --transform='s,^up,../up,' -Prf ct.tar escape/file up
        tar --transform="s,^up,$PWD/outside/absolute," -Prf ct.tar up
        "$VMAFS" extract -C out ct.tar
        [ -z "$(ls outside)" ]
        [ -f out/ct/escape/file ]
        [ -f out/ct/%2E%2E/up ]
}

@test "-o view decides, and is kept apart from what the index was made for" {
        mkdir dir
        noise 2000000 >dir/disk.raw
        ln -s nowhere dir/link
        tar -cf images.tar dir/disk.raw dir/link
        tar -cf tree.tar dir/link dir/disk.raw
        mount_vmafs images.tar
        [ -e "$MNT/disk-dir%2Fdisk.raw" ] || [ -e "$MNT/dir%2Fdisk.raw" ]
        unmount_all
        mount_vmafs images.tar -o view=tree
        cmp "$MNT/dir/disk.raw" dir/disk.raw
        unmount_all
        mount_vmafs images.tar
        [ ! -d "$MNT/dir" ]
        unmount_all
        mount_vmafs tree.tar
        [ -L "$MNT/dir/link" ]
        unmount_all
        mount_vmafs tree.tar -o view=images
        [ ! -d "$MNT/dir" ]
        unmount_all
        run -2 "$VMAFS" tree.tar "$MNT" -o view=flat
        [[ $output == *'view is tree or images'* ]]
}

@test "a tree that is cut off shows what is there, and what is cut cannot be read" {
        mkdir dir
        noise 100000 >dir/whole
        noise 100000 2 >dir/zcut
        tar --sort=name -cf ct.tar dir
        head -c 150000 ct.tar >short.tar
        mount_vmafs short.tar
        cmp "$MNT/dir/whole" dir/whole
        [ "$(stat -c %s "$MNT/dir/zcut")" -eq 100000 ]
        run -2 cmp "$MNT/dir/zcut" dir/zcut
        [[ $output == *'Input/output error'* ]]
        run -1 "$VMAFS" verify short.tar
        [[ $output == *'cut off'* ]]
}

# Damages the header of the member $1 of ct.tar.
damage_header() {
        local at

        at=$(grep -abom1 -F "$1" ct.tar | cut -d: -f1)
        printf 'x' | dd of=ct.tar bs=1 seek=$((at + 140)) conv=notrunc status=none
}

@test "a file whose header is damaged makes partial what it may have been in" {
        mkdir -p dir/below out
        noise 3000 >dir/below/file
        noise 3000 2 >dir/lost
        noise 3000 3 >dir/other
        ln -s nowhere dir/link
        tar -cf ct.tar dir/below dir/lost dir/other dir/link
        damage_header dir/lost
        run -1 "$VMAFS" extract -C out ct.tar
        [[ $output == *'ct.tar: the archive is damaged at byte '*'files may be missing'*'verify'* ]]
        cmp out/ct.partial/dir/other dir/other
        [ ! -e out/ct ] && [ ! -e out/ct.partial/dir/lost ]
        run -1 "$VMAFS" extract -C out ct.tar dir
        cmp out/dir.partial/below/file dir/below/file
        "$VMAFS" extract -C out ct.tar dir/other
        cmp out/other dir/other
}

@test "one bad sector costs what is on it and nothing else of a file" {
        mkdir dir out
        noise 3000000 >dir/file
        ln -s nowhere dir/link
        tar -cf ct.tar dir/link dir/file
        mount_gatefs ct.tar
        gate fail 1000000 1000100
        run -1 "$VMAFS" extract -C out "$GATED" dir/file
        [[ $output == *'dir/file: '*' KiB of it cannot be read'* ]]
        [ "$(stat -c %s out/file.partial)" -eq 3000000 ]
        run cmp -l out/file.partial dir/file
        [ "${#lines[@]}" -gt 0 ] && [ "${#lines[@]}" -le 8192 ]
}

@test "with direct_io a reader gets what is before a bad sector, and the error after it" {
        mkdir dir
        noise 3000000 >dir/file
        ln -s nowhere dir/link
        tar -cf ct.tar dir/link dir/file
        mount_gatefs ct.tar
        mount_vmafs "$GATED" -o direct_io,index=none
        wait_indexed
        gate fail 1000000 1000100
        dd if="$MNT/dir/file" of=got bs=1M count=1 status=none
        # The file begins at byte 1024 of the tar.
        [ "$(stat -c %s got)" -eq $((998976 / 4096 * 4096)) ]
        cmp -n 995328 got dir/file
        run ! dd if="$MNT/dir/file" of=/dev/null bs=4096 skip=243 count=1
}

@test "what is asked for before the scan has found all members waits, and can be interrupted" {
        "$TOOLS/mktree" 2000 >ct.tar
        mount_gatefs ct.tar
        gate open 1000000
        mount_vmafs "$GATED" -o index=none
        ls "$MNT" >early 3>&- &
        wait_for 60 reads_blocked 1
        run -130 timeout --preserve-status -s INT 0.3 env --default-signal=INT ls "$MNT"
        index_is complete && false
        [ ! -s early ]
        gate open all
        wait
        [ "$(cat early)" = srv ]
}

# Bytes that the process PID has to itself.
memory_of() {
        awk '/^RssAnon:/ { print $2 * 1024 }' "/proc/$1/status"
}

@test "members that the kernel knows take next to no memory" {
        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        "$TOOLS/mktree" --empty 100000 >ct.tar
        start_vmafs ct.tar -o view=tree,index=none,wait
        ls "$MNT" >/dev/null
        before=$(memory_of "$DAEMON")
        [ "$(find "$MNT" -type f -size 0 -links 1 | wc -l)" -eq 100000 ]
        stat -c %i "$MNT/4711" "$MNT/99999" >/dev/null
        after=$(memory_of "$DAEMON")
        echo "$before bytes before, $after after"
        [ $((after - before)) -lt 4000000 ]
}

# How many requests OP the mount has answered so far: requests LOOKUP
requests() {
        grep -a -c "opcode: $1 " requests.log || true
}

@test "the kernel looks up no folder that was listed, and no file after some of them" {
        local before

        "$TOOLS/mktree" 20000 >t.tar
        MNT=$BATS_TEST_TMPDIR/mnt
        mkdir "$MNT"
        "$VMAFS" t.tar "$MNT" -d -o index=none >requests.log 2>&1 3>&- &
        wait_for 60 mountpoint -q "$MNT"
        [ "$(find "$MNT" | wc -l)" -ge 20000 ]
        # A root's find of folders that are another's asks for no list of access rights, either.
        [ "$(requests LOOKUP)" -eq 0 ]
        [ "$(requests GETXATTR)" -eq 0 ]
        find "$MNT" -size 100000
        # The first folder's files; then now and then another folder's.
        before=$(requests LOOKUP)
        [ "$before" -ge 90 ]
        [ "$before" -lt 1000 ]
        find "$MNT" -size 100000
        # The kernel may have had a use for the memory of some names.
        [ "$(requests LOOKUP)" -lt $((before + 1000)) ]
}

@test "names that are not safe are shown as they are when extracted, and can be opened" {
        mkdir out
        printf one >$'a\001b'
        printf two >a%01b
        tar -cf ct.tar $'a\001b' a%01b
        mount_vmafs ct.tar -o view=tree
        [ "$(cat "$MNT/a%01b")" = one ]
        [ "$(cat "$MNT/a%01b~2")" = two ]
        "$VMAFS" extract --view=tree -C out ct.tar
        [ "$(names_in out/ct)" = "$(names_in "$MNT")" ]
}

@test "a list of access rights that names users without numbers is told of" {
        echo x >file
        tar --format=posix -cf ct.tar file \
                --pax-option=$'SCHILY.acl.access:=user::rw-\nuser:web:r--\ngroup::r--\nmask::r--\nother::r--'
        run -0 "$VMAFS" verify --view=tree ct.tar
        [[ $output == *'attributes of members are not shown in full: 1, as lists of access rights that name users without their numbers'* ]]
        start_vmafs ct.tar -o view=tree,index=none,wait
        wait_for 60 grep -q 'attributes of members are not shown in full: 1' "$LOG"
}

@test "verify takes an index for that of a tar that was copied since, whose root is not in it" {
        mkdir d
        echo x >d/file
        tar -cf ct.tar d/file
        xz -k ct.tar
        for tar in ct.tar ct.tar.xz; do
                touch -d 2026-01-01 $tar
                "$VMAFS" index --view=tree --file=$tar.vmafs $tar
                touch -d 2026-01-02 $tar
                run -0 "$VMAFS" verify --view=tree $tar
                [[ $output == *"index $tar.vmafs: agrees"* ]]
        done
}

@test "an index whose tree was changed is not used" {
        "$TOOLS/mktree" 100 >ct.tar
        mount_vmafs ct.tar -o index=kept.idx,wait
        unmount_all
        wait_for 60 test -s kept.idx
        printf '\377' | dd of=kept.idx bs=1 seek=400 conv=notrunc status=none
        mount_vmafs ct.tar -o index=kept.idx
        tar -C "$MNT" -df ct.tar
}

# The tree of tree.tar, whose index is in kept.idx, as find prints it.
keep_index() {
        "$TOOLS/mktree" "$1" >tree.tar
        mount_vmafs tree.tar -o index=kept.idx,wait
        (cd "$MNT" && find . | sort) >whole
        unmount_all
        wait_for 60 test -s kept.idx
}

# Bytes of memory that the daemon has of its own.
own_memory() {
        awk '/^RssAnon/ { print $2 * 1024 }' "/proc/$DAEMON/status"
}

@test "a mount with an index takes memory for what is asked of the tree" {
        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        keep_index 100000
        start_vmafs tree.tar -o index="$PWD/kept.idx"
        before=$(own_memory)
        ls "$MNT" >/dev/null
        [ "$(($(own_memory) - before))" -lt "$(($(stat -c %s kept.idx) / 8))" ]
        (cd "$MNT" && find . | sort) | cmp - whole
        [ "$(($(own_memory) - before))" -gt "$(($(stat -c %s kept.idx) / 2))" ]
        [ ! -s "$LOG" ]
}

@test "an index of a tree that is cut during a mount costs what was not asked for yet, and one line" {
        keep_index 20000
        start_vmafs tree.tar -o index="$PWD/kept.idx"
        names_in "$MNT" >shown
        truncate -s 4096 kept.idx
        run -1 find "$MNT"
        [[ $output == *"Input/output error"* ]]
        names_in "$MNT" | cmp - shown
        grep "its index $PWD/kept.idx cannot be read: Input/output error" "$LOG"
        [ ! -k kept.idx ]
        [ "$(wc -l <"$LOG")" -eq 1 ]
        unmount_all
        mount_vmafs tree.tar -o index=kept.idx,wait
        (cd "$MNT" && find . | sort) | cmp - whole
}

@test "an index of a tree that contradicts itself costs one mount what it is about" {
        keep_index 20000
        "$TOOLS/forge" --members kept.idx
        start_vmafs tree.tar -o index="$PWD/kept.idx"
        run -1 find "$MNT"
        [[ $output == *"Input/output error"* ]]
        [ "$(grep -c "Input/output error" <<<"$output")" -eq 1 ]
        grep "its index $PWD/kept.idx cannot be used any more: it contradicts itself, and is marked" "$LOG"
        [ "$(wc -l <"$LOG")" -eq 1 ]
        unmount_all
        mount_vmafs tree.tar -o index=kept.idx,wait
        (cd "$MNT" && find . | sort) | cmp - whole
        unmount_all
        [ ! -k kept.idx ]
}

@test "an index of a tree that contradicts itself costs no verb anything but a scan" {
        keep_index 4000
        mv kept.idx tree.tar.vmafs
        "$TOOLS/forge" --members tree.tar.vmafs
        run -0 "$VMAFS" verify tree.tar
        [[ $output == *"index tree.tar.vmafs: cannot be used: its members contradict each other"* ]]
        mkdir out
        "$VMAFS" extract -C out tree.tar
        (cd out/tree && find . | sort) | cmp - whole
        last=$(grep '\.txt$' whole | tail -n 1)
        "$VMAFS" extract -O tree.tar "${last#./}" | cmp - "out/tree/$last"
        [ ! -k tree.tar.vmafs ]
}

@test "an index of a tree that cannot be opened again is not said to agree" {
        keep_index 100
        "$TOOLS/forge" --members kept.idx
        for i in {8..20}; do
                (ulimit -n "$i" && "$VMAFS" verify --file=kept.idx tree.tar >"said.$i" 2>&1) || true
        done
        run -1 grep "index kept.idx: agrees" said.*
        grep "index kept.idx: cannot be used: Too many open files" said.*
        grep "index kept.idx: cannot be used: its members contradict each other" said.20
}
