# SPDX-License-Identifier: GPL-2.0-or-later
# verify against what was kept of an archive before: the recorded SHA-256 of its disks, its index.
# What damage alone tells is tested by damage.bats.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        mkdir cache
}

# Root's index would go to the machine's /var/cache, but for what run-e2e mounts there.
cache_folder() {
        CACHE=$XDG_CACHE_HOME/vmafs
        [ "$(id -u)" -eq 0 ] || return 0
        [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        CACHE=/var/cache/vmafs
        rm -f "$CACHE"/*.vmafs
}

# Changes the byte at AT of FILE: flip FILE AT
flip() {
        local byte

        byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Number N, of 8 bytes, at byte AT of FILE.
number_at() {
        od -An -v -tu8 -j "$2" -N 8 "$1" | tr -d ' \n'
}

# What the manual page says that computes the same.
tree_sha() {
        split -b 4M --filter="split -b 64K --filter='openssl dgst -sha256 -binary' |
                openssl dgst -sha256 -binary" "$1" | sha256sum | cut -d' ' -f1
}

# A disk a.raw of 20 MiB and a bit: data, holes, a piece without any data, a ragged end.
make_ragged_pieces() {
        make_disk a.raw $((20 * 1048576 + 5632)) 0-15 17-17 40-200 1000-1500 3000-4500 5100-5121
}

# A disk a.raw of 16 MiB of data in the archive a.vma, with these options.
make_full() {
        make_data a.raw 16777216
        mkvma -o a.vma --device a=a.raw "$@"
}

# Byte of a.vma at which byte AT of disk-a.raw is.
archive_byte() {
        "$VMAFS" map --output=json a.vma disk-a.raw | jq --argjson at "$1" '.[] |
                select(.start <= $at and $at < .start + .length) | .offset + $at - .start'
}

verify() {
        run --separate-stderr "$VMAFS" verify "$@"
        echo "verify $*: $status"
        echo "$output"
        echo "$stderr"
}

is_sound() {
        [ "$status" -eq 0 ] && [ -z "$stderr" ] && [ "${lines[-1]}" = "$1: sound" ]
}

# ---- recorded SHA-256 ----

@test "a flipped bit of a plain archive's data is not noticed, unless it was recorded before" {
        local byte

        make_full
        byte=$(archive_byte 9000000)
        verify --record --file=i a.vma
        is_sound a.vma
        flip a.vma "$byte"
        verify a.vma
        is_sound a.vma
        [[ $output == *"recorded: nothing; bit rot in the disks' data would not show"* ]]
        verify --file=i a.vma
        [ "$status" -eq 1 ]
        [[ $output == *"disk-a.raw: changed since it was recorded: 8388608 to 12582911 (4194304 bytes)"* ]]
        [ "$(grep -c 'changed since' <<<"$output")" -eq 1 ]
        [ "${lines[-1]}" = "a.vma: DAMAGED" ]
        verify --json --file=i a.vma
        [ "$status" -eq 1 ]
        jq -e '(.sound | not) and (.record.agrees | not) and (.record["made-now"] | not) and
                .["damage-count"] == 0 and .disks[0].lost == 0 and
                .disks[0]["changed-ranges"] == [{"start": 8388608, "length": 4194304}]' <<<"$output"
        flip a.vma "$byte"
        verify --file=i a.vma
        is_sound a.vma
}

@test "what has changed is not recorded over what it was" {
        make_full
        "$VMAFS" verify --record --file=i a.vma
        cp i before
        flip a.vma "$(archive_byte 1000000)"
        verify --record --file=i a.vma
        [ "$status" -eq 1 ]
        one_line_says "a.vma: is not recorded: it is not sound"
        [[ $output == *"changed since it was recorded: 0 to 4194303"* ]]
        cmp i before
        rm i
        verify --record --file=i a.vma
        is_sound a.vma
}

@test "the recorded SHA-256 is the documented one, in any order of the archive" {
        local order expected

        make_ragged_pieces
        make_data b.raw 5000192
        expected=$(tree_sha a.raw)
        for order in seq reverse shuffle live interleave; do
                mkvma -o $order.vma --device a=a.raw --device b=b.raw --order=$order
                verify --record --json --file=$order.i $order.vma
                [ "$status" -eq 0 ]
                jq -e --arg a "$expected" --arg b "$(tree_sha b.raw)" \
                        '[.disks[]["tree-sha256"]] == [$a, $b] and .record["made-now"]' <<<"$output"
                verify --file=$order.i $order.vma
                is_sound $order.vma
                [[ $output == *"disk-a.raw: tree SHA-256 $expected"* ]]
                [[ $output == *", and the disks are the same"* ]]
        done
}

@test "the recorded SHA-256 is the same of any compression, and with one thread" {
        local expected archive

        make_ragged_pieces
        expected=$(tree_sha a.raw)
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q --rsyncable a.vma
        gzip -k a.vma
        lzop a.vma
        for archive in a.vma*; do
                verify --record --json --threads=1 --cache=1M --file=i "$archive"
                [ "$status" -eq 0 ]
                [ "$(jq -r '.disks[0]["tree-sha256"]' <<<"$output")" = "$expected" ]
                verify --file=i "$archive"
                is_sound "$archive"
                rm i
        done
}

@test "the SHA-256 of a RAM state is of its final length" {
        local size expected

        make_data ram 5000192
        for size in 1M 5000192; do
                mkvma -o s.vma --vmstate ram --vmstate-size=$size
                rm -f vmstate.bin
                "$VMAFS" extract s.vma
                expected=$(tree_sha vmstate.bin)
                verify --record --json --file=i s.vma
                [ "$status" -eq 0 ]
                [ "$(jq -r '.disks[0]["tree-sha256"]' <<<"$output")" = "$expected" ]
                verify --file=i s.vma
                is_sound s.vma
                rm i
        done
}

@test "the record is in the cache folder by default, and stays when the index is made anew" {
        local archive

        cache_folder
        make_full --order=shuffle
        zstd -q a.vma
        for archive in a.vma a.vma.zst; do
                "$VMAFS" verify --record "$archive"
                "$VMAFS" index "$archive"
                mkdir out
                "$VMAFS" extract -C out "$archive"
                rm -r out
                verify "$archive"
                is_sound "$archive"
                [[ $output == *", and the disks are the same"* ]]
        done
        [ "$(find "$CACHE" -name '*.vmafs' | wc -l)" -eq 2 ]
}

@test "a mount that makes a damaged index anew keeps what it has recorded" {
        make_full --order=shuffle
        zstd -q a.vma
        "$VMAFS" verify --record --file=i a.vma.zst
        flip i $(($(number_at i 72) + 5))
        start_vmafs a.vma.zst -o index="$PWD/i"
        wait_indexed
        wait_for 60 grep -q 'its tables are damaged' "$LOG"
        unmount_one "$MNT"
        wait_for 60 has_ended "$DAEMON"
        verify --file=i a.vma.zst
        is_sound a.vma.zst
        [[ $output == *"index i: agrees"*", and the disks are the same"* ]]
}

@test "a damaged record is named, and not thrown away" {
        make_full
        "$VMAFS" verify --record --file=i a.vma
        flip i $(($(number_at i 112) + 30))
        cp i before
        verify --file=i a.vma
        [ "$status" -eq 0 ]
        one_line_says "a.vma: its index i is not used: what it has recorded is damaged"
        [[ $output == *"recorded: something, but the record is damaged and cannot be compared"* ]]
        run --separate-stderr "$VMAFS" index --file=i a.vma
        [ "$status" -eq 1 ]
        one_line_says "its index i is not replaced: what it has recorded is damaged"
        cmp i before
        verify --record --file=i a.vma
        [ "$status" -eq 0 ]
        verify --file=i a.vma
        is_sound a.vma
}

@test "an index without a record is as it always was, and one with a record serves a mount" {
        make_full --order=shuffle
        "$VMAFS" index --file=i a.vma
        [ "$(number_at i 112)" -eq 0 ]
        "$VMAFS" verify --record --file=r a.vma
        [ "$(number_at r 112)" -gt 0 ]
        # Without the record the rest is the same.
        cmp <(tail -c +$(($(number_at i 72) + 1)) i) <(tail -c +$(($(number_at r 72) + 1)) r)
        mount_vmafs a.vma -o index="$PWD/r"
        index_is complete
        cmp a.raw "$MNT/disk-a.raw"
}

@test "a damaged archive is not recorded" {
        make_full --drop a:20
        verify --record --file=i a.vma
        [ "$status" -eq 1 ]
        one_line_says "a.vma: is not recorded: it is not sound"
        [ ! -e i ]
}

@test "an archive with a sector that cannot be read is not recorded, and the sector is named" {
        make_full
        mount_gatefs a.vma
        gate fail 5000000 5004096
        verify --record --json --file=i "$GATED"
        [ "$status" -eq 1 ]
        [ ! -e i ]
        jq -e '(.sound | not) and .record == null and .disks[0]["tree-sha256"] == null and
                (.unreadable | length) >= 1 and .unreadable[0].disk == "disk-a.raw" and
                .unreadable[0].offset <= 5000000' <<<"$output"
}

@test "of an archive cut off since it was recorded, what is left is compared by its index beside it" {
        local at

        make_full --order=seq
        "$VMAFS" verify --record --file=a.vma.vmafs a.vma
        at=$(archive_byte 9000000)
        truncate -s "$at" a.vma
        verify --json a.vma
        [ "$status" -eq 1 ]
        # Another size: another archive, as far as an index can say.
        jq -e '(.indexes[0].agrees | not) and .record == null and
                .disks[0].lost == 16777216 - .disks[0].stored and
                .disks[0]["clusters-present"] + .disks[0]["clusters-lost"] == 256' <<<"$output"
}

@test "what is lost of a recorded archive is told from what is the same, and from what has changed" {
        local first

        make_full --slots=1 --order=seq
        "$VMAFS" verify --record --file=i a.vma
        # A header in the third piece, a block in the second.
        first=$(archive_byte $((130 * 65536)))
        flip a.vma $((first - 400))
        flip a.vma "$(archive_byte 5000000)"
        verify --json --file=i a.vma
        [ "$status" -eq 1 ]
        jq -e '.["damage-count"] > 0 and .disks[0].lost > 0 and
                .disks[0]["changed-ranges"] == [{"start": 4194304, "length": 4194304}] and
                .disks[0]["not-compared"] >= 4194304 and .disks[0]["tree-sha256"] == null' <<<"$output"
}

# ---- the archive's index ----

@test "an archive whose first or last 64 KiB have rotted is told by the index beside it" {
        local at

        make_full
        "$VMAFS" verify --record --file=a.vma.vmafs a.vma
        cp a.vma good
        for at in 60000 $(($(stat -c %s a.vma) - 9)); do
                cp good a.vma
                flip a.vma "$at"
                verify a.vma
                [ "$status" -eq 1 ]
                [[ $output == *"index a.vma.vmafs: cannot be used: "*"the first or the last 64 KiB of this one have changed"* ]]
                [[ $output == *"recorded: something that does not fit this archive and cannot be compared"* ]]
                [ "${lines[-1]}" = "a.vma: DAMAGED" ]
        done
}

@test "a bit that a stream without checksums does not notice is found by its index" {
        local at before

        noise 16M >a.raw
        mkvma -o a.vma --device a=a.raw
        zstd -q --no-check a.vma
        "$VMAFS" index --file=i a.vma.zst
        at=$(archive_byte 9000000)
        # Noise is stored as it is, with a few bytes of headers in front.
        flip a.vma.zst "$at"
        zstd -q -t a.vma.zst
        verify a.vma.zst --file=none
        is_sound a.vma.zst
        cp i before
        verify --json --file=i a.vma.zst
        [ "$status" -eq 1 ]
        jq -e --argjson at "$at" '(.sound | not) and .["damage-count"] == 0 and
                (.indexes[0].agrees | not) and
                all(.differences[]; .disk == "disk-a.raw" and .offset <= $at) and
                any(.differences[]; .start <= 9000000 and 9000000 < .start + .length)' <<<"$output"
        verify --file=i a.vma.zst
        [[ $output == *"archive byte "*": the stream holds other bytes here than when it was indexed (disk-a.raw from "* ]]
        [[ $output == *"index i: DIFFERS from the archive"* ]]
        # The evidence is left alone.
        cmp i before
}

@test "an index of an archive that was another is found out by where the clusters are" {
        local first second

        make_full --slots=1 --order=seq
        "$VMAFS" index --file=i a.vma
        # Two extents change places: the archive is as sound as before.
        first=$(($(archive_byte $((100 * 65536))) - 512))
        second=$(($(archive_byte $((101 * 65536))) - 512))
        [ $((second - first)) -eq 66048 ]
        cp a.vma swapped
        dd if=a.vma of=swapped bs=512 skip=$((first / 512)) seek=$((second / 512)) count=129 conv=notrunc status=none
        dd if=a.vma of=swapped bs=512 skip=$((second / 512)) seek=$((first / 512)) count=129 conv=notrunc status=none
        mkdir out
        "$VMAFS" extract -C out swapped
        cmp a.raw out/disk-a.raw
        verify --json --file=i swapped
        [ "$status" -eq 1 ]
        jq -e '(.sound | not) and .["damage-count"] == 0 and (.indexes[0].agrees | not) and
                .differences[0].disk == "disk-a.raw" and
                .differences[0].start == 6553600 and .differences[0].length == 131072' <<<"$output"
        verify --file=i swapped
        [[ $output == *": the archive holds this elsewhere than its index says (disk-a.raw from 6553600, 131072 bytes)"* ]]
}

@test "an index whose header is damaged may hold a record: verify does not say that there is none" {
        make_full
        "$VMAFS" verify --record --file=i a.vma
        flip i 60
        verify --file=i a.vma
        is_sound a.vma
        [[ $output == *"index i: cannot be used: its header is damaged"* ]]
        [[ $output == *"recorded: not known, since its index cannot be used; nothing is compared"* ]]
        verify --json --file=i a.vma
        jq -e '.sound and .record == null and .["record-problem"] == "unreadable"' <<<"$output"
}

@test "an index that cannot be read is named, and is no damage of the archive" {
        make_full
        "$VMAFS" index --file=i a.vma
        flip i $(($(stat -c %s i) - 3))
        verify --file=i a.vma
        [ "$status" -eq 0 ]
        [[ $output == *"index i: cannot be used: its tables are damaged"* ]]
        [ "${lines[-1]}" = "a.vma: sound" ]
}

@test "verify of a compressed archive leaves an index, and does not write one that agrees again" {
        make_full
        zstd -q a.vma
        "$VMAFS" verify --file=i a.vma.zst
        before=$(stat -c %i i)
        verify --file=i a.vma.zst
        is_sound a.vma.zst
        [[ $output == *"index i: agrees"* ]]
        [ "$(stat -c %i i)" -eq "$before" ]
}

# ---- coverage ----

# The genuine tool's verify says nothing of clusters that are missing.
@test "clusters that are missing are found, be it all of them" {
        local header

        make_full --drop a:3 --drop a:4 --drop a:200
        verify --json a.vma
        [ "$status" -eq 1 ]
        jq -e '.disks[0]["clusters-present"] == 253 and .disks[0]["clusters-lost"] == 3 and
                .disks[0]["lost-ranges"] == [{"start": 196608, "length": 131072},
                        {"start": 13107200, "length": 65536}]' <<<"$output"
        header=$((0x$(od -An -tx1 -j 56 -N 4 a.vma | tr -d ' \n')))
        head -c "$header" a.vma >header.vma
        verify header.vma
        [ "$status" -eq 1 ]
        [[ $output == *"disk-a.raw: 16777216 bytes, 0 bytes stored, 16.0 MiB lost; 0 of 256 clusters present"* ]]
        [[ $output == *"archive byte $header: the archive ends here, and clusters are missing from it"* ]]
}

@test "verify finds a checksum of the compression that is wrong" {
        make_full
        zstd -q a.vma
        # The last four bytes are the frame's checksum.
        flip a.vma.zst $(($(stat -c %s a.vma.zst) - 2))
        verify a.vma.zst
        [ "$status" -eq 1 ]
        gzip -k a.vma
        flip a.vma.gz $(($(stat -c %s a.vma.gz) - 6))
        verify a.vma.gz
        [ "$status" -eq 1 ]
        lzop a.vma
        flip a.vma.lzo $(($(stat -c %s a.vma.lzo) / 2))
        verify a.vma.lzo
        [ "$status" -eq 1 ]
}

@test "verify prints ten ranges a disk, and the verdict first and last" {
        local drops=()

        for cluster in $(seq 10 2 34); do drops+=(--drop "a:$cluster"); done
        make_full "${drops[@]}"
        run "$VMAFS" verify a.vma
        [ "$status" -eq 1 ]
        [ "${lines[0]}" = "a.vma: DAMAGED" ]
        [ "${lines[-1]}" = "a.vma: DAMAGED" ]
        [ "$(grep -c 'disk-a.raw: lost: [0-9]' <<<"$output")" -eq 10 ]
        grep -qx 'disk-a.raw: lost: and 3 more (--json has all)' <<<"$output"
        "$VMAFS" verify --json a.vma >v.json || [ $? -eq 1 ]
        jq -e '.disks[0]["lost-ranges"] | length == 13' v.json
}
