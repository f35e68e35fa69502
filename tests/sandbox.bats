# SPDX-License-Identifier: GPL-2.0-or-later
# What a process gives up while it works through an archive, and that it can do its work all the same.
# What it refuses is tests/unit/fs/process/test_sandbox.c's.
# shellcheck disable=SC2016,SC2030,SC2031 # scripts for other shells; a test is a process
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
        local task status

        [ -d "/proc/$1" ] || return 1
        for task in "/proc/$1/task/"*; do
                # Threads come and go: one that is there is looked at once.
                status=$(cat "$task/status" 2>/dev/null) || continue
                [ "$(grep -cx -e $'NoNewPrivs:\t1' -e $'Seccomp:\t2' -e $'CapEff:\t0000000000000000' \
                        -e $'CapPrm:\t0000000000000000' <<<"$status")" -eq 4 ] || {
                        echo "$task: $status"
                        return 1
                }
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

@test "what whoever ran it left open is open in none of a mount's processes" {
        local pid

        mount_gatefs a.vma
        # So that the scan does not end, and with it the process that keeps the index.
        gate hold 65536 $(($(stat -c %s a.vma) - 65536))
        exec 7<a.raw 250>left
        start_vmafs "$GATED"
        exec 7<&- 250>&-
        wait_for 60 reads_blocked 1
        [ "$(pgrep -P "$DAEMON" | wc -l)" -eq 2 ]
        for pid in "$DAEMON" $(pgrep -P "$DAEMON"); do
                ls -l "/proc/$pid/fd" >open
                grep -q '/dev/null' open
                [ "$(grep -c -e a.raw -e left open)" -eq 0 ]
        done
        gate hold none
        cmp a.raw "$MNT/disk-a.raw"
}

@test "no file gets the number of a standard descriptor that is closed" {
        local fd pid

        MNT=$BATS_TEST_TMPDIR/mnt
        mkdir "$MNT"
        "$VMAFS" a.vma "$MNT" <&- >&- 2>&- 3>&-
        pid=$(pgrep -x -f -- "$VMAFS a.vma $MNT")
        for fd in 0 1 2; do
                [ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ]
        done
        "$VMAFS" verify a.vma <&- >&- 2>&-
}

@test "an archive may be a descriptor that was inherited" {
        "$VMAFS" verify /dev/fd/7 7<a.vma.zst
        "$VMAFS" info /proc/self/fd/7 7<a.vma
        run --separate-stderr "$VMAFS" info <(cat a.vma)
        [ "$status" -eq 2 ]
        one_line_says "cannot be read at random; save it"
}

threads_of() {
        find "/proc/$1/task" -mindepth 1 -maxdepth 1 | sort
}

@test "threads that are started later are in the sandbox, too" {
        local option i readers

        need_sandbox
        for option in ro clone_fd; do
                mount_gatefs a.vma
                start_vmafs "$GATED" -o "$option"
                wait_indexed
                threads_of "$DAEMON" >threads
                # Each of so many reads has a thread that waits for the archive.
                gate open 16384
                readers=()
                for i in {0..11}; do
                        dd if="$MNT/disk-a.raw" bs=4096 skip=$((512 + 40 * i)) count=1 iflag=direct \
                                of=/dev/null status=none 3>&- &
                        readers+=($!)
                done
                wait_for 60 many_blocked
                threads_of "$DAEMON" | comm -13 threads - | grep -q .
                is_sandboxed "$DAEMON"
                gate open all
                wait "${readers[@]}"
                cmp a.raw "$MNT/disk-a.raw"
                umount "$MNT"
                wait_for 60 has_ended "$DAEMON"
                wait "$DAEMON"
                [ ! -s "$LOG" ]
        done
}

many_blocked() {
        [ "$(gate_status blocked)" -ge 10 ]
}

# Runs each verb on FILE through a gate, and sees to it that only confined threads read it:
# reads_confined FILE DISK. Without INDEX none is built, as of an image none is.
reads_confined() {
        local verb

        mount_gatefs "$1"
        mkdir -p out
        for verb in info 'map DISK' 'extract --force -C out' 'extract -O DISK' $INDEX verify; do
                # shellcheck disable=SC2046,SC2086 # words
                "$VMAFS" ${verb/DISK/} "$GATED" $([[ $verb != *DISK ]] || echo "$2") >/dev/null
                expect_confined "$1: $verb"
        done
        start_vmafs "$GATED"
        cat "$MNT/$2" >/dev/null
        umount "$MNT"
        wait_for 60 has_ended "$DAEMON"
        expect_confined "$1: mount"
        umount "$GATE_DIR"
}

expect_confined() {
        echo "$1: $(tr '\n' ' ' <"$GATE_DIR/.gate")"
        [ "$(gate_status served)" -gt 0 ] && [ "$(gate_status unconfined)" -eq 0 ]
}

@test "no verb reads a byte of an archive before it has given up its rights" {
        local file

        need_sandbox
        INDEX=index
        cp a.raw disk.raw
        cp a.vma b.vma
        gzip -k b.vma
        lzop -q -o b.vma.lzo b.vma
        tar -cf b.tar disk.raw
        zstd -q b.tar
        gzip -k b.tar
        qemu-img convert -f raw -O qcow2 a.raw b.qcow2
        qemu-img convert -f raw -O qed a.raw b.qed
        qemu-img convert -f raw -O vmdk a.raw b.vmdk
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw s.vmdk
        gzip -k b.qcow2
        for file in b.vma a.vma.zst b.vma.gz b.vma.lzo; do
                reads_confined $file disk-a.raw
        done
        for file in b.tar b.tar.zst b.tar.gz; do
                reads_confined $file disk.raw
        done
        INDEX=
        for file in b.qcow2 b.qcow2.gz b.qed b.vmdk; do
                reads_confined $file disk-b.raw
        done
        reads_confined s.vmdk disk-s.raw
}

@test "no verb reads a byte of a file that an archive names before it has given up its rights" {
        local verb

        need_sandbox
        cp a.raw base.raw
        mount_gatefs base.raw
        qemu-img create -q -f qcow2 -F raw -b "$GATED" top.qcow2
        # qemu-img has read some.
        umount "$GATE_DIR"
        "$TOOLS/gatefs" base.raw "$GATE_DIR" 3>&-
        for verb in info 'map DISK' 'extract --force -C .' verify; do
                # shellcheck disable=SC2046,SC2086 # words
                "$VMAFS" ${verb/DISK/} --backing=any top.qcow2 $([[ $verb != *DISK ]] || echo disk-top.raw) >/dev/null
                [ "$(gate_status unconfined)" -eq 0 ]
        done
        start_vmafs top.qcow2 -o backing=any
        cmp a.raw "$MNT/disk-top.raw" || cmp a.raw <(head -c "$(stat -c %s a.raw)" "$MNT/disk-top.raw")
        umount "$MNT"
        expect_confined "the base"
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
                        KILL) kill -KILL "$DAEMON" ;;
                        *) insist $way ;;
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

is_alone() {
        [ "$(names_in "$1")" = "$2" ]
}

@test "the index is kept when the scan has ended, from within the sandbox" {
        mkdir d
        start_vmafs a.vma.zst -o index="$PWD/d/i"
        wait_indexed
        wait_for 60 test -s d/i
        # What was kept while it was not complete goes a moment later.
        wait_for 60 is_alone d i
        cmp a.raw "$MNT/disk-a.raw"
        [ ! -s "$LOG" ]
}

@test "a mount whose index-helper is killed reads on, and says that no index is kept" {
        noise 16M >a.raw
        mkvma -o b.vma --device a=a.raw
        zstd -q b.vma
        mount_gatefs b.vma.zst
        gate hold 12000000 13000000
        start_vmafs "$GATED" -o index="$PWD/i"
        pgrep -x -P "$DAEMON" index-helper | xargs kill -9
        gate hold none
        cmp a.raw "$MNT/disk-a.raw"
        wait_for 60 grep -q "its index cannot be kept as $PWD/i: Broken pipe" "$LOG"
        [ ! -e i ]
}

@test "a helper that is not needed any more is gone" {
        start_vmafs a.vma.zst -o index="$PWD/i"
        wait_for 60 test -s i
        wait_for 60 has_one_child "$DAEMON"
        [ "$(pgrep -l -P "$DAEMON" | cut -d' ' -f2)" = unmount-helper ]
}

has_one_child() {
        [ "$(pgrep -P "$1" | wc -l)" -eq 1 ]
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

# Mounts cut.vma.gz, of which something is lost, with a syslog whose lines go to the file log, and
# PID to the daemon's.
mount_with_syslog() {
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
                pgrep -fx "$VMAFS cut.vma.gz mnt -o index=none" >pid
                for _ in {1..600}; do grep -q "verify names them" log && break; sleep 0.1; done' 3>&-
        cat log
}

@test "a read that fails is logged to syslog by a daemon in the sandbox" {
        need_root
        mount_with_syslog
        grep -q 'vmafs.*: .*bytes are lost and read as I/O errors' log
}

@test "each line of the log has the process id of the mount, and the archive's whole path" {
        need_root
        mount_with_syslog
        grep -q . log
        run grep -vF "vmafs[$(cat pid)]: $PWD/cut.vma.gz: " log
        echo "others: $output, pid $(cat pid)"
        [ "$status" -eq 1 ]
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
                                if mounted; then exit 1; fi
                        done
                done' 3>&-
}
