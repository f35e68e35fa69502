# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154 # run sets what is used
#
# The section tree of tests/bench/run, which sources this: a container's backup of a million members.
# $BENCH_MEMBERS (1000000) says how many.

list_with_tar() {
        zstd -dc "$DIR/tree.tar.zst" | tar -t >/dev/null
}

mount_and_list() {
        mount_foreground "$DIR/tree.tar.zst" -o index="$DIR/tree.idx"
        ls "$MNT" >/dev/null
}

find_all() {
        find "$MNT" >/dev/null
}

# archivemount reads all of a tar before it shows anything, so its find counts from the mount on. It
# locked itself up with the tar above, whose paths begin with ./, so it gets one of its own.
find_with_archivemount() {
        archivemount -o readonly,nobackup "$DIR/bare.tar" "$MNT" && find_all
}

mount_and_find() {
        mount_foreground "$DIR/bare.tar" -o index=none && find_all
}

bench_tree_find() {
        local i

        command -v archivemount >/dev/null || {
                echo "bench: no archivemount to compare with"
                return 0
        }
        for ((i = 0; i < ROUNDS; i++)); do
                sample tree.find.other find_with_archivemount
                sample tree.again.other find_all
                fusermount3 -u "$MNT"
                sample tree.find.own mount_and_find
                sample tree.again.own find_all
                unmount
        done
        ratio "tree: mount and find of the plain tar, archivemount's x" tree.find.other tree.find.own ">=" 5
        ratio "tree: a second find, archivemount's x" tree.again.other tree.again.own
}

# After a round whose pass has been indexed: the index is written a moment later.
wait_for_kept_index() {
        local end=$((SECONDS + 60))

        until [ -s "$DIR/tree.idx" ]; do
                [ "$SECONDS" -lt "$end" ] || die "no index is kept"
                sleep 0.1
        done
}

# Bytes of memory a member, of all that the mount's process has to itself.
note_bytes_a_member() {
        note "$1" "$(awk -v n="$MEMBERS" '/^RssAnon:/ { print $2 * 1024 / n }' "/proc/$mounted/status")"
}

bench_tree_mount() {
        local i

        for ((i = 0; i < ROUNDS; i++)); do
                rm -f "$DIR/tree.idx"
                sample tree.tar list_with_tar
                sample tree.first mount_and_list
                wait_for_kept_index
                unmount
                sample tree.second mount_and_list
                note_bytes_a_member tree.memory.listed
                sample tree.find find_all
                note_bytes_a_member tree.memory.found
                unmount
        done
        ratio "tree of $MEMBERS members: first mount and ls, x zstd -dc | tar -t" tree.first tree.tar "<=" 1.15
        figure "tree: second mount and ls" tree.second s "<=" 0.1
        figure "tree: bytes of memory a member, mounted" tree.memory.listed B "<=" 200
        figure "tree: bytes of memory a member, all of it known to the kernel" tree.memory.found B
        figure "tree: find of all of it" tree.find s
}

bench_tree() {
        MEMBERS=${BENCH_MEMBERS:-1000000}
        "$TOOLS/mktree" "$MEMBERS" | zstd -q -T2 --rsyncable -o "$DIR/tree.tar.zst"
        bench_tree_mount
        rm "$DIR/tree.tar.zst" "$DIR/tree.idx"
        "$TOOLS/mktree" --bare "$MEMBERS" >"$DIR/bare.tar"
        bench_tree_find
        rm "$DIR/bare.tar"
}
