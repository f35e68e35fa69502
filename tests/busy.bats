# SPDX-License-Identifier: GPL-2.0-or-later
# Archives of machines that were busy: clusters lie far from where a reader in sequence expects them.
load helpers
bats_require_minimum_version 1.5.0

DISK_SIZE=50331648

# compress ORDER CODEC…: the archive in that order, and an index for each
compress() {
        local codec

        mkvma -o "$1.vma" --order="$1" --device a=a.raw --device b=b.raw
        for codec in "${@:2}"; do
                case $codec in
                zst) zstd -q -3 -T1 --rsyncable "$1.vma" -o "$1.zst" ;;
                gz) gzip -1 -c "$1.vma" >"$1.gz" ;;
                lzo) lzop -q -o "$1.lzo" "$1.vma" ;;
                esac
                "$VMAFS" index --file="$PWD/$1.$codec.index" "$1.$codec" >said
        done
}

setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        make_data a.raw "$DISK_SIZE"
        noise "$DISK_SIZE" 7 >b.raw
        compress busy zst gz lzo
        compress shuffle zst
}

setup() {
        cd "$BATS_FILE_TMPDIR" || return
}

# mount_order ARCHIVE OPTIONS [WORD…]
mount_order() {
        start_vmafs "$1" "${@:3}" -o "index=$PWD/$1.index,$2"
        wait_indexed
}

decoded() {
        getfattr --only-values -n user.vmafs.decoded "$MNT"
}

# Both disks at the same time.
both_are_right() {
        local pid

        cmp a.raw "$MNT/disk-a.raw" 3>&- &
        pid=$!
        cmp b.raw "$MNT/disk-b.raw" && wait "$pid"
}

@test "of a disk read alone whose strays lie among another's, a segment is decoded about once" {
        mount_order busy.zst direct_io
        cmp b.raw "$MNT/disk-b.raw"
        echo "decoded $(decoded) of $DISK_SIZE"
        # That many times if each stray cost its segment: 5.
        [ "$(decoded)" -lt $((DISK_SIZE * 5 / 2)) ]
}

@test "info says how much is out of order, and how much cache that takes" {
        cp busy.zst.index busy.zst.vmafs
        "$VMAFS" info busy.zst >info.text
        "$VMAFS" info --json busy.zst >info.json
        rm busy.zst.vmafs
        # 3 per cent of all clusters, of which some lie near their turn.
        grep '^out of order: [123]\.[0-9]% of the data (.*); with -o cache=[0-9]*M or more' info.text
        jq -e --argjson all $((2 * DISK_SIZE)) '.index["out-of-order"] |
                . > $all / 100 and . < $all * 4 / 100' info.json
        jq -e '.index["cache-needed"] > .index["out-of-order"]' info.json
}

@test "disks of a busy archive read one after the other are decoded once" {
        mount_order busy.zst direct_io
        cmp a.raw "$MNT/disk-a.raw"
        cmp b.raw "$MNT/disk-b.raw"
        echo "decoded $(decoded) of $((2 * DISK_SIZE))"
        [ "$(decoded)" -lt $((2 * DISK_SIZE * 3 / 2)) ]
}

@test "a small cold read decodes no more than a segment, and half of one on average" {
        local i before worst=0

        mount_order busy.zst direct_io,cache=16M
        for ((i = 0; i < 40; i++)); do
                before=$(decoded)
                dd if="$MNT/disk-b.raw" bs=4096 skip=$((i * 4999 % 12288)) count=1 iflag=direct \
                        status=none | cmp - <(tail -c +$((i * 4999 % 12288 * 4096 + 1)) b.raw | head -c 4096)
                [ $(($(decoded) - before)) -le "$worst" ] || worst=$(($(decoded) - before))
        done
        echo "decoded $(decoded) in 40 reads, $worst at most"
        # A block of zstd may be decoded beyond what is asked for.
        [ "$worst" -le $((8 * 1048576 + 131072)) ]
        [ "$(decoded)" -lt $((40 * 5 * 1048576)) ]
}

@test "bytes are right in a busy order, whatever the compression and the memory" {
        local codec options

        for codec in zst gz lzo; do
                for options in direct_io cache=8M; do
                        echo "$codec $options"
                        mount_order "busy.$codec" "$options"
                        both_are_right
                        umount "$MNT"
                done
        done
}

@test "bytes are right where every cluster is a stray" {
        local options

        for options in direct_io cache=32M; do
                mount_order shuffle.zst "$options"
                both_are_right
                umount "$MNT"
        done
}

@test "bytes are right with one thread" {
        local archive

        for archive in busy.zst shuffle.zst; do
                mount_order "$archive" direct_io,threads=1 -s
                both_are_right
                umount "$MNT"
        done
}

@test "readers that stop, and others that begin elsewhere, get the right bytes" {
        local i

        mount_order busy.zst direct_io,cache=32M
        for i in 1 2 3 4 5 6; do
                head -c $((i * 7000000)) "$MNT/disk-b.raw" | cmp - <(head -c $((i * 7000000)) b.raw)
                tail -c +$((i * 5000000)) "$MNT/disk-a.raw" | head -c 9000000 |
                        cmp - <(tail -c +$((i * 5000000)) a.raw | head -c 9000000)
        done
}

@test "where every cluster is a stray, memory stays within the cache and 64 MiB, with many readers" {
        local i pids=()

        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        mount_order shuffle.zst direct_io,cache=32M
        for i in 0 1 2 3; do
                tail -c +$((i * 11000000 + 1)) "$MNT/disk-a.raw" 3>&- | head -c 8000000 |
                        cmp - <(tail -c +$((i * 11000000 + 1)) a.raw | head -c 8000000) 3>&- &
                pids+=($!)
                tail -c +$((i * 11000000 + 1)) "$MNT/disk-b.raw" 3>&- | head -c 8000000 |
                        cmp - <(tail -c +$((i * 11000000 + 1)) b.raw | head -c 8000000) 3>&- &
                pids+=($!)
        done
        for i in "${pids[@]}"; do
                wait "$i"
        done
        i=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$DAEMON/status")
        echo "$i KiB"
        [ "$i" -le $(((32 + 64) * 1024)) ]
}

@test "hashes that do not match cost their segments, and never give a wrong byte" {
        local disk

        cp busy.zst.index forged
        "$TOOLS/forge" --hashes forged
        for disk in a b; do
                # Without direct_io, where a block that is lost in part is a short read.
                start_vmafs busy.zst -o "index=$PWD/forged,cache=$([ $disk = a ] && echo 64M || echo 8M)"
                index_is complete
                right_or_lost "$MNT/disk-$disk.raw" $disk.raw
                echo "$disk: $LOST lost, decoded $(decoded)"
                # Each second segment, but for what is before the wrong hash.
                [ "$LOST" -gt $((DISK_SIZE / 16)) ] && [ "$LOST" -lt $((DISK_SIZE * 3 / 4)) ]
                umount "$MNT"
        done
}

have_decoded() {
        [ "$(decoded)" -gt $(($1 << 20)) ]
}

# Ends the mount, with a file open: umount -l, TERM or KILL
end_mount() {
        case $1 in
        umount) umount -l "$MNT" ;;
        TERM) insist TERM ;;
        KILL) kill -KILL "$DAEMON" ;;
        esac
}

@test "a mount ends while it decodes ahead: umount -l, SIGTERM, SIGKILL" {
        local how reader

        for how in umount TERM KILL; do
                mount_order shuffle.zst direct_io
                dd if="$MNT/disk-b.raw" of=/dev/null bs=1M 2>log.dd 3>&- &
                reader=$!
                wait_for 60 have_decoded 16
                end_mount $how
                wait "$reader" || true
                wait_for 60 has_ended "$DAEMON"
        done
}

some_wait() {
        [ "$(gate_status blocked)" -ge 1 ]
}

@test "a mount ends while what it decodes ahead waits for the archive: umount -l, SIGTERM, SIGKILL" {
        local how reader size

        size=$(stat -c %s busy.zst)
        for how in umount TERM KILL; do
                mount_gatefs "$PWD/busy.zst"
                start_vmafs "$GATED" -o "index=$PWD/busy.zst.index,direct_io"
                # The reader is among the first of disk b, after half; strays are before.
                gate hold $((size / 8)) $((size / 4))
                dd if="$MNT/disk-b.raw" of=/dev/null bs=1M 2>log.dd 3>&- &
                reader=$!
                wait_for 60 some_wait
                end_mount $how
                gate hold none
                wait "$reader" || true
                wait_for 60 has_ended "$DAEMON"
                wait_for 60 is_gone "$MNT"
                wait_for 60 umount "$GATE_DIR"
        done
}
