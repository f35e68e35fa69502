# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the end-to-end tests: `load helpers` first. Everything a test makes lies below
# $BATS_TEST_TMPDIR; the teardown here unmounts whatever is mounted there, so a test file with a
# teardown of its own calls unmount_all in it.

: "${VMAFS:?is the program under test; run make e2e}"
: "${TOOLS:?is the directory of the built test tools; run make e2e}"

# One order of names, and messages in English.
export LC_ALL=C.UTF-8

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for the tests
DATA=$ROOT/tests/data

teardown() {
        unmount_all
}

need_root() {
        [ "$(id -u)" -eq 0 ] || skip "needs root"
}

# Sets REFERENCE to the directory of genuine archives, or skips the test.
reference_dir() {
        REFERENCE=${VMAFS_REFERENCE:-$ROOT/../shared/reference}
        [ -r "$REFERENCE/CONTENTS" ] || skip "no reference archives"
}

mkvma() {
        "$TOOLS/mkvma" "$@"
}

# The data ranges of a file by SEEK_DATA, or with --nonzero by its contents.
holes() {
        "$TOOLS/holes" "$@"
}

# The SHA-256 of a file, alone.
sha() {
        sha256sum <"$1" | cut -d' ' -f1
}

# A line for the table of faults: fault_tried WHAT COUNT OUTCOME
fault_tried() {
        [ -z "${FAULT_LOG:-}" ] || printf '%s|%s|%s\n' "$@" >>"$FAULT_LOG"
}

# What the two files of the genuine tiny.vma are.
# shellcheck disable=SC2034 # for the tests
TINY_DISK=6643d417e01a111d42aedafdc44dfa85bff813309f518a42cafe1116927ef56d
# shellcheck disable=SC2034 # for the tests
TINY_CONF=29ca81c5d853bb97a6c3d2e3824270f8b4e5739f8d13d3507956ad82d72330b5

# Writes SIZE bytes of noise, the same in each run for the same SEED: noise SIZE [SEED]
noise() {
        head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K "$(printf %032x "${2:-1}")" -iv 0
}

# Writes SIZE bytes to FILE, no two blocks of them alike: make_data FILE SIZE [FIRST-NUMBER]
make_data() {
        seq -f '%015.0f' "${3:-1}" $((${3:-1} + $2 / 16)) | head -c "$2" >"$1"
}

# Makes FILE a disk of SIZE bytes that holds data in these 4 KiB blocks only, written FIRST-LAST:
# make_disk FILE SIZE 0-2 7-7
make_disk() {
        local file=$1 size=$2 range

        make_data "$file.all" "$size"
        truncate -s 0 "$file"
        truncate -s "$size" "$file"
        for range in "${@:3}"; do
                dd if="$file.all" of="$file" bs=4096 skip="${range%-*}" seek="${range%-*}" \
                        count=$((${range#*-} - ${range%-*} + 1)) conv=notrunc status=none
        done
        rm "$file.all"
}

# A disk with holes and data of every kind: runs over clusters, ragged clusters, and an end that
# is neither a cluster's nor a block's. Sets DISK_SIZE.
make_ragged_disk() {
        DISK_SIZE=$((6 * 1024 * 1024 + 1536))
        make_disk "$1" $DISK_SIZE 0-2 5-5 15-16 33-33 35-35 64-200 300-303 512-1023 1534-1536
}

# Starts vmafs in the foreground of a process of its own: sets MNT, DAEMON to its process and LOG
# to the file of its messages. Returns when the mount is there.
# shellcheck disable=SC2034 # for the tests
start_vmafs() {
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        LOG=$MNT.log
        "$VMAFS" "$1" "$MNT" -f "${@:2}" >"$LOG" 2>&1 3>&- &
        DAEMON=$!
        wait_for 60 mountpoint -q "$MNT" || {
                cat "$LOG"
                return 1
        }
}

# Lets other users reach the test's directory, through the tests' own ones above it.
let_others_pass() {
        local dir=$BATS_TEST_TMPDIR end

        end=$(realpath "${TMPDIR:-/tmp}")
        while [[ $dir/ == "$end"/* ]]; do
                [ $((0$(stat -c %a "$dir") & 1)) -ne 0 ] || chmod o+x "$dir"
                dir=$(dirname "$dir")
        done
}

# The names in a directory, sorted, one a line.
names_in() {
        find "$1" -mindepth 1 -maxdepth 1 -printf '%P\n' | sort
}

index_is() {
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT" 2>/dev/null)" = "$1" ]
}

# Waits until all of the archive has been indexed.
wait_indexed() {
        wait_for 120 index_is complete
}

is_gone() {
        ! mountpoint -q "$1"
}

# Has the process ended, with all of its threads? A zombie may wait for one that hangs.
has_ended() {
        ! ps -L -o stat= -p "$1" 2>/dev/null | grep -qv Z
}

has_refused() {
        grep -q 'not unmounted' "$LOG"
}

ended_or_refused() {
        has_ended "$DAEMON" || has_refused
}

# Sends the signal $1 to the mount of start_vmafs, files of which are open, until it is obeyed.
insist() {
        kill -"$1" "$DAEMON"
        wait_for 60 ended_or_refused
        has_ended "$DAEMON" || kill -"$1" "$DAEMON"
}

# Kills a mount's process with its unmounter, which leaves a stale mount.
kill_for_good() {
        # Another helper may be about to end by itself.
        pgrep -x -P "$1" unmount-helper | xargs kill -9
        kill -9 "$1"
        wait_for 60 has_ended "$1"
}

# Did the child end with an error?
has_failed() {
        local rc=0

        wait "$1" || rc=$?
        [ "$rc" -ne 0 ]
}

# 512-byte blocks that a sparse copy of FILE takes: of its non-zero 4 KiB blocks, by content.
nonzero_blocks() {
        holes --nonzero "$1" | awk '{ n += int(($2 + 4095) / 4096) * 8 } END { print n + 0 }'
}

# Every byte of the mounted FILE is that of RAW, which has no block of zeros, or an I/O error. Sets
# LOST to how many are errors: right_or_lost FILE RAW
right_or_lost() {
        local start len

        # Past the page cache, whose read-ahead would try all that is lost once for each block of it.
        dd if="$1" of=got bs=4K iflag=direct conv=noerror,sync status=none 2>errors || true
        # What is lost is zeros in got.
        LOST=$(stat -c %s "$2")
        while read -r start len; do
                cmp -n "$len" -i "$start" got "$2" || return 1
                LOST=$((LOST - len))
        done < <(holes --nonzero got)
}

# Exactly one line on stderr, that begins as all do: after run --separate-stderr.
# shellcheck disable=SC2154 # stderr_lines is bats'
one_line_says() {
        echo "status $status: ${stderr:-}"
        [ "${#stderr_lines[@]}" -eq 1 ] && [[ ${stderr_lines[0]} == "vmafs: "*$1* ]]
}

# Mounts ARCHIVE, with any further options, on a new directory, and sets MNT to it. Not within
# `run`, which would lose MNT.
mount_vmafs() {
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        # A daemon that keeps descriptor 3 would keep bats waiting.
        "$VMAFS" "$1" "$MNT" "${@:2}" 3>&-
}

# Shows FILE through a gate, and sets GATED to where: mount_gatefs FILE [OPTION ...]
mount_gatefs() {
        GATE_DIR=$(mktemp -d "$BATS_TEST_TMPDIR/gate.XXXXXX")
        "$TOOLS/gatefs" "$1" "$GATE_DIR" "${@:2}" 3>&-
        # shellcheck disable=SC2034 # for the tests
        GATED=$GATE_DIR/$(basename "$1")
}

# Moves the gate: gate open 4096
gate() {
        echo "$*" >"$GATE_DIR/.gate"
}

# One of the gate's numbers: gate_status blocked
gate_status() {
        sed -n "s/^$1 //p" "$GATE_DIR/.gate"
}

# Do just so many reads wait at the gate? For wait_for.
reads_blocked() {
        [ "$(gate_status blocked)" -eq "$1" ]
}

# Waits until the command succeeds, at most SECONDS: wait_for 60 test -e file
wait_for() {
        local end=$((SECONDS + $1 + 1))

        shift
        until "$@"; do
                if [ "$SECONDS" -ge "$end" ]; then
                        echo "waited in vain for: $*" >&2
                        return 1
                fi
                sleep 0.05
        done
}

# Mount points below the directory, newest first, each with a NUL after it.
mounts_below() {
        awk -v dir="$1/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac |
                while IFS= read -r path; do printf '%b\0' "$path"; done
}

# Gates that stay closed would keep what is mounted on top of them busy.
open_gates() {
        local gate

        for gate in "$1"/gate.*/.gate; do
                [ -e "$gate" ] && printf 'open all\nhold none\ndelay 0\n' >"$gate"
        done
        return 0
}

detach_loops() {
        losetup --noheadings --raw --output NAME,BACK-FILE 2>/dev/null |
                awk -v dir="$1/" 'index($2, dir) == 1 { print $1 }' |
                xargs -r -n 1 losetup -d
}

unmount_one() {
        umount "$1" 2>/dev/null || fusermount3 -u "$1" 2>/dev/null
}

# Unmounts everything the test has mounted. What is still in use after a minute is taken
# away, named, and a failure.
unmount_all() {
        local dir=$BATS_TEST_TMPDIR left path end=$((SECONDS + ${E2E_PATIENCE:-60}))

        open_gates "$dir"
        while mapfile -d '' left < <(mounts_below "$dir") && [ "${#left[@]}" -gt 0 ] &&
                [ "$SECONDS" -lt "$end" ]; do
                detach_loops "$dir"
                for path in "${left[@]}"; do
                        unmount_one "$path" || sleep 0.05
                done
        done
        detach_loops "$dir"
        [ "${#left[@]}" -gt 0 ] || return 0
        for path in "${left[@]}"; do
                echo "still mounted after the test: $path" >&2
                umount -l "$path" 2>/dev/null || fusermount3 -uz "$path"
        done
        return 1
}
