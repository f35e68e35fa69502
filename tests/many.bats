# SPDX-License-Identifier: GPL-2.0-or-later
#
# A tar of very many files: all of them are found, each has its bytes, and memory stays bounded.
load helpers
bats_require_minimum_version 1.5.0

FILES=100000
# Bytes that each file may take of the program: its name, its attributes, where it lies. It takes
# about 190.
EACH=300

# A tar of COUNT files, "file-N" with a line that says the same.
many() {
        perl -e 'for my $i (0 .. $ARGV[0] - 1) {
                my ($name, $text) = ("file-$i", "file-$i\n");
                my $h = pack "a100 a8 a8 a8 a12 a12 A8 a1 a100 a6 a2 a247", $name, "0000644", "0000000",
                        "0000000", sprintf("%011o", length $text), "14524546400", "", "0", "",
                        "ustar", "00", "";
                substr($h, 148, 8) = sprintf "%06o\0 ", unpack "%32C*", $h;
                print $h, pack "a512", $text;
        }
        print "\0" x 10240' "$1"
}

setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        many "$FILES" >many.tar
        many 1 >one.tar
        [ "$(tar -tf many.tar | wc -l)" -eq "$FILES" ]
        zstd -q many.tar
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
}

# Mounting it anew makes the kernel forget all that it knows of this mount, and of no other.
forget_all() {
        need_root
        mount -i -o remount,ro "$MNT"
}

resident() {
        sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$DAEMON/status"
}

# Every file of the mount by name, and some by their bytes.
expect_all() {
        local i

        [ "$(find "$MNT" -type f | wc -l)" -eq "$FILES" ]
        [ "$(find "$MNT" -type f -size 1 | wc -l)" -eq "$FILES" ]
        for ((i = 7; i < FILES; i += 9973)); do
                [ "$(cat "$MNT/file-$i")" = "file-$i" ]
        done
        [ ! -e "$MNT/file-$FILES" ]
        [ "$(find "$MNT" -type f -printf '%i\n' | sort -u | wc -l)" -eq "$FILES" ]
}

@test "a hundred thousand files are found, also once the kernel has forgotten them" {
        local before

        start_vmafs "$BATS_FILE_TMPDIR/many.tar" -o index=none
        before=$(stat -c %i "$MNT/file-4711")
        expect_all
        forget_all
        expect_all
        [ "$(stat -c %i "$MNT/file-4711")" = "$before" ]
}

@test "each of them takes little memory" {
        local alone

        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        start_vmafs "$BATS_FILE_TMPDIR/one.tar" -o index=none
        [ "$(cat "$MNT/file-0")" = file-0 ]
        alone=$(resident)
        umount "$MNT"
        start_vmafs "$BATS_FILE_TMPDIR/many.tar" -o index=none
        expect_all
        echo "$(resident) KiB, of one file $alone"
        [ "$(resident)" -le $((alone + FILES * EACH / 1024)) ]
}

@test "compressed, and with an index that is kept" {
        start_vmafs "$BATS_FILE_TMPDIR/many.tar.zst"
        expect_all
        wait_indexed
        umount "$MNT"
        start_vmafs "$BATS_FILE_TMPDIR/many.tar.zst"
        expect_all
}

@test "info, verify and extract -O take them too" {
        [ "$("$VMAFS" info "$BATS_FILE_TMPDIR/many.tar" | grep -c '^file: ')" -eq "$FILES" ]
        "$VMAFS" verify "$BATS_FILE_TMPDIR/many.tar" >out
        [ "$("$VMAFS" extract -O "$BATS_FILE_TMPDIR/many.tar.zst" file-99999)" = file-99999 ]
}
