# SPDX-License-Identifier: GPL-2.0-or-later
# Archives that are written to in place and get their old mtime back, and others that only look as
# if they were.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

# Two archives of one size, which differ in what their disks hold and not in their ends.
setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        make_data a.raw $((2 * 1024 * 1024))
        cp a.raw b.raw
        make_data middle $((1024 * 1024)) 90000000
        dd if=middle of=b.raw bs=512K seek=1 conv=notrunc status=none
        mkvma -o a.vma --device a=a.raw --uuid=55e594a0-0d3e-4c75-a9f1-ca42a9d5988d --ctime=1795245576
        mkvma -o b.vma --device a=b.raw --uuid=55e594a0-0d3e-4c75-a9f1-ca42a9d5988d --ctime=1795245576
        [ "$(stat -c %s a.vma)" -eq "$(stat -c %s b.vma)" ]
        cmp -n 65536 a.vma b.vma
        cmp <(tail -c 65536 a.vma) <(tail -c 65536 b.vma)
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        RAW=$BATS_FILE_TMPDIR/a.raw
        cp "$BATS_FILE_TMPDIR"/[ab].vma .
        touch -r "$BATS_FILE_TMPDIR/a.vma" a.vma b.vma
}

# dd conv=notrunc, and touch -r: rewrite OTHER ARCHIVE
rewrite() {
        touch -r "$2" times
        dd if="$1" of="$2" conv=notrunc bs=1M status=none
        touch -r times "$2"
}

# Reads the mounted disk. Sets WRONG to how many blocks are wrong, and LOST to how many of 64 KiB
# are errors.
count_blocks() {
        # Past the page cache.
        dd if="$MNT/disk-a.raw" of=got bs=64K iflag=direct conv=noerror,sync 2>errors || true
        LOST=$(grep -c 'Stale file handle\|Input/output error' errors || true)
        # What could not be read is zeros in got, and nothing else is.
        WRONG=$(cmp -l got "$RAW" | awk '$2 != 0 { b[int(($1 - 1) / 4096)] = 1 } END { print length(b) }')
        echo "$WRONG wrong, $LOST lost"
}

# No block is given any more once the archive was rewritten, and the log says why.
rewriting_is_seen() {
        rm -f a.vma
        cp -p "$BATS_FILE_TMPDIR/a.vma" .
        sleep 0.1 # no longer the clock tick in which it was made
        start_vmafs a.vma -o index=none
        wait_indexed
        head -c 4096 "$MNT/disk-a.raw" | cmp -n 4096 - "$RAW"
        "$@"
        count_blocks
        [ "$WRONG" -eq 0 ]
        [ "$LOST" -eq 32 ]
        [ "$(grep -c 'was written to while it is in use' "$LOG")" -eq 1 ]
        umount "$MNT" || fusermount3 -u "$MNT"
}

@test "rewritten in place with the old mtime: not one block is given any more" {
        rewriting_is_seen rewrite b.vma a.vma
}

@test "cp -p over it, also with another mode" {
        rewriting_is_seen cp -p b.vma a.vma
        chmod 640 b.vma
        rewriting_is_seen cp -p b.vma a.vma
}

@test "rewritten, and given another mode, owner, link or name afterwards" {
        rewrite_and() {
                rewrite b.vma a.vma
                "$@"
        }

        rewriting_is_seen rewrite_and chmod 640 a.vma
        rewriting_is_seen rewrite_and ln a.vma another
        rewriting_is_seen rewrite_and mv a.vma moved
}

@test "another mode, name, link, attribute, time of access, and none: all of it stays readable" {
        local way

        sleep 0.1
        start_vmafs a.vma -o index=none
        wait_indexed
        for way in "chmod 640 a.vma" "chown $(id -u):$(id -g) a.vma" "ln a.vma b" "rm b" \
                "mv a.vma c" "setfattr -n user.x -v y c" "tar -c --atime-preserve -f t c" \
                "mv c a.vma" "rm a.vma"; do
                $way
                count_blocks
                [ "$WRONG" -eq 0 ]
                [ "$LOST" -eq 0 ]
        done
        cat "$LOG"
        [ ! -s "$LOG" ]
}
