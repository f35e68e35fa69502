# SPDX-License-Identifier: GPL-2.0-or-later
# Logical volumes that LVM's own tools have made, without device-mapper: each is what its segments say.
# shellcheck disable=SC2153,SC2154 # what datastore.bash and run set
load helpers
load datastore
bats_require_minimum_version 1.5.0

setup() {
        need_root
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        mkdir lvm
        cat >lvm/lvm.conf <<END
backup { backup = 0
 archive = 0 }
global { locking_dir = "$PWD/lvm"
 event_activation = 0 }
devices { use_devicesfile = 0 }
END
}

teardown() {
        detach_loops "$BATS_TEST_TMPDIR"
        unmount_all
}

# One of LVM's tools, for the loop devices in LOOPS alone, without the kernel's device-mapper.
tool() {
        LVM_SYSTEM_DIR=$PWD/lvm LVM_SUPPRESS_FD_WARNINGS=1 "$1" --devices "$LOOPS" --driverloaded n \
                "${@:2}" 2>>lvm.log
}

# The group guestvg on the disk a.raw and the second partition of b.raw. LOOP_A and LOOP_B are where
# its physical volumes are until end_group.
make_group() {
        make_data a.raw 33554432
        make_data b.raw 41943040 9000000
        printf '%s\n' start=64,size=900 start=2048,size=66000 | sfdisk -q b.raw
        LOOP_A=$(losetup -f --show a.raw)
        LOOP_B=$(losetup -f --show -o 1048576 --sizelimit $((66000 * 512)) b.raw)
        LOOPS=$LOOP_A,$LOOP_B
        tool pvcreate -q -y -ff "$LOOP_A" "$LOOP_B"
        tool vgcreate -q -s 512k guestvg "$LOOP_A" "$LOOP_B"
}

# add NAME EXTENTS [OPTION...]
add() {
        tool lvcreate -q -y -an -Zn -Wn -n "$1" -l "$2" "${@:3}"
}

end_group() {
        tool vgcfgbackup -q -f group.txt guestvg
        tool lvs --noheadings -a --units b --nosuffix --separator '|' \
                -o lv_name,seg_start,stripes,stripe_size,seg_pe_ranges --segments guestvg | tr -d ' ' >segments
        START_A=$(tool pvs --noheadings --units b --nosuffix -o pe_start "$LOOP_A" | tr -d ' ')
        START_B=$(tool pvs --noheadings --units b --nosuffix -o pe_start "$LOOP_B" | tr -d ' ')
        sync a.raw b.raw
        losetup -d "$LOOP_A"
        losetup -d "$LOOP_B"
}

# Prints extent NUMBER of physical volume DEVICE, LENGTH bytes from byte OFFSET of it.
extent() {
        local file=a.raw start=$START_A

        [ "$1" = "$LOOP_A" ] || file=b.raw start=$((START_B + 1048576))
        tail -c "+$((start + $2 * 524288 + $3 + 1))" $file | head -c "$4"
}

# Prints what the volume NAME holds, by what lvs has said of its segments: volume NAME
volume() {
        local stripes size ranges range count first last at

        grep "^$1|" segments | while IFS='|' read -r _ _ stripes size ranges; do
                mapfile -t ranges < <(grep -oE '/dev/loop[0-9]+:[0-9]+-[0-9]+' <<<"$ranges")
                [ "${#ranges[@]}" -eq "$stripes" ]
                first=${ranges[0]#*:} last=${ranges[0]#*-}
                count=$(((last - ${first%-*} + 1) * 524288))
                [ "$stripes" -gt 1 ] || size=$count
                for ((at = 0; at < count; at += size)); do
                        for range in "${ranges[@]}"; do
                                first=${range#*:}
                                extent "${range%:*}" "${first%-*}" "$at" "$size"
                        done
                done
        done
}

make_archive() {
        mkvma -o g.vma --device a=a.raw --device b=b.raw --order=shuffle
        zstd -qk g.vma
}

@test "linear and striped volumes over two disks are what LVM says, in a mount and over NBD" {
        make_group
        add lin 7 guestvg "$LOOP_A"
        add str 12 -i 2 -I 64k guestvg
        add lin2 3 guestvg "$LOOP_B"
        tool lvextend -q -l +5 guestvg/lin "$LOOP_B"
        end_group
        cat segments
        for name in lin str lin2; do
                volume $name >$name.expected
        done
        [ "$(stat -c %s lin.expected)" -eq $((12 * 524288)) ]
        make_archive
        for archive in g.vma g.vma.zst; do
                mount_vmafs $archive -o partitions
                [ "$(names_in "$MNT/lvm")" = guestvg ]
                [ "$(names_in "$MNT/lvm/guestvg")" = "$(printf 'lin.raw\nlin2.raw\nstr.raw')" ]
                for name in lin str lin2; do
                        cmp $name.expected "$MNT/lvm/guestvg/$name.raw"
                done
                run ! getfattr -n user.vmafs.error "$MNT/lvm/guestvg"
                fusermount3 -u "$MNT"
                # shellcheck disable=SC2016 # the variables are nbdkit's
                nbdkit -U - "${VMAFS%/*}/nbdkit-vmafs-plugin.so" $archive partitions=true --run '
                        set -e
                        for name in lin str lin2; do
                                nbdcopy "nbd+unix:///lvm/guestvg/$name.raw?socket=$unixsocket" - |
                                        cmp - $name.expected
                        done
                        nbdinfo --list --json "$uri"' 3>&- >list
                [ "$(jq -r '.exports[]["export-name"]' list | grep -c '^lvm/guestvg/')" -eq 3 ]
        done
}

@test "logical volumes are shown of each archive in a folder, and of each snapshot in a datastore" {
        local name

        make_group
        add here 7 guestvg "$LOOP_A"
        add away 4 guestvg "$LOOP_B"
        end_group
        volume here >here.expected
        volume away >away.expected
        make_archive
        mkdir d
        mv g.vma.zst d
        mount_vmafs d -o partitions
        [ "$(names_in "$MNT/g.vma.zst/lvm/guestvg")" = "$(printf 'away.raw\nhere.raw')" ]
        for name in here away; do
                cmp $name.expected "$MNT/g.vma.zst/lvm/guestvg/$name.raw"
        done
        run ! getfattr -n user.vmafs.error "$MNT/g.vma.zst/lvm/guestvg"
        fusermount3 -u "$MNT"
        # A snapshot of the first disk alone.
        ln a.raw image
        CHUNK=1048576 make_store
        mount_vmafs ds -o partitions
        [ "$(names_in "$MNT/$FIRST/lvm/guestvg")" = here.raw ]
        cmp here.expected "$MNT/$FIRST/lvm/guestvg/here.raw"
        [ "$(getfattr --only-values -n user.vmafs.error "$MNT/$FIRST/lvm/guestvg")" = \
                'away lies on pv1, which is not in the archive' ]
        "$VMAFS" extract -O ds "$FIRST/lvm/guestvg/here.raw" | cmp - here.expected
        "$VMAFS" map --output=json ds "$FIRST/lvm/guestvg/here.raw" | jq -e 'map(.length) | add == 3670016'
        "$VMAFS" info --partitions "ds/$FIRST" | grep -q '^volume group: *guestvg'
}

@test "extract and map take logical volumes" {
        make_group
        add str 12 -i 2 -I 64k guestvg
        end_group
        volume str >str.expected
        make_archive
        "$VMAFS" extract -C . g.vma.zst lvm/guestvg/str.raw
        cmp str.expected lvm/guestvg/str.raw
        "$VMAFS" extract -O g.vma 'lvm/*/str.raw' | cmp - str.expected
        "$VMAFS" map --output=json g.vma lvm/guestvg/str.raw >map.json
        jq -r '.[] | "\(.start) \(.length) \(.offset)"' map.json | while read -r start length offset; do
                cmp -n "$length" -i "$start:$offset" str.expected g.vma
        done
        jq -e 'map(.length) | add == 6291456' map.json
        run --separate-stderr "$VMAFS" extract g.vma lvm/guestvg/nothing.raw
        [ "$status" -eq 2 ]
        one_line_says 'holds no file named lvm/guestvg/nothing.raw'
}

@test "a volume with a file system is used as a disk" {
        make_group
        mkdir tree
        noise 2000000 >tree/big
        truncate -s 10M fs
        mkfs.ext4 -q -d tree fs
        add root 20 guestvg "$LOOP_B"
        first=$(tool lvs --noheadings -o seg_pe_ranges guestvg/root | grep -oE ':[0-9]+' | tr -d :)
        start=$(tool pvs --noheadings --units b --nosuffix -o pe_start "$LOOP_B" | tr -d ' ')
        dd if=fs of=b.raw bs=4096 seek=$(((1048576 + start + first * 524288) / 4096)) conv=notrunc status=none
        end_group
        make_archive
        mount_vmafs g.vma.zst -o partitions
        [ "$(getfattr --only-values -n user.vmafs.filesystem "$MNT/lvm/guestvg/root.raw")" = ext4 ]
        [ "$(getfattr --only-values -n user.vmafs.filesystem "$MNT/disk-b.parts/2.raw")" = LVM2_member ]
        mkdir r
        mount -o ro,loop,noload "$MNT/lvm/guestvg/root.raw" r
        cmp tree/big r/big
        umount r
}

# Gives the group the text that stdin adds to its volumes, by vgcfgrestore.
restore_with() {
        tool vgcfgbackup -q -f group.txt guestvg
        awk -v more="$(cat)" '{ print } /logical_volumes \{/ { print more }' group.txt >more.txt
        tool vgcfgrestore -q --force -f more.txt guestvg
}

# linear NAME FLAGS EXTENT COUNT DEVICE: the text of a linear volume
linear() {
        cat <<END
$1 {
id = "$(printf '%s' "$1" | sha256sum | sed -E 's/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6}).*/\1-\2-\3-\4-\5-\6-\7/')"
status = ["READ", "WRITE"$2]
flags = []
segment_count = 1
segment1 {
start_extent = 0
extent_count = $4
type = "striped"
stripe_count = 1
stripes = ["$5", $3]
}
}
END
}

@test "raid1 is read by its first leg, and what is not read is named" {
        make_group
        add lin 4 guestvg "$LOOP_A"
        {
                linear r_rmeta_0 '' 10 1 pv0
                linear r_rimage_0 '' 11 3 pv0
                linear r_rmeta_1 '' 10 1 pv1
                linear r_rimage_1 '' 11 3 pv1
                linear r ', "VISIBLE"' 0 3 pv0 |
                        sed 's/"striped"/"raid1"/; s/stripe_count = 1/device_count = 2\nregion_size = 1024/
                                s/stripes = .*/raids = ["r_rmeta_0", "r_rimage_0", "r_rmeta_1", "r_rimage_1"]/'
        } | restore_with
        end_group
        make_archive
        mount_vmafs g.vma -o partitions
        [ "$(names_in "$MNT/lvm/guestvg")" = "$(printf 'lin.raw\nr.raw')" ]
        cmp <(extent "$LOOP_A" 11 0 $((3 * 524288))) "$MNT/lvm/guestvg/r.raw"
}

@test "a volume on a disk that is not in the archive is named, and the others are shown" {
        make_group
        add here 4 guestvg "$LOOP_A"
        add away 4 guestvg "$LOOP_B"
        end_group
        volume here >here.expected
        mkvma -o one.vma --device a=a.raw
        mount_vmafs one.vma -o partitions
        [ "$(names_in "$MNT/lvm/guestvg")" = here.raw ]
        cmp here.expected "$MNT/lvm/guestvg/here.raw"
        [ "$(getfattr --only-values -n user.vmafs.error "$MNT/lvm/guestvg")" = \
                'away lies on pv1, which is not in the archive' ]
}

@test "a disk that is there twice gives no volume" {
        make_group
        add lin 4 guestvg "$LOOP_A"
        end_group
        mkvma -o twice.vma --device a=a.raw --device c=a.raw
        mount_vmafs twice.vma -o partitions
        [ -z "$(names_in "$MNT/lvm/guestvg")" ]
        [ "$(getfattr --only-values -n user.vmafs.error "$MNT/lvm/guestvg")" = \
                'lin lies on pv0, which is in the archive twice' ]
}

@test "without LVM the folder is empty" {
        make_data a.raw 1048576
        mkvma -o a.vma --device a=a.raw
        mount_vmafs a.vma -o partitions
        [ -z "$(names_in "$MNT/lvm")" ]
}

@test "info --partitions names the volumes, and what is wrong with those that are not shown" {
        make_group
        add here 4 guestvg "$LOOP_A"
        add away 6 guestvg "$LOOP_B"
        end_group
        mkvma -o one.vma --device a=a.raw
        "$VMAFS" info --partitions --json one.vma >info.json
        jq -e '."volume-groups" | length == 1 and .[0].name == "guestvg" and (.[0].volumes |
                map([.name, .file, .size]) == [["here", "lvm/guestvg/here.raw", 2097152], ["away", null, 3145728]])' info.json
        jq -e '."volume-groups"[0].volumes[1].problem == "lies on pv1, which is not in the archive"' info.json
        run --separate-stderr "$VMAFS" info --partitions one.vma
        grep -qE '^volume group: *guestvg$' <<<"$output"
        grep -qE '^ *here +2\.0 MiB' <<<"$output"
}
