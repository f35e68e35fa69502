# SPDX-License-Identifier: GPL-2.0-or-later
# The tools that the other tests stand on.
load helpers
bats_require_minimum_version 1.5.0

# What the genuine tiny.vma holds: three blocks of a 1 MiB disk, and a configuration.
make_tiny_parts() {
        local genuine=$DATA/good/tiny.vma stored=0 block

        cd "$BATS_TEST_TMPDIR" || return
        truncate -s 1M tiny.raw
        for block in 0 5 255; do
                dd if="$genuine" of=tiny.raw bs=512 skip=$((26 + stored * 8)) seek=$((block * 8)) \
                        count=8 conv=notrunc status=none
                stored=$((stored + 1))
        done
        tail -c +12311 "$genuine" | head -c 116 >conf
}

@test "mkvma writes what the genuine tool writes, byte for byte" {
        make_tiny_parts
        mkvma -o out.vma --uuid=55e594a0-0d3e-4c75-a9f1-ca42a9d5988d --ctime=1795245576 \
                --config qemu-server.conf=conf --device drive-scsi0=tiny.raw
        cmp out.vma "$DATA/good/tiny.vma"
}

@test "mkvma without an output is wrong usage" {
        run mkvma --synthetic 1M
        [ "$status" -eq 2 ]
        [[ $output == *"-o OUT.vma is missing"* ]]
}

@test "mkvma refuses what it does not understand" {
        local option

        for option in --order=sideways --slots=60 --slots=0 --uuid=12 --synthetic=1000 \
                --drop=nowhere:0 --damage-extent=0:nothing --damage-extent=9:md5 --pattern=dots; do
                run mkvma -o "$BATS_TEST_TMPDIR/out.vma" --device "d=$DATA/good/tiny.vma" "$option"
                echo "$option: $status $output"
                [ "$status" -eq 2 ]
        done
}

@test "mkvma names the file that it cannot read" {
        run mkvma -o "$BATS_TEST_TMPDIR/out.vma" --device "d=$BATS_TEST_TMPDIR/absent"
        [ "$status" -eq 1 ]
        [[ $output == *"absent: No such file"* ]]
}

# The slots of an archive's extents as "dev cluster mask" in hexadecimal, in order.
slots() {
        local archive=$1 at count

        at=$((0x$(big_endian "$archive" 56 4)))
        while [ "$at" -lt "$(stat -c %s "$archive")" ]; do
                count=$((0x$(big_endian "$archive" $((at + 6)) 2)))
                od -An -v -tx1 -w8 -j $((at + 40)) -N 472 "$archive" |
                        awk '{ if ($4 != "00") print $4, $5 $6 $7 $8, $1 $2 }'
                at=$((at + 512 + count * 4096))
        done
}

big_endian() {
        od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

@test "every order has every cluster once" {
        local order

        cd "$BATS_TEST_TMPDIR" || return
        truncate -s 5M a.raw
        truncate -s 3149312 b.raw # 48 clusters and a part
        mkvma -o seq.vma --device a=a.raw --device b=b.raw@9
        slots seq.vma | sort >expected
        [ "$(wc -l <expected)" -eq $((80 + 49)) ]
        [ "$(sort -u expected | wc -l)" -eq $((80 + 49)) ]
        for order in reverse interleave shuffle live busy; do
                mkvma -o $order.vma --device a=a.raw --device b=b.raw@9 --order=$order
                run ! cmp -s seq.vma $order.vma
                slots $order.vma | sort | cmp - expected
        done
}

@test "the same seed gives the same archive, another one another" {
        cd "$BATS_TEST_TMPDIR" || return
        mkvma -o 1.vma --synthetic 64M --order=shuffle --pattern=ragged --seed=7
        mkvma -o 2.vma --synthetic 64M --order=shuffle --pattern=ragged --seed=7
        mkvma -o 3.vma --synthetic 64M --order=shuffle --pattern=ragged --seed=8
        cmp 1.vma 2.vma
        run ! cmp -s 1.vma 3.vma
}

@test "the RAM state stays in sequence when all else is shuffled" {
        cd "$BATS_TEST_TMPDIR" || return
        truncate -s 8M a.raw
        truncate -s 2M ram
        mkvma -o out.vma --device a=a.raw --vmstate ram --order=shuffle
        slots out.vma | grep '^02' >order
        [ "$(wc -l <order)" -eq 32 ]
        sort -c order
}

@test "drop, duplicate and beyond change just the slots they name" {
        cd "$BATS_TEST_TMPDIR" || return
        truncate -s 1M a.raw
        mkvma -o good.vma --device a=a.raw
        mkvma -o bad.vma --device a=a.raw --drop a:3 --duplicate 1:5 --beyond a:16
        slots good.vma | sed -e '/^01 00000003/d' \
                -e '$ a 01 00000005 0000\n01 00000010 ffff' >expected
        slots bad.vma | diff - expected
}

@test "truncate cuts the archive" {
        mkvma -o "$BATS_TEST_TMPDIR/out.vma" --synthetic 1M --truncate=20K
        [ "$(stat -c %s "$BATS_TEST_TMPDIR/out.vma")" -eq 20480 ]
}

@test "a synthetic disk is written as headers only" {
        mkvma -o "$BATS_TEST_TMPDIR/out.vma" --synthetic 32G
        [ "$(stat -c %s "$BATS_TEST_TMPDIR/out.vma")" -gt $((32 << 30)) ]
        [ "$(stat -c %b "$BATS_TEST_TMPDIR/out.vma")" -lt $((64 << 20 >> 9)) ]
}

@test "holes agrees with itself on a sparse file" {
        cd "$BATS_TEST_TMPDIR" || return
        truncate -s 10000000 f
        printf x | dd of=f bs=1 seek=0 conv=notrunc status=none
        printf x | dd of=f bs=1 seek=4096000 conv=notrunc status=none
        printf x | dd of=f bs=1 seek=4100096 conv=notrunc status=none
        printf x | dd of=f bs=1 seek=9999999 conv=notrunc status=none
        printf '0 4096\n4096000 8192\n9998336 1664\n' >expected
        holes --nonzero f | diff - expected
        holes f | diff - expected
}

@test "holes finds zeros that are stored" {
        cd "$BATS_TEST_TMPDIR" || return
        head -c 3000000 /dev/zero >f
        printf x | dd of=f bs=1 seek=2000000 conv=notrunc status=none
        [ "$(holes f)" = "0 3000000" ]
        [ "$(holes --nonzero f)" = "1998848 4096" ]
}

@test "gatefs shows the file as it is" {
        mount_gatefs "$DATA/good/tiny.vma"
        cmp "$GATED" "$DATA/good/tiny.vma"
        [ "$(gate_status bytes)" -eq 25600 ]
        run touch "$GATED"
        [ "$status" -ne 0 ]
}

@test "gatefs holds a hundred reads behind the gate, and answers meanwhile" {
        local pids=() i pid

        mount_gatefs "$DATA/good/tiny.vma"
        gate open 12800
        head -c 12800 "$DATA/good/tiny.vma" | cmp - <(head -c 12800 "$GATED")
        for i in {1..100}; do
                dd if="$GATED" bs=512 skip=25 count=1 status=none >"$BATS_TEST_TMPDIR/read.$i" 3>&- &
                pids+=($!)
        done
        wait_for 60 reads_blocked 100
        stat "$GATED"
        gate open all
        for pid in "${pids[@]}"; do
                wait "$pid"
        done
        for i in {1..100}; do
                cmp "$BATS_TEST_TMPDIR/read.$i" <(tail -c +12801 "$DATA/good/tiny.vma" | head -c 512)
        done
        [ "$(gate_status blocked)" -eq 0 ]
}

@test "a reader that gatefs holds can be killed" {
        local pid

        mount_gatefs "$DATA/good/tiny.vma"
        gate open 0
        cat "$GATED" >/dev/null 3>&- &
        pid=$!
        wait_for 60 reads_blocked 1
        kill -9 "$pid"
        wait "$pid" || true
        wait_for 60 reads_blocked 0
}

@test "gatefs fails, holds, shortens and delays reads" {
        local start

        cd "$BATS_TEST_TMPDIR" || return
        mount_gatefs "$DATA/good/tiny.vma"
        gate fail 4096 8192
        head -c 4096 "$GATED" >/dev/null
        run dd if="$GATED" bs=4096 skip=1 count=1
        [[ $output == *"Input/output error"* ]]
        dd if="$GATED" bs=4096 skip=2 count=1 status=none | cmp -n 4096 - "$DATA/good/tiny.vma" 0 8192
        gate fail none
        gate hold 4096 8192
        dd if="$GATED" bs=4096 skip=2 count=1 status=none | cmp -n 4096 - "$DATA/good/tiny.vma" 0 8192
        dd if="$GATED" of=held bs=4096 skip=1 count=1 status=none 3>&- &
        wait_for 60 reads_blocked 1
        gate hold none
        wait $!
        cmp -n 4096 held "$DATA/good/tiny.vma" 0 4096
        gate short 10000
        [ "$(cat <"$GATED" | wc -c)" -eq 10000 ]
        [ "$(stat -c %s "$GATED")" -eq 25600 ]
        gate short off
        gate delay 300
        start=$(date +%s%N)
        head -c 512 "$GATED" >/dev/null
        [ $((($(date +%s%N) - start) / 1000000)) -ge 300 ]
}

@test "gatefs refuses commands that it does not know" {
        mount_gatefs "$DATA/good/tiny.vma"
        run ! gate close
        run ! gate open
        run ! gate open 5 6
        run ! gate fail 5
        run ! gate delay all
}

@test "when gatefs ends, what it holds fails" {
        local gatefs pid

        GATE_DIR=$BATS_TEST_TMPDIR/gate.0
        GATED=$GATE_DIR/tiny.vma
        mkdir "$GATE_DIR"
        "$TOOLS/gatefs" -f "$DATA/good/tiny.vma" "$GATE_DIR" 3>&- &
        gatefs=$!
        wait_for 60 test -e "$GATED"
        gate open 0
        (cat "$GATED" 2>"$BATS_TEST_TMPDIR/err" 3>&-) &
        pid=$!
        wait_for 60 reads_blocked 1
        kill "$gatefs"
        wait "$pid" || true
        wait "$gatefs"
        # Whichever of the two ends first: what it held, or its connection.
        grep -E "Input/output error|not connected|connection abort" "$BATS_TEST_TMPDIR/err"
}
