# SPDX-License-Identifier: GPL-2.0-or-later
# Compressed archives with and without an index that was kept, and what is wrong with either.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup_file() {
        local kind

        cd "$BATS_FILE_TMPDIR" || return
        make_mixed_disk a.raw 40
        echo "name: guest" >conf
        mkvma -o a.vma --device a=a.raw --config guest.conf=conf --order=shuffle
        for kind in "${KINDS[@]}"; do
                pack "$kind" a.vma
        done
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        RAW=$BATS_FILE_TMPDIR/a.raw
        cp "$BATS_FILE_TMPDIR"/a.vma.{zst,gz,lzo} .
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        mkdir cache
}

KINDS=(zst gz lzo)

# Makes FILE of SIZE MiB, half of it noise: make_mixed_disk FILE SIZE
make_mixed_disk() {
        local i

        make_data text "$(($2 * 512 * 1024))"
        for ((i = 0; i < $2; i++)); do
                noise 512K "$((i + 1))"
                tail -c +$((i * 512 * 1024 + 1)) text | head -c 512K
        done >"$1"
        rm text
}

# Compresses FILE as vzdump does: pack zst|gz|lzo FILE, through a pipe, into FILE.zst ...
pack() {
        case $1 in
        zst) zstd -q --rsyncable --threads=1 <"$2" ;;
        gz) gzip --rsyncable -1 <"$2" ;;
        lzo) lzop <"$2" ;;
        esac >"$2.$1"
}

# Root's index would go to the machine's /var/cache, but for what run-e2e mounts there.
cache_folder() {
        if [ "$(id -u)" -ne 0 ]; then
                CACHE=$XDG_CACHE_HOME/vmafs
        elif [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ]; then
                CACHE=/var/cache/vmafs
                rm -f "$CACHE"/*.vmafs "$CACHE"/*.seen
        else
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        fi
}

shows_all() {
        cmp "$1/disk-a.raw" "$RAW" && [ "$(cat "$1/guest.conf")" = "name: guest" ]
}

# Number N, of 8 bytes, at byte AT of FILE.
number_at() {
        od -An -v -tu8 -j "$2" -N 8 "$1" | tr -d ' \n'
}

# Changes the byte at AT of FILE: flip FILE AT
flip() {
        local byte

        byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# ---- an index that was kept ----

@test "with an index a mount is ready at once, of any compression" {
        local kind

        for kind in "${KINDS[@]}"; do
                "$VMAFS" index --file="$kind.index" "a.vma.$kind" >out
                grep "^index:  *$kind.index\$" out
                grep '^restart:  *[0-9]* points' out
                mount_vmafs "a.vma.$kind" -o index="$kind.index"
                index_is complete
                shows_all "$MNT"
        done
}

@test "with an index nothing but the ends of the archive and what is read is needed" {
        local size second third before far

        "$VMAFS" index --file=i a.vma.zst
        size=$(stat -c %s a.vma.zst)
        # Where the second segment and the third begin.
        second=$(($(number_at i $(($(number_at i 72) + 64))) / 8))
        third=$(($(number_at i $(($(number_at i 72) + 128))) / 8))
        [ "$second" -gt 100000 ] && [ "$third" -gt "$second" ]
        mount_gatefs a.vma.zst
        gate fail "$second" $((size - 65536))
        mount_vmafs "$GATED" -o index="$PWD/i"
        index_is complete
        stat "$MNT/disk-a.raw"
        [ "$(cat "$MNT/guest.conf")" = "name: guest" ]
        run right_or_lost "$MNT/disk-a.raw" "$RAW"
        [ "$status" -eq 0 ]
        umount "$MNT" || fusermount3 -u "$MNT"
        gate fail none

        # One read far after costs its own segment alone.
        far=$("$VMAFS" map --output=json "$BATS_FILE_TMPDIR/a.vma" disk-a.raw |
                jq 'map(select(.data and .offset > 31457280))[0].start')
        mount_vmafs "$GATED" -o index="$PWD/i",direct_io
        before=$(gate_status bytes)
        dd if="$MNT/disk-a.raw" bs=4096 skip=$((far / 4096)) count=1 status=none |
                cmp - <(dd if="$RAW" bs=4096 skip=$((far / 4096)) count=1 status=none)
        echo "$(($(gate_status bytes) - before)) of $size bytes"
        [ $(($(gate_status bytes) - before)) -lt $((size * 3 / 4)) ]
}

@test "without an index a mount serves what it has, and parks the rest" {
        local size

        size=$(stat -c %s a.vma.zst)
        mount_gatefs a.vma.zst
        gate open $((size / 2))
        mount_vmafs "$GATED" -o index=none
        run index_is complete
        [ "$status" -ne 0 ]
        [ "$(cat "$MNT/guest.conf")" = "name: guest" ]
        gate open all
        wait_indexed
        shows_all "$MNT"
}

@test "a compressed archive that was mounted once is ready at once the next time" {
        local kind

        for kind in "${KINDS[@]}"; do
                mount_vmafs "a.vma.$kind" -o index="$PWD/$kind.index"
                wait_indexed
                wait_for 60 test -s "$kind.index"
                umount "$MNT" || fusermount3 -u "$MNT"
                mount_gatefs "a.vma.$kind"
                mount_vmafs "$GATED" -o index="$PWD/$kind.index"
                index_is complete
                shows_all "$MNT"
        done
}

@test "the default place is the cache folder, and a renamed archive finds it" {
        cache_folder
        "$VMAFS" index a.vma.zst >out
        grep "^index:  *$CACHE/[0-9a-f]*-$(stat -c %s-%u a.vma.zst).vmafs\$" out
        [ "$(find "$CACHE" -name "*.vmafs" -type f | wc -l)" -eq 1 ]
        mv a.vma.zst renamed
        mount_gatefs renamed
        mount_vmafs "$GATED"
        index_is complete
        [ "$(gate_status bytes)" -lt "$(stat -c %s renamed)" ]
        shows_all "$MNT"
}

# As on a disk that is busy: strace has the helper wait for longer than a mount waits for a read.
@test "an index that takes long to be written is kept when the mount ends meanwhile" {
        local helper

        mount_gatefs a.vma.zst
        gate hold 1000000 1500000
        start_vmafs "$GATED" -o index="$PWD/i"
        helper=$(pgrep -x -P "$DAEMON" index-helper)
        strace -o calls -e trace=fsync -e inject=fsync:delay_enter=6s:when=1 -p "$helper" 2>attached 3>&- &
        wait_for 60 grep -q "$helper attached" attached
        gate hold none
        wait_for 60 grep -q fsync calls
        umount "$MNT" || fusermount3 -u "$MNT"
        wait_for 60 has_ended "$DAEMON"
        wait "$DAEMON"
        [ ! -s "$LOG" ]
        [ -s i ]
        mount_vmafs a.vma.zst -o index="$PWD/i"
        index_is complete
        shows_all "$MNT"
}

@test "index=none keeps nothing" {
        cache_folder
        mount_vmafs a.vma.zst -o index=none
        wait_indexed
        shows_all "$MNT"
        umount "$MNT" || fusermount3 -u "$MNT"
        [ -z "$(find "$CACHE" -name "*.vmafs" -type f 2>/dev/null)" ]
}

@test "ARCHIVE.vmafs is used where it is, before the cache folder" {
        cache_folder
        "$VMAFS" index --file=a.vma.zst.vmafs a.vma.zst
        mount_gatefs a.vma.zst
        ln -s "$GATED" far.zst
        cp a.vma.zst.vmafs far.zst.vmafs
        mount_vmafs far.zst
        index_is complete
        shows_all "$MNT"
        [ -z "$(find "$CACHE" -name "*.vmafs" -type f 2>/dev/null)" ]
}

@test "a bad ARCHIVE.vmafs is named, and the cache folder's is used" {
        cache_folder
        "$VMAFS" index a.vma.zst
        cp "$CACHE"/*.vmafs a.vma.zst.vmafs
        flip a.vma.zst.vmafs 100
        start_vmafs a.vma.zst
        index_is complete
        shows_all "$MNT"
        wait_for 60 grep "a.vma.zst.vmafs is not used: its header is damaged" "$LOG"
        [ "$(wc -l <"$LOG")" -eq 1 ]
}

@test "a plain archive has an index when it is asked for" {
        cp "$BATS_FILE_TMPDIR/a.vma" .
        mount_vmafs a.vma -o index="$PWD/i"
        wait_indexed
        umount "$MNT" || fusermount3 -u "$MNT"
        [ ! -e i ]
        "$VMAFS" index --file=i a.vma
        mount_vmafs a.vma -o index="$PWD/i"
        index_is complete
        shows_all "$MNT"
}

@test "two at once both end well" {
        local one two

        "$VMAFS" index --file=i a.vma.zst >one 2>&1 3>&- &
        one=$!
        "$VMAFS" index --file=i a.vma.zst >two 2>&1 3>&- &
        two=$!
        wait $one
        wait $two
        [ "$(names_in . | grep -c '^\.vmafs')" -eq 0 ]
        mount_vmafs a.vma.zst -o index="$PWD/i"
        index_is complete
        shows_all "$MNT"
}

@test "an index that is killed leaves nothing behind" {
        local pid

        mkdir d
        mount_gatefs a.vma.zst
        gate open 1000000
        "$VMAFS" index --file=d/i "$GATED" 3>&- &
        pid=$!
        # For the archive's end, by which it is known.
        wait_for 60 reads_blocked 1
        kill -9 $pid
        wait $pid || true
        [ -z "$(ls -A d)" ]
}

@test "--file refuses to replace what is no index, before it reads the archive" {
        echo precious >precious
        run --separate-stderr "$VMAFS" index --file=precious a.vma.zst
        [ "$status" -eq 2 ]
        one_line_says "cannot keep its index as precious"
        [ "$(cat precious)" = precious ]
        run --separate-stderr "$VMAFS" index --file=a.vma.gz a.vma.zst
        [ "$status" -eq 2 ]
        cmp a.vma.gz "$BATS_FILE_TMPDIR/a.vma.gz"
        run --separate-stderr "$VMAFS" a.vma.zst cache -o index="$PWD/precious"
        [ "$status" -eq 2 ]
        [ "$(cat precious)" = precious ]
        run --separate-stderr "$VMAFS" index --file=cache/ a.vma.zst
        [ "$status" -eq 2 ]
}

# ---- an index that cannot be used, or kept ----

@test "a damaged index costs one line, and is built again" {
        "$VMAFS" index --file=i a.vma.zst
        flip i 60
        start_vmafs a.vma.zst -o index="$PWD/i"
        wait_indexed
        wait_for 60 grep -q . "$LOG"
        shows_all "$MNT"
        grep "its index $PWD/i is not used: its header is damaged" "$LOG"
        [ "$(wc -l <"$LOG")" -eq 1 ]
        umount "$MNT" || fusermount3 -u "$MNT"
        start_vmafs a.vma.zst -o index="$PWD/i"
        index_is complete
        [ ! -s "$LOG" ]
}

@test "an index of another archive costs one line, and is built again" {
        "$VMAFS" index --file=i a.vma.gz
        start_vmafs a.vma.zst -o index="$PWD/i"
        wait_indexed
        wait_for 60 grep -q "belongs to another archive" "$LOG"
        shows_all "$MNT"
        [ "$(wc -l <"$LOG")" -eq 1 ]
}

@test "without room for the index the mount works, and says why it is not kept" {
        need_root
        mkdir small
        mount -t tmpfs -o size=4k tmpfs small
        start_vmafs a.vma.zst -o index="$PWD/small/i"
        wait_indexed
        wait_for 60 grep -q "cannot be kept as $PWD/small/i: No space left on device" "$LOG"
        shows_all "$MNT"
        [ -z "$(ls -A small)" ]
        run --separate-stderr "$VMAFS" index --file=small/i a.vma.zst
        [ "$status" -eq 1 ]
        one_line_says "No space left on device"
}

@test "a folder that does not exist is named, before the archive is read" {
        run --separate-stderr "$VMAFS" index --file=absent/i a.vma.zst
        [ "$status" -eq 1 ]
        one_line_says "a.vma.zst: its index cannot be kept as absent/i: the folder absent does not exist"
        run --separate-stderr "$VMAFS" verify --record --file=absent/i a.vma.zst
        [ "$status" -eq 1 ]
        one_line_says "a.vma.zst: its index cannot be kept as absent/i: the folder absent does not exist"
        [ -z "$output" ]
}

@test "with a folder that is read-only the mount works, and says why it is not kept" {
        need_root
        mkdir sealed
        mount -t tmpfs -o ro tmpfs sealed
        start_vmafs a.vma.zst -o index="$PWD/sealed/i"
        wait_indexed
        wait_for 60 grep -q "cannot be kept as $PWD/sealed/i: Read-only file system" "$LOG"
        shows_all "$MNT"
}

@test "extract and verify keep the index on the way, and cannot be harmed by a bad one" {
        cache_folder
        "$VMAFS" verify a.vma.zst
        [ "$(find "$CACHE" -name "*.vmafs" -type f | wc -l)" -eq 1 ]
        truncate -s 200 "$CACHE"/*.vmafs
        mkdir out
        "$VMAFS" extract -C out a.vma.zst
        shows_all out
        [ "$(stat -c %s "$CACHE"/*.vmafs)" -gt 200 ]
}

# ---- options ----

@test "a window over the limit is refused with the option that allows it" {
        cp "$BATS_FILE_TMPDIR/a.vma" .
        zstd -q -1 --long=30 <a.vma >long.zst
        run --separate-stderr "$VMAFS" long.zst cache -o index=none
        [ "$status" -eq 1 ]
        one_line_says "needs a window of 1073741824 bytes"
        one_line_says "-o window=1024M"
        run --separate-stderr "$VMAFS" long.zst cache -o index=none,window=512M
        [ "$status" -eq 1 ]
        mount_vmafs long.zst -o index=none,window=1024M
        wait_indexed
        shows_all "$MNT"
}

# Runs VERB on ARCHIVE with the options, so that it keeps no index: run_verb VERB ARCHIVE OPTION...
run_verb() {
        local words=("$1" "${@:3}" "$2")

        echo "${words[*]}"
        rm -rf out i
        mkdir out
        case $1 in
        map) words+=(disk-a.raw) ;;
        extract) words+=(disk-a.raw -C out) ;;
        index) words+=(--file=i) ;;
        esac
        run --separate-stderr "$VMAFS" "${words[@]}"
        rm -f "$CACHE"/*.vmafs "$CACHE"/*.seen
}

# Every verb refuses ARCHIVE by naming MIB of window, and opens it with that: window_is_asked_for
window_is_asked_for() {
        local verb

        for verb in info map verify extract index; do
                run_verb $verb "$1"
                [ "$status" -eq 1 ] && one_line_says "; allow it with -o window=$2M to mount, --window=$2M" || return 1
                run_verb $verb "$1" --window=$(($2 - 1))M
                [ "$status" -eq 1 ] || return 1
                run_verb $verb "$1" --window="$2M"
                echo "$status: $stderr"
                [ "$status" -eq 0 ] && [ -z "$stderr" ] || return 1
                [ $verb != extract ] || cmp out/disk-a.raw "$RAW" || return 1
        done
}

@test "every verb opens an archive with a window of 256 MiB by --window, and asks for that without" {
        cache_folder
        zstd -q --long=28 <"$BATS_FILE_TMPDIR/a.vma" >long.zst
        window_is_asked_for long.zst 256
}

@test "every verb opens an archive with a window of 1 GiB by --window, and asks for that without" {
        cache_folder
        zstd -q -3 --ultra --long=30 <"$BATS_FILE_TMPDIR/a.vma" >long.zst
        window_is_asked_for long.zst 1024
}

@test "a mount in the background says that it cannot keep its index, before it returns" {
        mkdir m
        run --separate-stderr "$VMAFS" a.vma.zst m -o index="$PWD/absent/i" 3>&-
        [ "$status" -eq 0 ]
        one_line_says "a.vma.zst: its index cannot be kept as $PWD/absent/i: the folder $PWD/absent does not exist"
        shows_all m
}

@test "a mount that can keep its index, or needs none, says nothing" {
        mkdir m
        run --separate-stderr "$VMAFS" a.vma.zst m -o index="$PWD/i" 3>&-
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        # What it has tried leaves nothing behind.
        wait_for 60 test -e i
        [ -z "$(find . -maxdepth 1 -name '.vmafs-*')" ]
        umount m
        run --separate-stderr "$VMAFS" "$BATS_FILE_TMPDIR/a.vma" m -o index="$PWD/absent/i" 3>&-
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        umount m
        run --separate-stderr "$VMAFS" a.vma.zst m -o index=none 3>&-
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
}

@test "--cache=, --threads= and --window= are checked, and taken" {
        local verb bad

        cache_folder
        for verb in info map verify extract index; do
                for bad in cache= cache=x threads=100000 window=4G; do
                        run_verb $verb a.vma.zst "--$bad"
                        [ "$status" -eq 2 ]
                        one_line_says "--${bad%%=*} is a "
                done
                run_verb $verb a.vma.zst --cache=1M --threads=1 --window=128M
                [ "$status" -eq 0 ]
        done
}

@test "cache=, threads= and window= are checked" {
        local bad

        for bad in cache= cache=0 cache=x cache=1X cache=-1 cache=1GG threads= threads=x threads=-1 \
                threads=100000 window= window=0 window=4G window=x; do
                echo "$bad"
                run --separate-stderr "$VMAFS" a.vma.zst cache -o "index=none,$bad"
                [ "$status" -eq 2 ]
                one_line_says "-o ${bad%%=*}"
        done
        [ -z "$(mounts_below "$PWD")" ]
}

@test "one thread and a small cache give the same bytes" {
        local kind

        for kind in "${KINDS[@]}"; do
                mount_vmafs "a.vma.$kind" -o index=none,threads=1,cache=1M
                wait_indexed
                shows_all "$MNT"
        done
}

# ---- compressed archives ----

@test "a compressed archive is known by its contents, whatever its name" {
        local kind

        for kind in zst:zstd gz:gzip lzo:lzop; do
                mv "a.vma.${kind%:*}" backup
                "$VMAFS" info backup | grep "^compression:  ${kind#*:}\$"
                mount_vmafs backup -o index=none
                wait_indexed
                shows_all "$MNT"
                [ "$(getfattr --only-values -n user.vmafs.compression "$MNT")" = "${kind#*:}" ]
        done
}

@test "a header over several segments does not hang the mount" {
        cp "$BATS_FILE_TMPDIR/conf" .
        mkvma -o big.vma --device "a=$RAW" --config guest.conf=conf --header-size=2M
        pack lzo big.vma
        mount_vmafs big.vma.lzo -o index="$PWD/i"
        wait_indexed
        shows_all "$MNT"
        umount "$MNT" || fusermount3 -u "$MNT"
        wait_for 60 test -s i
        mount_vmafs big.vma.lzo -o index="$PWD/i"
        index_is complete
        shows_all "$MNT"
}

@test "zeros after the stream are no damage to gzip and lzop" {
        local kind

        for kind in gz lzo; do
                head -c 10000 /dev/zero >>"a.vma.$kind"
                "$VMAFS" verify "a.vma.$kind"
        done
}

@test "garbage after the stream: all is there, and verify names it" {
        local kind

        cache_folder
        for kind in "${KINDS[@]}"; do
                head -c 5000 "$RAW" >>"a.vma.$kind"
                mount_vmafs "a.vma.$kind" -o index=none
                wait_indexed
                cmp "$MNT/disk-a.raw" "$RAW"
                run "$VMAFS" verify "a.vma.$kind"
                echo "$kind: $output"
                [ "$status" -eq 1 ]
                [[ $output == *DAMAGED* ]]
        done
}

@test "a stream that is cut short: what is in front is right, the rest is an error" {
        local kind size

        cache_folder
        for kind in "${KINDS[@]}"; do
                size=$(stat -c %s "a.vma.$kind")
                truncate -s $((size * 2 / 3)) "a.vma.$kind"
                mount_vmafs "a.vma.$kind" -o index=none
                wait_indexed
                right_or_lost "$MNT/disk-a.raw" "$RAW"
                echo "$kind: $LOST lost"
                # A third of 40 MiB is gone; 16 MiB more where the cut looks like the end of a stream by chance.
                [ "$LOST" -gt $((8 << 20)) ] && [ "$LOST" -lt $((36 << 20)) ]
                run "$VMAFS" verify "a.vma.$kind"
                echo "$output" | head -n 3
                [ "$status" -eq 1 ]
                [[ $output == *DAMAGED* ]]
                run --separate-stderr "$VMAFS" index --file=i "a.vma.$kind"
                [ "$status" -eq 1 ]
                [ ! -e i ]
        done
}

@test "a flipped bit: what is in front is right, and no byte is wrong where blocks are checked" {
        local kind size at

        cache_folder
        for kind in zst lzo; do
                size=$(stat -c %s "a.vma.$kind")
                for at in 2 3 5; do
                        cp "$BATS_FILE_TMPDIR/a.vma.$kind" .
                        flip "a.vma.$kind" $((size * at / 6))
                        run "$VMAFS" verify "a.vma.$kind"
                        echo "$kind $at: $status"
                        [ "$status" -eq 1 ]
                        [[ $output == *DAMAGED* ]]
                done
        done
}

@test "a bit that is flipped after indexing is an I/O error in its segment, never a wrong byte" {
        local kind size

        for kind in "${KINDS[@]}"; do
                "$VMAFS" index --file="$kind.index" "a.vma.$kind"
                size=$(stat -c %s "a.vma.$kind")
                flip "a.vma.$kind" $((size / 2))
                mount_vmafs "a.vma.$kind" -o index="$PWD/$kind.index"
                index_is complete
                right_or_lost "$MNT/disk-a.raw" "$RAW"
                echo "$kind: $LOST lost"
                [ "$LOST" -gt 0 ] && [ "$LOST" -le $((17 << 20)) ]
        done
}

@test "cp of a never-seen archive reads it once" {
        local size

        size=$(stat -c %s a.vma.zst)
        mount_gatefs a.vma.zst
        mount_vmafs "$GATED" -o index=none
        cp "$MNT/disk-a.raw" out
        cmp out "$RAW"
        wait_indexed
        # The identity's samples and the blocks that fell out of the cache may be read again, and what
        # lies after the end of a piece that is looked for ahead of the pass.
        [ "$(gate_status bytes)" -lt $((size * 9 / 4)) ]
}

@test "a bit that is flipped near the beginning after indexing costs its segment, and the index is used" {
        local kind

        for kind in "${KINDS[@]}"; do
                "$VMAFS" index --file="$kind.index" "a.vma.$kind"
                flip "a.vma.$kind" $(($(stat -c %s "a.vma.$kind") / 10))
                mount_vmafs "a.vma.$kind" -o index="$PWD/$kind.index"
                index_is complete
                right_or_lost "$MNT/disk-a.raw" "$RAW"
                echo "$kind: $LOST lost"
                [ "$LOST" -gt 0 ] && [ "$LOST" -le $((17 << 20)) ]
                [ "$(cat "$MNT/guest.conf")" = "name: guest" ]
        done
}
