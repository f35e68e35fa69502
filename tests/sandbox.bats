# SPDX-License-Identifier: GPL-2.0-or-later
# What a process gives up while it works through an archive, and that it can do its work all the same.
# What it refuses is tests/unit/fs/process/test_sandbox.c's.
# shellcheck disable=SC2016 # scripts for other shells
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_ragged_disk a.raw
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q a.vma -o a.vma.zst
}

# A sanitizer's runtime looks around, traces and starts programs.
need_sandbox() {
        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a build with a sanitizer has no sandbox"
}

# A field of a process' status: status_of PID Seccomp
status_of() {
        sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

# All of a process' threads have neither capabilities nor a way to get some, and a filter.
is_sandboxed() {
        local task

        [ -d "/proc/$1" ] || return 1
        for task in "/proc/$1/task/"*; do
                # Threads come and go.
                grep -qs . "$task/status" || continue
                [ "$(status_of "$1/task/${task##*/}" NoNewPrivs)" -eq 1 ] &&
                        [ "$(status_of "$1/task/${task##*/}" Seccomp)" -eq 2 ] &&
                        [ "$(status_of "$1/task/${task##*/}" CapEff)" = 0000000000000000 ] &&
                        [ "$(status_of "$1/task/${task##*/}" CapPrm)" = 0000000000000000 ] || return 1
        done
}

# Reads the disk from end to end by many readers at once, each in other pieces.
many_readers() {
        local i pids=() pid

        for i in {1..32}; do
                dd if="$MNT/disk-a.raw" bs=$((i * 1000)) iflag=direct status=none 3>&- | cmp - a.raw 3>&- &
                pids+=($!)
        done
        for pid in "${pids[@]}"; do
                wait "$pid" || return 1
        done
}

@test "a mount's process has no capabilities, no new privileges, and a filter of its calls" {
        need_sandbox
        start_vmafs a.vma.zst
        wait_indexed
        cmp a.raw "$MNT/disk-a.raw"
        [ "$(find "/proc/$DAEMON/task" -mindepth 1 -maxdepth 1 | wc -l)" -ge 3 ]
        is_sandboxed "$DAEMON"
        if [ "$(id -u)" -eq 0 ]; then
                [ "$(status_of "$DAEMON" CapBnd)" = 0000000000000000 ]
        fi
        [ ! -s "$LOG" ]
}

@test "threads that are started later are in the sandbox, too" {
        local option threads

        need_sandbox
        for option in ro clone_fd; do
                start_vmafs a.vma -o "$option"
                threads=$(find "/proc/$DAEMON/task" -mindepth 1 -maxdepth 1 | wc -l)
                many_readers
                [ "$(find "/proc/$DAEMON/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt "$threads" ]
                is_sandboxed "$DAEMON"
                umount "$MNT"
                wait_for 60 has_ended "$DAEMON"
                wait "$DAEMON"
                [ ! -s "$LOG" ]
        done
}

@test "sandbox=off turns it off, and nothing else" {
        start_vmafs a.vma -o sandbox=off
        [ "$(status_of "$DAEMON" Seccomp)" -eq 0 ]
        [ "$(status_of "$DAEMON" NoNewPrivs)" -eq 0 ]
        cmp a.raw "$MNT/disk-a.raw"
        kill -9 "$DAEMON"
        wait_for 60 is_gone "$MNT"
}

@test "sandbox is on or off" {
        mkdir mnt
        run --separate-stderr "$VMAFS" a.vma mnt -o sandbox=maybe
        [ "$status" -eq 2 ]
        one_line_says "-o sandbox is on or off"
}

@test "each way to end a mount leaves none behind, with and without clone_fd" {
        local option way

        for option in ro clone_fd sandbox=off; do
                for way in umount TERM INT KILL; do
                        start_vmafs a.vma -o "$option"
                        many_readers
                        case $way in
                        umount) umount "$MNT" ;;
                        *) kill -$way "$DAEMON" ;;
                        esac
                        wait_for 60 is_gone "$MNT"
                        wait_for 60 has_ended "$DAEMON"
                        rmdir "$MNT"
                done
        done
}

@test "a single thread serves and ends in the sandbox" {
        start_vmafs a.vma -s
        cmp a.raw "$MNT/disk-a.raw"
        [ "$(getfattr --only-values -n user.vmafs.device "$MNT/disk-a.raw")" = a ]
        kill "$DAEMON"
        wait_for 60 has_ended "$DAEMON"
        wait "$DAEMON"
        is_gone "$MNT"
}

@test "the index is kept when the scan has ended, from within the sandbox" {
        mkdir d
        start_vmafs a.vma.zst -o index="$PWD/d/i"
        wait_indexed
        wait_for 60 test -s d/i
        [ "$(names_in d)" = i ]
        cmp a.raw "$MNT/disk-a.raw"
        [ ! -s "$LOG" ]
}

@test "root keeps an index in a folder of another user's" {
        need_root
        install -d -m 755 -o 65534 d
        start_vmafs a.vma.zst -o index="$PWD/d/i"
        wait_for 60 test -s d/i
        umount "$MNT"
        wait "$DAEMON"
        rm d/i
        "$VMAFS" index --file=d/i a.vma.zst
        [ -s d/i ]
}

@test "root extracts into a folder of another user's" {
        need_root
        install -d -m 755 -o 65534 d
        "$VMAFS" extract -C d a.vma.zst
        cmp a.raw d/disk-a.raw
}

@test "a loop device still holds off the first SIGTERM" {
        local loop

        need_root
        start_vmafs a.vma
        loop=$(losetup -r -f --show "$MNT/disk-a.raw")
        kill "$DAEMON"
        wait_for 60 grep -q "not unmounted: $loop still uses a disk" "$LOG"
        cmp "$loop" <(head -c "$(blockdev --getsize64 "$loop")" a.raw)
        losetup -d "$loop"
        kill "$DAEMON"
        wait_for 60 is_gone "$MNT"
}

@test "a read that fails is logged to syslog by a daemon in the sandbox" {
        need_root
        mkvma -o b.vma --device a=a.raw
        gzip b.vma
        head -c 3000 b.vma.gz >cut.vma.gz
        mkdir mnt
        unshare -m bash -euc '
                trap "umount -q mnt || true; kill %1" EXIT
                mkdir dev
                cp -a /dev/null /dev/fuse dev/
                mount --bind dev /dev
                perl -MIO::Socket::UNIX -e "
                        \$s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => q(/dev/log)) or die;
                        \$| = 1; print \"\$m\n\" while \$s->recv(\$m, 4096) || 1" >log 2>&1 &
                until [ -S /dev/log ]; do sleep 0.1; done
                "$VMAFS" cut.vma.gz mnt -o index=none
                for _ in {1..600}; do grep -q "verify names them" log && break; sleep 0.1; done' 3>&-
        cat log
        grep -q 'vmafs: .*bytes are lost and read as I/O errors' log
}

@test "the verbs do their work in the sandbox" {
        mkdir out
        "$VMAFS" verify a.vma.zst
        "$VMAFS" extract -C out a.vma.zst
        "$VMAFS" index --file=i a.vma.zst
        cmp a.raw out/disk-a.raw
        [ -s i ]
}

@test "nobody's mount is sandboxed, and SIGKILL leaves none behind" {
        need_root
        need_sandbox
        let_others_pass
        cp "$VMAFS" vmafs
        chmod 755 vmafs
        chmod 644 a.vma
        install -d -o 65534 own own/mnt
        unshare -m bash -euc '
                # Not mountpoint(1): root may not look into the mount.
                mounted() { grep -qF " $PWD/own/mnt " /proc/self/mountinfo; }
                trap "umount -ql own/mnt || true" EXIT
                if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
                        mkdir dev
                        mount -t tmpfs -o mode=755,dev none dev
                        mknod -m 666 dev/fuse c 10 229
                        mount --bind dev/fuse /dev/fuse
                fi
                for way in TERM KILL; do
                        for option in ro clone_fd; do
                                setpriv --reuid=65534 --regid=65534 --clear-groups \
                                        ./vmafs a.vma own/mnt -f -o "$option" &
                                pid=$!
                                for _ in {1..600}; do mounted && break; sleep 0.1; done
                                setpriv --reuid=65534 --regid=65534 --clear-groups cmp a.raw own/mnt/disk-a.raw
                                grep -q "^Seccomp:.2" /proc/$pid/status
                                grep -q "^NoNewPrivs:.1" /proc/$pid/status
                                kill -$way $pid
                                wait $pid || [ $way = KILL ]
                                for _ in {1..600}; do mounted || break; sleep 0.1; done
                                ! mounted
                        done
                done' 3>&-
}
