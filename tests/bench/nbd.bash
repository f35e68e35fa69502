# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The section nbd of tests/bench/run, which sources this: the plugin beside nbdkit's own for files, on
# the same disk.

PLUGIN=$BUILD/nbdkit-vmafs-plugin.so
nbdkit='' # pid of one

# start_nbdkit PLUGIN PARAMETER…: what it exports is $NBD.
start_nbdkit() {
        local end=$((SECONDS + 10))

        rm -f "$DIR/nbd.sock" "$DIR/nbd.pid"
        nbdkit -f -U "$DIR/nbd.sock" -P "$DIR/nbd.pid" "$@" &
        nbdkit=$!
        NBD="nbd+unix:///?socket=$DIR/nbd.sock"
        until [ -s "$DIR/nbd.pid" ]; do
                [ "$SECONDS" -lt "$end" ] || die "nbdkit serves nothing"
                sleep 0.05
        done
}

stop_nbdkit() {
        kill "$nbdkit"
        wait "$nbdkit" || die "nbdkit ended with status $?"
        nbdkit=''
}

# The step is odd in blocks of 4 KiB, and so leads to all of them in turn, each far from the last.
nbd_random() {
        qemu-img bench -q -f raw -c 100000 -d 16 -s 4096 -S $((4096 * 39769)) "$NBD" >/dev/null
}

# What the server has taken of the processors, in hundredths of a second.
nbd_ticks() {
        awk '{ print $14 + $15 }' "/proc/$nbdkit/stat"
}

# nbd_round SUBJECT PLUGIN PARAMETER…: times, and what the server takes of the processors, which
# tells more where others use them, too.
nbd_round() {
        local ticks

        start_nbdkit "${@:2}"
        nbdcopy "$NBD" null:
        ticks=$(nbd_ticks)
        sample "$1.seq" nbdcopy "$NBD" null:
        sample "$1.one" nbdcopy --connections=1 --requests=1 "$NBD" null:
        note "$1.seq.cpu" $(($(nbd_ticks) - ticks))
        ticks=$(nbd_ticks)
        sample "$1.random" nbd_random
        note "$1.random.cpu" $(($(nbd_ticks) - ticks))
        stop_nbdkit
}

bench_nbd() {
        local i order raw=$DIR/drive-scsi0.raw

        generated_data 768 | make_disk "$raw" 1024
        for order in live shuffle; do
                "$TOOLS/mkvma" -o "$DIR/plain.vma" --device drive-scsi0="$raw" --order="$order"
                start_nbdkit "$PLUGIN" "$DIR/plain.vma"
                nbdcopy "$NBD" - | cmp - "$raw" || die "the plugin serves other bytes"
                stop_nbdkit
                warm "$raw" "$DIR/plain.vma"
                for ((i = 0; i < ROUNDS; i++)); do
                        nbd_round "nbd.$order" "$PLUGIN" "$DIR/plain.vma"
                        nbd_round "nbd.$order.file" file "$raw"
                done
                rm "$DIR/plain.vma"
                ratio "nbd, $order: nbdcopy, speed, x nbdkit file" "nbd.$order.file.seq" "nbd.$order.seq" ">=" 0.9
                ratio "nbd, $order: nbdcopy, one request at a time, speed, x nbdkit file" \
                        "nbd.$order.file.one" "nbd.$order.one" ">=" 0.9
                ratio "nbd, $order: 4 KiB random reads, 16 at a time, speed, x nbdkit file" \
                        "nbd.$order.file.random" "nbd.$order.random" ">=" 0.9
                ratio "nbd, $order: processor time of both copies, x nbdkit file" \
                        "nbd.$order.seq.cpu" "nbd.$order.file.seq.cpu"
                ratio "nbd, $order: processor time of random reads, x nbdkit file" \
                        "nbd.$order.random.cpu" "nbd.$order.file.random.cpu"
        done
        rm "$raw"
}
