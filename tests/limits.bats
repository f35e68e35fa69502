# SPDX-License-Identifier: GPL-2.0-or-later
# Each limit of the manual page's: what reaches it is read, what is over it is refused in clear words.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        mkdir mnt
}

# Neither info nor a mount takes the archive, and both say the words, and what it is.
refused_with() {
        run --separate-stderr "$VMAFS" info "$1"
        [ "$status" -eq 1 ] && one_line_says "$2" || return 1
        run --separate-stderr "$VMAFS" "$1" mnt -o index=none
        [ "$status" -eq 1 ] && one_line_says "$2" && is_gone mnt
}

# Puts a 64-bit number, big-endian in hexadecimal, at a byte of the archive, and seals its header.
patch_header() {
        perl -MDigest::MD5=md5 -e '
                open my $f, "+<", $ARGV[0] or die;
                read $f, my $h, 60;
                my $size = unpack "N", substr $h, 56, 4;
                seek $f, 0, 0;
                read $f, $h, $size;
                substr($h, $ARGV[1], 8) = pack "H*", $ARGV[2];
                substr($h, 32, 16) = "\0" x 16;
                substr($h, 32, 16) = md5($h);
                seek $f, 0, 0;
                print $f $h or die' "$@"
}

@test "a header of 2 MiB is read, one of a byte more refused" {
        make_data a.raw 100352
        mkvma -o a.vma --device a=a.raw --header-size=2M
        "$VMAFS" info a.vma
        mkvma -o a.vma --device a=a.raw --header-size=2097153
        refused_with a.vma "has a VMA header of 2097153 bytes; 12288 to 2097152 are possible, at byte 56"
}

@test "a disk of 256 TiB is listed, one of a block more refused" {
        cp "$DATA/good/tiny.vma" a.vma
        # The size of the first device.
        patch_header a.vma $((4096 + 32 + 8)) 0001000000000000
        "$VMAFS" info a.vma | grep -q 'disk-drive-scsi0.raw, 256.0 TiB (281474976710656 bytes)'
        patch_header a.vma $((4096 + 32 + 8)) 0001000000001000
        refused_with a.vma "claims a device of 281474976714752 bytes; VMA can address 256 TiB"
}

@test "an archive of more than 256 TiB is refused" {
        local big

        # A file system that takes a file of that size.
        big=$(mktemp /dev/shm/vmafs-limits.XXXXXX)
        cp "$DATA/good/tiny.vma" "$big"
        truncate -s 255T "$big"
        run "$VMAFS" info "$big"
        echo "$output"
        [ "$status" -eq 0 ]
        truncate -s 257T "$big"
        run refused_with "$big" "has 282574488338432 bytes; an archive has at most 256 TiB"
        rm "$big"
        echo "$output"
        [ "$status" -eq 0 ]
}

# The largest amount of memory that the process had, in KiB.
peak() {
        sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$1/status"
}

# Of each segment a part, so that none of it is done with; direct, so that nothing more is asked for.
# What such a reader passes by may be kept in smaller units than segments, so not all of the room is
# taken.
read_parts() {
        local mib

        for ((mib = 0; mib < 80; mib += 2)); do
                cmp -n 524288 -i $((mib * 1048576)) b.raw "$MNT/disk-b.raw"
        done
}

@test "decoded data take the memory that cache= allows, not the archive's size" {
        local small large

        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        noise 80M >b.raw
        mkvma -o b.vma --device b=b.raw
        zstd -q -1 b.vma
        start_vmafs b.vma.zst -o index=none,cache=16M,threads=1,direct_io
        read_parts
        small=$(peak "$DAEMON")
        umount "$MNT"
        start_vmafs b.vma.zst -o index=none,cache=80M,threads=1,direct_io
        read_parts
        large=$(peak "$DAEMON")
        echo "$small KiB with 16 MiB of cache, $large KiB with 80 MiB"
        [ $((large - small)) -gt $((16 * 1024)) ]
        [ "$small" -lt $((128 * 1024)) ]
}
