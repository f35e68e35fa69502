# SPDX-License-Identifier: GPL-2.0-or-later
# What a mounted archive shows: names, attributes, holes, and every byte.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# An archive ragged.vma of the disk a.raw and of a configuration, shuffled, mounted and indexed.
mount_ragged() {
        make_ragged_disk a.raw
        echo "name: guest" >conf
        mkvma -o ragged.vma --device a=a.raw --config guest.conf=conf --order=shuffle
        mount_vmafs ragged.vma "$@"
        wait_indexed
}

# Fails unless each command says that the file system is read-only.
refused_as_read_only() {
        local command

        for command in "$@"; do
                run bash -c "cd '$MNT' && $command"
                echo "$command: $status $output"
                [ "$status" -ne 0 ] && [[ $output == *"Read-only file system"* ]] || return 1
        done
}

CHANGES=(
        'echo x >new' 'echo x >>disk-a.raw' 'dd if=/dev/zero of=disk-a.raw count=1 conv=notrunc'
        'truncate -s 0 disk-a.raw' 'fallocate -l 9M disk-a.raw' 'rm -f guest.conf' 'mkdir d'
        'rmdir guest.conf/ 2>&1 || rm -f guest.conf' 'mv guest.conf other' 'ln guest.conf other'
        'ln -s guest.conf other' 'mkfifo other' 'mknod other c 1 3' 'chmod 600 guest.conf'
        'chown 1 guest.conf' 'touch -d 2001-01-01 guest.conf'
        'setfattr -n user.x -v y guest.conf' 'setfattr -x user.vmafs.device disk-a.raw'
)

@test "without /dev/fuse it is said that there is none" {
        need_root
        : >null
        mkdir mnt
        # shellcheck disable=SC2016 # the inner shell expands them
        run --separate-stderr unshare --mount --propagation private sh -c '
                mount --bind /dev/null null && mount -t tmpfs none /dev &&
                        : >/dev/null && mount --bind null /dev/null && exec "$0" "$1" "$2"' \
                "$VMAFS" "$DATA/good/tiny.vma" mnt
        [ "$status" -eq 1 ]
        one_line_says "$PWD/mnt: cannot be mounted on: there is no /dev/fuse: load the module with modprobe fuse"
}

@test "the genuine tiny archive shows its disk and its configuration, byte for byte" {
        mount_vmafs "$DATA/good/tiny.vma"
        [ "$(ls -A "$MNT")" = "$(printf 'disk-drive-scsi0.raw\nqemu-server.conf')" ]
        [ "$(sha "$MNT/disk-drive-scsi0.raw")" = "$TINY_DISK" ]
        [ "$(sha "$MNT/qemu-server.conf")" = "$TINY_CONF" ]
        [ "$(stat -c %s "$MNT/disk-drive-scsi0.raw")" -eq 1048576 ]
}

@test "every genuine archive shows what its contents list says" {
        local hash size archive name

        reference_dir
        for archive in "$REFERENCE"/*.vma; do
                mount_vmafs "$archive"
                archive=$(basename "$archive" .vma)
                while read -r hash size _ name; do
                        echo "$archive $name"
                        [ "$(stat -c %s "$MNT/$name")" -eq "$size" ]
                        [ "$(sha "$MNT/$name")" = "$hash" ]
                done < <(awk -v a="$archive" '$3 == a' "$REFERENCE/CONTENTS")
                [ "$(names_in "$MNT" | wc -l)" -eq "$(grep -c " $archive " "$REFERENCE/CONTENTS")" ]
        done
}

@test "every genuine disk's holes are its zero blocks, and st_blocks counts the others" {
        local archive disk

        reference_dir
        for archive in "$REFERENCE"/*.vma; do
                mount_vmafs "$archive"
                wait_indexed
                for disk in "$MNT"/disk-*; do
                        echo "$archive $disk"
                        holes "$disk" | diff - <(holes --nonzero "$disk")
                        [ "$(stat -c %b "$disk")" -eq "$(nonzero_blocks "$disk")" ]
                done
        done
}

@test "a shuffled archive's disk equals the image, with an end inside a block" {
        mount_ragged
        [ "$(stat -c %s "$MNT/disk-a.raw")" -eq "$DISK_SIZE" ]
        cmp a.raw "$MNT/disk-a.raw"
        cmp conf "$MNT/guest.conf"
}

@test "SEEK_DATA and SEEK_HOLE name just the blocks that are not zero" {
        mount_ragged
        holes "$MNT/disk-a.raw" | diff - <(holes --nonzero a.raw)
}

@test "a configuration file is data to its end" {
        mount_ragged
        [ "$(holes "$MNT/guest.conf")" = "0 12" ]
        [ "$(stat -c %b "$MNT/guest.conf")" -eq 8 ]
}

@test "st_blocks counts the stored blocks exactly" {
        mount_ragged
        [ "$(stat -c %b "$MNT/disk-a.raw")" -eq "$(nonzero_blocks a.raw)" ]
}

@test "a disk of zeros is a hole" {
        truncate -s 10M a.raw
        mkvma -o zero.vma --device a=a.raw
        mount_vmafs zero.vma
        wait_indexed
        [ -z "$(holes "$MNT/disk-a.raw")" ]
        [ "$(stat -c %b "$MNT/disk-a.raw")" -eq 0 ]
        cmp a.raw "$MNT/disk-a.raw"
}

@test "the mounter alone may read: 0600 files in a 0700 directory" {
        mount_ragged
        [ "$(stat -c '%a %u %g %h' "$MNT")" = "700 $(id -u) $(id -g) 2" ]
        [ "$(stat -c '%a %u %g %h %F' "$MNT/disk-a.raw")" = "600 $(id -u) $(id -g) 1 regular file" ]
        [ "$(stat -c '%a %u %g' "$MNT/guest.conf")" = "600 $(id -u) $(id -g)" ]
}

@test "a copy of a mount can be changed and removed" {
        mount_ragged
        umask 022
        cp -r "$MNT" copy
        # Root may do it whatever the modes are.
        [ "$(stat -c %a copy copy/disk-a.raw copy/guest.conf | xargs)" = "700 600 600" ]
        echo x >>copy/disk-a.raw
        rm -r copy
}

@test "umask=, uid= and gid= decide the owner and the permissions" {
        mount_ragged -o umask=022,uid=1234,gid=5678
        [ "$(stat -c '%a %u %g' "$MNT")" = "755 1234 5678" ]
        [ "$(stat -c '%a %u %g' "$MNT/disk-a.raw")" = "644 1234 5678" ]
}

@test "times are the backup's" {
        make_data a.raw 65536
        mkvma -o a.vma --device a=a.raw --ctime=1234567890
        mount_vmafs a.vma
        [ "$(stat -c '%Y %Z' "$MNT" "$MNT/disk-a.raw" | sort -u)" = "1234567890 1234567890" ]
}

@test "extended attributes describe the archive and each disk's device" {
        mount_vmafs "$DATA/good/tiny.vma"
        wait_indexed
        getfattr --absolute-names -d "$MNT" | grep '=' | sort | diff - <(
                echo 'user.vmafs.compression="none"'
                echo 'user.vmafs.ctime="1795245576"'
                echo 'user.vmafs.decoded="0"'
                echo 'user.vmafs.format="vma"'
                echo 'user.vmafs.index="complete"'
                echo 'user.vmafs.uuid="55e594a0-0d3e-4c75-a9f1-ca42a9d5988d"'
        )
        [ "$(getfattr --absolute-names -d "$MNT/disk-drive-scsi0.raw" | grep "=")" = \
                'user.vmafs.device="drive-scsi0"' ]
        [ -z "$(getfattr --absolute-names -d "$MNT/qemu-server.conf")" ]
        run getfattr -n user.absent "$MNT"
        [[ $output == *"No such attribute"* ]]
}

@test "df shows the size of all files, and no room" {
        mount_vmafs "$DATA/good/tiny.vma"
        [ "$(stat -f -c '%s %b %f %a %l' "$MNT")" = "4096 257 0 0 255" ]
        [ "$(df --output=used -B1 "$MNT" | tail -1 | tr -d ' ')" -eq $((257 * 4096)) ]
}

@test "every change is refused as read-only" {
        mount_ragged
        refused_as_read_only "${CHANGES[@]}"
}

@test "every change is refused as read-only even when the mount is made writable" {
        need_root
        mount_ragged
        mount -i -o remount,rw "$MNT"
        refused_as_read_only "${CHANGES[@]}"
        cmp a.raw "$MNT/disk-a.raw"
}

@test "what is not there is not there" {
        mount_ragged
        run cat "$MNT/absent" "$MNT/disk-a.raw/below" "$MNT/absent/below"
        [ "$status" -ne 0 ]
        [[ ${lines[0]} == *"No such file"* ]]
        [[ ${lines[1]} == *"Not a directory"* ]]
        [[ ${lines[2]} == *"No such file"* ]]
        [ "$(readlink -f "$MNT/..")" = "$BATS_TEST_TMPDIR" ]
}

@test "dd of odd ranges gives the image's bytes" {
        local range

        mount_ragged
        # block size, skip: inside a block, over blocks, over clusters, over holes, to the end
        for range in "1 4095" "3 21845" "511 1000" "4097 3" "65537 4" "99991 15" "700001 1" \
                "1048577 5" "$DISK_SIZE 0" "512 $((DISK_SIZE / 512 - 1))"; do
                read -ra range <<<"$range"
                echo "bs=${range[0]} skip=${range[1]}"
                dd if="$MNT/disk-a.raw" bs="${range[0]}" skip="${range[1]}" count=3 status=none >got
                dd if=a.raw bs="${range[0]}" skip="${range[1]}" count=3 status=none | cmp - got
        done
        [ "$(dd if="$MNT/disk-a.raw" bs=1 skip="$DISK_SIZE" status=none | wc -c)" -eq 0 ]
}

@test "eight readers of odd block sizes at once all get the image" {
        local pids=() pid bs

        mount_ragged
        for bs in 513 4095 7777 12289 65535 100003 524289 1048577; do
                dd if="$MNT/disk-a.raw" bs=$bs status=none 3>&- | cmp - a.raw 3>&- &
                pids+=($!)
        done
        for pid in "${pids[@]}"; do
                wait "$pid"
        done
}

@test "a private and a shared mapping give the image" {
        mount_ragged
        "$TOOLS/mapread" private "$MNT/disk-a.raw" | cmp - a.raw
        "$TOOLS/mapread" shared "$MNT/disk-a.raw" | cmp - a.raw
}

@test "O_DIRECT reads of a cached mount give the image" {
        mount_ragged
        dd if="$MNT/disk-a.raw" iflag=direct bs=65536 status=none | cmp - a.raw
        dd if="$MNT/disk-a.raw" iflag=direct bs=512 count=64 skip=500 status=none |
                cmp - <(dd if=a.raw bs=512 count=64 skip=500 status=none)
}

@test "with direct_io every read size gives the image, and holes stay holes" {
        mount_ragged -o direct_io
        cmp a.raw "$MNT/disk-a.raw"
        cmp conf "$MNT/guest.conf"
        head -c 500000 "$MNT/disk-a.raw" | cmp - <(head -c 500000 a.raw)
        dd if="$MNT/disk-a.raw" bs=512 count=1000 status=none | cmp - <(head -c 512000 a.raw)
        dd if="$MNT/disk-a.raw" bs=3M status=none | cmp - a.raw
        holes "$MNT/disk-a.raw" | diff - <(holes --nonzero a.raw)
}

@test "with a single thread everything is there too" {
        mount_ragged -s
        cmp a.raw "$MNT/disk-a.raw"
        cmp conf "$MNT/guest.conf"
}

@test "configuration files of 0 and of 65535 bytes" {
        : >none
        make_data full 65535
        mkvma -o c.vma --config none=none --config full=full
        mount_vmafs c.vma
        [ "$(stat -c %s "$MNT/none")" -eq 0 ]
        [ "$(wc -c <"$MNT/none")" -eq 0 ]
        cmp full "$MNT/full"
        tail -c 5000 "$MNT/full" | cmp - <(tail -c 5000 full)
}

@test "256 configuration files" {
        local options=() i

        for i in {0..255}; do
                echo "file $i" >"$i"
                options+=(--config "$i.conf=$i")
        done
        mkvma -o c.vma "${options[@]}"
        mount_vmafs c.vma
        [ "$(names_in "$MNT" | wc -l)" -eq 256 ]
        for i in {0..255}; do
                cmp "$i" "$MNT/$i.conf"
        done
}

@test "254 devices" {
        local options=() i

        for i in {1..254}; do
                make_data "$i" 4096 $((i * 256))
                options+=(--device "d$i=$i@$i")
        done
        mkvma -o d.vma "${options[@]}" --order=shuffle
        mount_vmafs d.vma
        wait_indexed
        [ "$(names_in "$MNT" | wc -l)" -eq 254 ]
        for i in {1..254}; do
                cmp "$i" "$MNT/disk-d$i.raw"
        done
}

@test "no devices, no configurations, nothing at all" {
        echo x >x
        make_data a.raw 65536
        mkvma -o files.vma --config x=x
        mkvma -o disks.vma --device a=a.raw
        mkvma -o empty.vma
        mount_vmafs files.vma
        [ "$(ls -A "$MNT")" = x ]
        mount_vmafs disks.vma
        [ "$(ls -A "$MNT")" = disk-a.raw ]
        mount_vmafs empty.vma
        wait_indexed
        [ -z "$(ls -A "$MNT")" ]
}

@test "the RAM state is as long as what is stored, its zero blocks kept" {
        make_disk ram 3145728 0-3 40-50 300-310 760-767
        make_data a.raw 200192
        mkvma -o s.vma --vmstate ram --vmstate-size=1M --device a=a.raw --order=shuffle
        mount_vmafs s.vma
        [ "$(ls -A "$MNT")" = "$(printf 'disk-a.raw\nvmstate.bin')" ]
        [ "$(stat -c %s "$MNT/vmstate.bin")" -eq 3145728 ]
        cmp ram "$MNT/vmstate.bin"
        cmp a.raw "$MNT/disk-a.raw"
        holes "$MNT/vmstate.bin" | diff - <(holes --nonzero ram)
}

@test "a RAM state no longer than it says has the size it says" {
        make_data ram 1000448
        mkvma -o s.vma --vmstate ram
        mount_vmafs s.vma
        [ "$(stat -c %s "$MNT/vmstate.bin")" -eq 1000448 ]
        cmp ram "$MNT/vmstate.bin"
}

@test "disks of one sector, of a cluster and a sector, of a block less a sector" {
        make_data a.raw 512
        make_data b.raw $((65536 + 512)) 5000
        make_data c.raw $((4096 - 512)) 90000
        mkvma -o p.vma --device a=a.raw --device b=b.raw --device c=c.raw
        mount_vmafs p.vma
        wait_indexed
        for name in a b c; do
                cmp $name.raw "$MNT/disk-$name.raw"
                holes "$MNT/disk-$name.raw" | diff - <(holes --nonzero $name.raw)
                [ "$(stat -c %b "$MNT/disk-$name.raw")" -eq "$(nonzero_blocks $name.raw)" ]
        done
}

@test "headers of an odd size and of 2 MiB" {
        local size

        make_data a.raw 100352
        make_data conf 400
        for size in 12801 100003 2M; do
                mkvma -o h.vma --device a=a.raw --config c=conf --header-size=$size
                mount_vmafs h.vma
                cmp a.raw "$MNT/disk-a.raw"
                cmp conf "$MNT/c"
                rm h.vma
        done
}

@test "extents of one slot and of all 59 slots" {
        local slots

        make_ragged_disk a.raw
        for slots in 1 59; do
                mkvma -o s.vma --device a=a.raw --slots=$slots --order=reverse
                mount_vmafs s.vma
                cmp a.raw "$MNT/disk-a.raw"
                rm s.vma
        done
}
