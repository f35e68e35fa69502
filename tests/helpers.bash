# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the end-to-end tests: `load helpers` first. Everything a test makes lies below
# $BATS_TEST_TMPDIR; the teardown here unmounts whatever is mounted there, so a test file with a
# teardown of its own calls unmount_all in it.

: "${VMAFS:?is the program under test; run make e2e}"
: "${TOOLS:?is the directory of the built test tools; run make e2e}"

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

# Mounts ARCHIVE, with any further options, on a new directory, and sets MNT to it. Not within
# `run`, which would lose MNT.
mount_vmafs() {
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        # A daemon that keeps descriptor 3 would keep bats waiting.
        "$VMAFS" "$1" "$MNT" "${@:2}" 3>&-
}

# Shows FILE through a gate, and sets GATED to where.
mount_gatefs() {
        GATE_DIR=$(mktemp -d "$BATS_TEST_TMPDIR/gate.XXXXXX")
        "$TOOLS/gatefs" "$1" "$GATE_DIR" 3>&-
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

# Waits until the command succeeds, at most SECONDS: wait_for 5 test -e file
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

# Mount points below the directory, newest first.
mounts_below() {
        awk -v dir="$1/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac |
                while IFS= read -r path; do printf '%b\n' "$path"; done
}

# Gates that stay closed would keep what is mounted on top of them busy.
open_gates() {
        local gate

        for gate in "$1"/gate.*/.gate; do
                [ -e "$gate" ] && printf 'open all\ndelay 0\n' >"$gate"
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

# Unmounts everything the test has mounted. What is still in use after some seconds is taken
# away, named, and a failure.
unmount_all() {
        local dir=$BATS_TEST_TMPDIR left path end=$((SECONDS + ${E2E_PATIENCE:-5}))

        open_gates "$dir"
        while left=$(mounts_below "$dir") && [ -n "$left" ] && [ "$SECONDS" -lt "$end" ]; do
                detach_loops "$dir"
                while IFS= read -r path; do
                        unmount_one "$path" || sleep 0.05
                done <<<"$left"
        done
        detach_loops "$dir"
        [ -n "$left" ] || return 0
        while IFS= read -r path; do
                echo "still mounted after the test: $path" >&2
                umount -l "$path" 2>/dev/null || fusermount3 -uz "$path"
        done <<<"$left"
        return 1
}
