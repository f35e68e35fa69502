# SPDX-License-Identifier: GPL-2.0-or-later
# Indexes that are of another archive, or were written by others.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

# Two archives of one size and with the same ends, which lack another cluster in the middle.
setup_file() {
        local name hole

        cd "$BATS_FILE_TMPDIR" || return
        make_data all $((9 * 1024 * 1024))
        for name in a:70 b:80; do
                hole=${name#*:} name=${name%:*}
                cp all "$name.raw"
                dd if=/dev/zero of="$name.raw" bs=64K seek="$hole" count=1 conv=notrunc status=none
                mkvma -o "$name.vma" --device a="$name.raw" --ctime=1795245576 \
                        --uuid=55e594a0-0d3e-4c75-a9f1-ca42a9d5988d
        done
        [ "$(stat -c %s a.vma)" -eq "$(stat -c %s b.vma)" ]
        cmp -n 65536 a.vma b.vma
        cmp <(tail -c 65536 a.vma) <(tail -c 65536 b.vma)
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        cp "$BATS_FILE_TMPDIR"/[ab].vma "$BATS_FILE_TMPDIR"/[ab].raw .
        touch -r a.vma b.vma
        sleep 0.1 # no longer the clock tick in which they were made
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/xdg
        if [ "$(id -u)" -ne 0 ]; then
                CACHE=$XDG_CACHE_HOME/vmafs
        elif [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ]; then
                CACHE=/var/cache/vmafs
                rm -rf "$CACHE"
        else
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        fi
}

# Mounts ARCHIVE with the options, compares its disk with RAW, and unmounts: shows ARCHIVE RAW OPTION ...
shows() {
        start_vmafs "$1" "${@:3}"
        wait_indexed
        cmp "$MNT/disk-a.raw" "$2" || return 1
        umount "$MNT" || fusermount3 -u "$MNT"
        wait_for 60 has_ended "$DAEMON"
        cat "$LOG"
}

# dd conv=notrunc, and touch -r: rewrite OTHER ARCHIVE
rewrite() {
        touch -r "$2" times
        dd if="$1" of="$2" conv=notrunc bs=1M status=none
        touch -r times "$2"
}

# ---- of another archive ----

@test "a plain archive that was rewritten since is scanned again, wherever its index is" {
        local index

        for index in a.vma.vmafs i cache; do
                cp --remove-destination "$BATS_FILE_TMPDIR/a.vma" .
                rm -f a.vma.vmafs
                set --
                [ $index != i ] || set -- -o "index=$PWD/i"
                if [ $index = cache ]; then
                        "$VMAFS" index a.vma
                else
                        "$VMAFS" index --file=$index a.vma
                fi
                shows a.vma a.raw "$@"
                [ ! -s "$LOG" ]
                rewrite b.vma a.vma
                shows a.vma b.raw "$@"
                [ "$(grep -c "is not used: the archive was written to" "$LOG")" -eq 1 ]
        done
}

@test "the index of a plain archive is not another's of its size, ends and mtime" {
        "$VMAFS" index --file=i a.vma
        shows b.vma b.raw -o index="$PWD/i"
        grep "is not used: the archive was written to" "$LOG"
        # In the cache, too, where both have one name.
        "$VMAFS" index a.vma
        shows b.vma b.raw
        shows a.vma a.raw
}

@test "a record is compared with whatever has become of the archive" {
        "$VMAFS" verify --record --file=i a.vma
        mv a.vma moved.vma
        "$VMAFS" verify --file=i moved.vma
        rewrite b.vma moved.vma
        run "$VMAFS" verify --file=i moved.vma
        [ "$status" -eq 1 ]
}

@test "archives of two owners have an index each in the cache" {
        need_root
        chown 12345 b.vma
        "$VMAFS" index a.vma
        "$VMAFS" index b.vma
        [ "$(names_in "$CACHE" | grep -c "\.vmafs$")" -eq 2 ]
        shows a.vma a.raw
        [ ! -s "$LOG" ]
        shows b.vma b.raw
        [ ! -s "$LOG" ]
}

@test "the index of another owner's archive is not used, also if root has made it" {
        need_root
        zstd -q a.vma
        "$VMAFS" index --file=i a.vma.zst
        chown 12345 a.vma.zst
        shows a.vma.zst a.raw -o index="$PWD/i"
        grep "is not used: the archive belonged to user 0 when it was made" "$LOG"
}

# ---- by others ----

# The index PLACE is believed as it is, and no longer after the command: believed_until PLACE MESSAGE COMMAND ...
believed_until() {
        local place=$1 message=$2

        shift 2
        shows a.vma a.raw "${OPTIONS[@]}"
        [ ! -s "$LOG" ]
        "$@" "$place"
        shows a.vma a.raw "${OPTIONS[@]}"
        [ "$(grep -c "$place is not used: $message" "$LOG")" -eq 1 ]
}

# For all the places: each_place MESSAGE COMMAND ...
each_place() {
        OPTIONS=(-o "index=$PWD/i")
        "$VMAFS" index --file=i a.vma
        believed_until "$PWD/i" "$@"
        OPTIONS=()
        "$VMAFS" index --file=a.vma.vmafs a.vma
        believed_until a.vma.vmafs "$@"
        rm -rf a.vma.vmafs "$CACHE"
        "$VMAFS" index a.vma
        believed_until "$(echo "$CACHE"/*.vmafs)" "$@"
}

@test "an index that belongs to somebody else is not believed, wherever it is" {
        need_root
        each_place "it belongs to user 12345" chown 12345
}

@test "an index that others may write to is not believed, wherever it is" {
        each_place "others may write to it" chmod g+w
        rm -rf i "$CACHE"
        each_place "others may write to it" chmod o+w
}

@test "a link to an index is not believed, nor a pipe or a folder" {
        "$VMAFS" index --file=i a.vma
        ln -s i a.vma.vmafs
        shows a.vma a.raw
        grep "a.vma.vmafs is not used: it is a link" "$LOG"
        rm a.vma.vmafs
        mkfifo a.vma.vmafs
        shows a.vma a.raw
        grep "a.vma.vmafs is not used: it is no regular file" "$LOG"
        rm a.vma.vmafs
        mkdir a.vma.vmafs
        shows a.vma a.raw
        grep "a.vma.vmafs is not used: it is no regular file" "$LOG"
}

@test "what an index that is not believed has recorded is not compared with" {
        "$VMAFS" verify --record --file=i a.vma
        chmod o+w i
        run --separate-stderr "$VMAFS" verify --file=i a.vma
        [[ $output == *"index i: cannot be used: others may write to it"* ]]
        [[ $output == *"recorded: not known, since its index is not trusted; nothing is compared"* ]]
        "$VMAFS" verify --json --file=i a.vma >json
        jq -e '.sound and .record == null and .["record-problem"] == "untrusted"' json
        chmod o-w i
        "$VMAFS" verify --json --file=i a.vma >json
        jq -e '.sound and .record.agrees and .["record-problem"] == null' json
}
