# SPDX-License-Identifier: GPL-2.0-or-later
# A first pass that does not come to its end: the next one goes on where it was, with the same result.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

KINDS=(zst gz lzo)

setup_file() {
        local i

        cd "$BATS_FILE_TMPDIR" || return
        # Half of it is noise.
        make_data text $((20 * 1024 * 1024))
        for ((i = 0; i < 40; i++)); do
                noise 512K "$((i + 1))"
                tail -c +$((i * 512 * 1024 + 1)) text | head -c 512K
        done >a.raw
        rm text
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q --rsyncable --threads=1 <a.vma >a.vma.zst
        gzip --rsyncable -1 <a.vma >a.vma.gz
        lzop <a.vma >a.vma.lzo
        tar -cf a.tar a.raw
        zstd -q --rsyncable --threads=1 <a.tar >a.tar.zst
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        RAW=$BATS_FILE_TMPDIR/a.raw
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
}

# Shows archive $1 behind a gate, and makes the index "whole" of it. Sets SIZE.
gated() {
        mount_gatefs "$BATS_FILE_TMPDIR/$1"
        SIZE=$(stat -c %s "$GATED")
        "$VMAFS" index --file=whole "$GATED" >out
}

# Has FILE a checkpoint after its header, at least?
is_begun() {
        [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt 112 ]
}

# The byte of the archive at which the last segment begins that FILE tells of.
last_point() {
        local at=112 size kind len found=0

        size=$(stat -c %s "$1")
        while ((at + 16 <= size)); do
                read -r kind len < <(od -An -v -tu4 -w8 -j "$at" -N 8 "$1")
                [ "$kind" -ne 1 ] || found=$(od -An -v -tu8 -j $((at + 16)) -N 8 "$1" | tr -d ' ')
                at=$((at + 16 + len))
        done
        echo $((found / 8))
}

has_passed() {
        [ -e i.partial ] && [ "$(last_point i.partial)" -gt "$1" ]
}

# Holds back what follows PERCENT of the archive, but for its end, which identifies it.
hold_from() {
        gate hold $((SIZE * $1 / 100)) $((SIZE - 65536))
}

# Starts to index into the file "i", and kills that with SIGNAL when it can go no further than
# PERCENT of the archive, and has kept something, after BYTES of it: interrupt SIGNAL PERCENT [BYTES]
interrupt() {
        local pid

        hold_from "$2"
        "$VMAFS" index --file=i "$GATED" >out 2>&1 3>&- &
        pid=$!
        wait_for 60 has_passed "${3:-0}"
        kill -"$1" "$pid"
        wait "$pid" || true
        [ ! -e i ]
        gate hold none
}

# Makes the index "i", which is the same as "whole".
go_on() {
        "$VMAFS" index --file=i "$GATED" >out
        cmp i whole
        [ ! -e i.partial ]
}

@test "an index that was killed goes on, of any compression and anywhere" {
        local kind signal percent

        for kind in "${KINDS[@]}"; do
                gated "a.vma.$kind"
                signal=KILL
                for percent in 60 80 95; do
                        rm -f i
                        interrupt $signal $percent
                        go_on
                        signal=TERM
                done
        done
}

@test "an index that is killed again and again comes to its end" {
        local kind percent

        for kind in "${KINDS[@]}"; do
                gated "a.vma.$kind"
                rm -f i
                for percent in 50 70 75 90; do
                        interrupt TERM $percent
                done
                go_on
        done
}

is_kept() {
        [ -e i ] && [ ! -e i.partial ]
}

# The mount has made the index "i", which is the same as "whole", a moment after it is complete.
kept_at_last() {
        wait_indexed
        wait_for 60 is_kept
        cmp i whole
}

@test "what was passed is not needed a second time" {
        gated a.vma.lzo
        interrupt KILL 80 $((16 * 1024 * 1024))
        # An extent is shorter than 4 MiB, so the header before the place is not farther away.
        gate fail 65536 $((12 * 1024 * 1024))
        go_on
}

# Has the mount's process told its pass to end? It lets its unmounter go after that.
has_no_unmounter() {
        ! pgrep -x -P "$1" unmount-helper >/dev/null
}

@test "a mount that ends before its index does is gone on with by the next one" {
        local how kind

        for kind in "${KINDS[@]}"; do
                gated "a.vma.$kind"
                for how in umount TERM KILL; do
                        rm -f i
                        hold_from 70
                        start_vmafs "$GATED" -o index="$PWD/i"
                        wait_for 60 is_begun i.partial
                        if [ "$how" = umount ]; then
                                umount "$MNT" || fusermount3 -u "$MNT"
                        else
                                kill -"$how" "$DAEMON"
                        fi
                        # Or it might come to the end of the pass before it knows of its own.
                        wait_for 60 has_no_unmounter "$DAEMON"
                        gate hold none
                        wait_for 60 has_ended "$DAEMON"
                        wait_for 60 is_gone "$MNT"
                        [ ! -e i ] && is_begun i.partial
                        mount_vmafs "$GATED" -o index="$PWD/i"
                        kept_at_last
                        cmp "$MNT/disk-a.raw" "$RAW"
                        umount "$MNT" || fusermount3 -u "$MNT"
                done
        done
}

@test "a mount shows at once what was indexed before" {
        gated a.vma.lzo
        interrupt KILL 80 $((16 * 1024 * 1024))
        # Nothing in the middle can be read now.
        gate hold 65536 $((SIZE - 65536))
        mount_vmafs "$GATED" -o index="$PWD/i"
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT" 2>/dev/null | tr -d %)" -gt 10 ]
        gate open all
        gate hold none
        kept_at_last
        cmp "$MNT/disk-a.raw" "$RAW"
}

@test "extract goes on with a pass, and what it writes is right" {
        local kind

        for kind in "${KINDS[@]}"; do
                gated "a.vma.$kind"
                rm -rf i out.d
                interrupt KILL 80
                mv i.partial kept
                mkdir -p "$(cache_of)"
                mv kept "$(cache_of)/$(cache_name).partial"
                "$VMAFS" cache | grep INCOMPLETE
                "$VMAFS" cache --json | jq -e '.indexes[0].partial'
                mkdir out.d
                "$VMAFS" extract -C out.d "$GATED"
                cmp out.d/disk-a.raw "$RAW"
                [ -e "$(cache_of)/$(cache_name)" ]
                [ ! -e "$(cache_of)/$(cache_name).partial" ]
                cmp "$(cache_of)/$(cache_name)" whole
                rm -f "$(cache_of)"/*
        done
}

cache_of() {
        if [ "$(id -u)" -eq 0 ]; then
                [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                        skip "needs a /var/cache of its own: run it by tests/run-e2e"
                echo /var/cache/vmafs
        else
                echo "$XDG_CACHE_HOME/vmafs"
        fi
}

# What the index of the gated archive is called there.
cache_name() {
        local digest

        digest=$({
                head -c 65536 "$GATED"
                tail -c 65536 "$GATED"
        } | sha256sum | cut -d' ' -f1)
        echo "$digest-$SIZE-$(stat -c %u "$GATED").vmafs"
}

@test "the members of a compressed tar are found again" {
        gated a.tar.zst
        interrupt KILL 70
        go_on
        mount_vmafs "$GATED" -o index="$PWD/i"
        index_is complete
        cmp "$MNT/a.raw" "$RAW"
}

# ---- whatever is wrong with what was kept ----

@test "a kept pass that is damaged or cut anywhere is right, or begun anew" {
        local size at i

        gated a.vma.lzo
        interrupt KILL 90
        cp i.partial kept
        size=$(stat -c %s kept)
        for i in {0..9}; do
                # Without its magic number it is not one of ours.
                at=$((8 + (size - 8) * i / 10))
                rm -f i
                cp kept i.partial
                printf '\xa5' | dd of=i.partial bs=1 seek="$at" conv=notrunc status=none
                go_on
                rm -f i
                head -c "$at" kept >i.partial
                go_on
        done
}

@test "a kept pass of another archive, or of one that was touched since, is not used" {
        gated a.vma.gz
        interrupt KILL 90
        cp i.partial kept
        cp "$BATS_FILE_TMPDIR/a.vma.gz" touched.vma.gz
        printf '\x01' | dd of=touched.vma.gz bs=1 seek=4 conv=notrunc status=none
        cp kept t.partial
        "$VMAFS" index --file=t touched.vma.gz >out
        "$VMAFS" index --file=u touched.vma.gz >out
        cmp t u
        [ ! -e t.partial ]
        # The same bytes, and another time.
        cp "$BATS_FILE_TMPDIR/a.vma.gz" copy.vma.gz
        cp kept c.partial
        "$VMAFS" index --file=c copy.vma.gz >out
        "$VMAFS" index --file=d copy.vma.gz >out
        cmp c d
        [ ! -e c.partial ]
}

@test "what is not a kept pass is left alone" {
        gated a.vma.lzo
        echo "a file of the user's" >i.partial
        "$VMAFS" index --file=i "$GATED" >out
        cmp i whole
        [ "$(cat i.partial)" = "a file of the user's" ]
        rm i i.partial
        echo "another one" >other
        ln -s other i.partial
        "$VMAFS" index --file=i "$GATED" >out
        cmp i whole
        [ "$(cat other)" = "another one" ]
}

@test "damage after the place where a pass went on is noticed" {
        local kind at

        for kind in "${KINDS[@]}"; do
                cp "$BATS_FILE_TMPDIR/a.vma.$kind" "bad.vma.$kind"
                at=$(($(stat -c %s "bad.vma.$kind") * 9 / 10))
                head -c 300000 /dev/zero | dd of="bad.vma.$kind" bs=4K oflag=seek_bytes seek="$at" conv=notrunc status=none
                mount_gatefs "bad.vma.$kind"
                SIZE=$(stat -c %s "$GATED")
                rm -f i
                run "$VMAFS" index --file=i "$GATED"
                [ "$status" -eq 1 ]
                [[ $output == *"it is damaged"* ]]
                interrupt KILL 70
                run "$VMAFS" index --file=i "$GATED"
                [ "$status" -eq 1 ]
                [[ $output == *"it is damaged"* ]]
                [ ! -e i ]
                [ ! -e i.partial ]
        done
}

@test "a second process does not disturb the pass of the first" {
        local pid

        gated a.vma.zst
        hold_from 80
        "$VMAFS" index --file=i "$GATED" >first 2>&1 3>&- &
        pid=$!
        wait_for 60 is_begun i.partial
        # It cannot have what the first one keeps, and keeps nothing itself.
        "$VMAFS" index --file=i "$BATS_FILE_TMPDIR/a.vma.zst" >out
        gate hold none
        wait "$pid"
        cmp i whole
        [ ! -e i.partial ]
}

@test "without an index nothing is kept of a pass either" {
        gated a.vma.lzo
        hold_from 80
        mount_vmafs "$GATED" -o index=none
        wait_for 60 reads_blocked 1
        gate hold none
        wait_indexed
        [ ! -e i.partial ]
        [ -z "$(find "$(cache_of)" -name '*.partial' 2>/dev/null)" ]
}

# ---- waiting ----

@test "with -o wait the command returns when the index is complete" {
        gated a.vma.gz
        mount_vmafs "$GATED" -o wait,index="$PWD/i"
        index_is complete
        kept_at_last
        cmp "$MNT/disk-a.raw" "$RAW"
}

@test "while -o wait waits the mount is there, and stays when the waiting is ended" {
        local pid

        gated a.vma.gz
        hold_from 70
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        "$VMAFS" "$GATED" "$MNT" -o wait,index="$PWD/i" 3>&- &
        pid=$!
        # Both: once the mount answers, nothing ends it any more.
        wait_for 60 is_begun i.partial
        wait_for 60 mountpoint -q "$MNT"
        kill -0 "$pid"
        kill -TERM "$pid"
        wait_for 60 has_ended "$pid"
        mountpoint -q "$MNT"
        gate hold none
        wait_indexed
        cmp "$MNT/disk-a.raw" "$RAW"
}

@test "on a terminal -o wait shows how far it is, from where the last pass ended" {
        gated a.vma.lzo
        interrupt KILL 80 $((16 * 1024 * 1024))
        hold_from 90
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        script -qfec "'$VMAFS' '$GATED' '$MNT' -o wait,index='$PWD/i'" typed >/dev/null 2>&1 3>&- &
        wait_for 60 grep -q 'indexing [0-9]*%' typed
        gate hold none
        wait_indexed
        wait_for 60 has_ended $!
        # The first number is not that of a beginning.
        [ "$(grep -ao 'indexing [0-9]*%' typed | head -n 1 | tr -dc 0-9)" -gt 10 ]
}
