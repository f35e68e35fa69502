# SPDX-License-Identifier: GPL-2.0-or-later
# How a mount ends: unmounted, told to, killed; and what its readers see of it.
# shellcheck disable=SC2030,SC2031 # a test is a process of its own
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        make_ragged_disk a.raw
        mkvma -o a.vma --device a=a.raw --order=shuffle
}

# Starts readers that read the disk over and over until that fails, and sets READERS.
start_load() {
        local i

        READERS=()
        for i in 1 2 3 4; do
                (while dd if="$MNT/disk-a.raw" of=/dev/null bs=$((i * 5000)) iflag=direct; do :; done) \
                        >"load.$i" 2>&1 3>&- &
                READERS+=($!)
        done
        for i in 1 2 3 4; do
                wait_for 60 grep -q copied "load.$i"
        done
}

load_has_ended() {
        local pid

        for pid in "${READERS[@]}"; do
                has_ended "$pid" || return 1
        done
}

ended_with() {
        local rc=0

        wait_for 60 has_ended "$DAEMON" && wait "$DAEMON" || rc=$?
        echo "status $rc, $(cat "$LOG")"
        [ "$rc" -eq "$1" ]
}

@test "umount ends the mount and its process, with status 0 and no word" {
        start_vmafs a.vma
        cmp a.raw "$MNT/disk-a.raw"
        umount "$MNT"
        ended_with 0
        [ ! -s "$LOG" ]
}

@test "fusermount3 -u ends the mount and its process" {
        start_vmafs a.vma
        fusermount3 -u "$MNT"
        ended_with 0
}

@test "umount is refused while a file is open, and goes when it is closed" {
        start_vmafs a.vma
        exec 5<"$MNT/disk-a.raw"
        run umount "$MNT"
        [ "$status" -ne 0 ]
        [[ $output == *busy* ]]
        head -c 8192 <&5 | cmp - <(head -c 8192 a.raw)
        exec 5<&-
        umount "$MNT"
        ended_with 0
}

@test "a lazy umount under load lets readers finish with the right bytes" {
        local pids=() pid file

        start_vmafs a.vma
        for _ in 1 2 3 4; do
                # Opened here, before the mount goes: what runs aside might come too late.
                exec {file}<"$MNT/disk-a.raw"
                dd bs=5000 status=none <&"$file" 3>&- | cmp - a.raw 3>&- &
                pids+=($!)
                exec {file}<&-
        done
        exec 5<"$MNT/disk-a.raw"
        umount -l "$MNT"
        for pid in "${pids[@]}"; do
                wait "$pid"
        done
        cat <&5 | cmp - a.raw
        exec 5<&-
        ended_with 0
}

@test "SIGTERM, SIGINT and SIGHUP each end the mount, with status 0" {
        local signal

        for signal in TERM INT HUP; do
                start_vmafs a.vma
                cmp a.raw "$MNT/disk-a.raw"
                kill -"$signal" "$DAEMON"
                ended_with 0
                is_gone "$MNT"
                rmdir "$MNT"
        done
}

@test "SIGTERM ends a daemon that went to the background" {
        local pid

        mount_vmafs a.vma
        pid=$(pgrep -x -f -- "$VMAFS a.vma $MNT")
        kill -TERM "$pid"
        wait_for 60 has_ended "$pid"
        is_gone "$MNT"
}

@test "SIGTERM under load: the mount goes, the readers get errors, the status is 0" {
        start_vmafs a.vma
        start_load
        insist TERM
        wait_for 60 is_gone "$MNT"
        wait_for 60 load_has_ended
        ended_with 0
}

@test "SIGTERM under load, with a single thread" {
        start_vmafs a.vma -s
        start_load
        insist TERM
        wait_for 60 is_gone "$MNT"
        wait_for 60 load_has_ended
        ended_with 0
}

@test "SIGTERM is refused while a file is open, and obeyed when it is closed" {
        start_vmafs a.vma
        exec 5<"$MNT/disk-a.raw"
        kill -TERM "$DAEMON"
        wait_for 60 grep -q "not unmounted: files of it are open" "$LOG"
        cmp a.raw "$MNT/disk-a.raw"
        exec 5<&-
        kill -TERM "$DAEMON"
        ended_with 0
        is_gone "$MNT"
}

@test "a second SIGTERM with an open file: the mount goes, the file gives errors" {
        start_vmafs a.vma
        exec 5<"$MNT/disk-a.raw"
        insist TERM
        ended_with 0
        is_gone "$MNT"
        run dd iflag=direct bs=4096 count=1 <&5
        [ "$status" -ne 0 ]
        exec 5<&-
}

@test "SIGKILL leaves no mount behind" {
        start_vmafs a.vma
        kill -9 "$DAEMON"
        wait_for 60 is_gone "$MNT"
        [ -z "$(names_in "$MNT")" ]
        rmdir "$MNT"
}

@test "SIGKILL of a daemon in the background leaves no mount behind" {
        mount_vmafs a.vma
        kill -9 "$(pgrep -x -f -- "$VMAFS a.vma $MNT")"
        wait_for 60 is_gone "$MNT"
}

@test "SIGKILL under load: the mount goes, and the readers get errors" {
        start_vmafs a.vma
        start_load
        kill -9 "$DAEMON"
        wait_for 60 is_gone "$MNT"
        wait_for 60 load_has_ended
}

@test "SIGKILL without an unmounter leaves a stale mount and nothing else: umount ends it" {
        start_vmafs a.vma
        kill_for_good "$DAEMON"
        run ls "$MNT/"
        [[ $output == *"Transport endpoint is not connected"* ]]
        umount "$MNT"
        [ -z "$(names_in "$MNT")" ]
        rmdir "$MNT"
}

@test "every mount has one unmounter, which has no part in it and ends with it" {
        local pid

        start_vmafs a.vma
        pid=$(pgrep -x -P "$DAEMON" unmount-helper)
        [ "$(cat "/proc/$pid/comm")" = unmount-helper ]
        [ "$(tr -d '\0' <"/proc/$pid/cmdline")" = "unmount-helper: for process $DAEMON" ]
        # A socket, /dev/null, the mount point with the folder that it is in, and, where there is
        # fusectl, what ends the connection: neither the archive, nor FUSE, nor an index.
        readlink "/proc/$pid/fd/"* | grep -v -e '^socket:' -e ^/sys/fs/fuse/connections/ | sort >open
        diff open <(printf '%s\n' /dev/null /dev/null /dev/null "$BATS_TEST_TMPDIR" "$MNT" | sort)
        [ "$(readlink "/proc/$pid/cwd")" = / ]
        [ "$(ps -o sid= -p "$pid" | tr -d ' ')" -eq "$pid" ]
        umount "$MNT"
        ended_with 0
        wait_for 60 has_ended "$pid"
}

@test "signals do not end the unmounter" {
        local pid signal

        start_vmafs a.vma
        pid=$(pgrep -x -P "$DAEMON" unmount-helper)
        for signal in HUP INT QUIT TERM PIPE; do
                kill -$signal "$pid"
        done
        kill -9 "$DAEMON"
        wait_for 60 is_gone "$MNT"
        wait_for 60 has_ended "$pid"
}

# Kills the mount's process while its unmounter is stopped, and takes the stale mount away: sets
# UNMOUNTER to the one that is still to find that out.
kill_and_umount() {
        start_vmafs a.vma
        UNMOUNTER=$(pgrep -x -P "$DAEMON" unmount-helper)
        kill -STOP "$UNMOUNTER"
        kill -9 "$DAEMON"
        wait_for 60 has_ended "$DAEMON"
        umount "$MNT"
}

let_unmounter_end() {
        kill -CONT "$UNMOUNTER"
        wait_for 60 has_ended "$UNMOUNTER"
}

@test "the unmounter leaves alone what somebody else has mounted there since" {
        need_root
        kill_and_umount
        mount -t tmpfs none "$MNT"
        let_unmounter_end
        mountpoint -q "$MNT"
}

@test "the unmounter leaves alone what has been mounted over the mount" {
        need_root
        start_vmafs a.vma
        UNMOUNTER=$(pgrep -x -P "$DAEMON" unmount-helper)
        mount -t tmpfs none "$MNT"
        touch "$MNT/file"
        kill -9 "$DAEMON"
        wait_for 60 has_ended "$UNMOUNTER"
        [ -e "$MNT/file" ]
        umount "$MNT"
        umount "$MNT"
}

@test "a folder above the mount point is renamed: SIGKILL leaves no mount behind" {
        need_root
        mkdir -p a/mnt
        "$VMAFS" a.vma a/mnt -f 3>&- &
        DAEMON=$!
        wait_for 60 mountpoint -q a/mnt
        UNMOUNTER=$(pgrep -x -P "$DAEMON" unmount-helper)
        mv a b
        kill -9 "$DAEMON"
        wait_for 60 has_ended "$UNMOUNTER"
        is_gone b/mnt
}

# Whoever owns a folder above swaps two mount points between the unmounter's look and its umount2.
@test "nobody can have the unmounter take another mount by renaming a folder above" {
        need_root
        mkdir -p a/mnt c/mnt
        mount -t tmpfs none c/mnt
        "$VMAFS" a.vma a/mnt -f 3>&- &
        DAEMON=$!
        wait_for 60 mountpoint -q a/mnt
        UNMOUNTER=$(pgrep -x -P "$DAEMON" unmount-helper)
        # Having said so, it sees every call.
        strace -o calls -e trace=umount2 -e inject=umount2:delay_enter=2s -p "$UNMOUNTER" 2>attached 3>&- &
        wait_for 60 grep -q "$UNMOUNTER attached" attached
        kill -9 "$DAEMON"
        wait_for 60 grep -q umount2 calls
        mv a b
        mv c a
        wait_for 60 has_ended "$UNMOUNTER"
        grep -q '= 0' calls
        mountpoint -q a/mnt
        is_gone b/mnt
}

@test "the unmounter leaves alone a new mount of the same archive" {
        kill_and_umount
        "$VMAFS" a.vma "$MNT" 3>&-
        let_unmounter_end
        cmp a.raw "$MNT/disk-a.raw"
}

@test "a daemon whose parent is told to end while it reads the header ends, too, and mounts nothing" {
        local parent daemon

        mount_gatefs a.vma
        gate open 0
        mkdir late
        "$VMAFS" "$GATED" late 3>&- &
        parent=$!
        wait_for 60 reads_blocked 1
        daemon=$(pgrep -P "$parent")
        kill "$parent"
        wait_for 60 has_ended "$daemon"
        gate open all
        wait_for 60 has_no_helpers "$daemon"
        is_gone late
}

has_no_helpers() {
        ! pgrep -f -- "-helper: for process $1\$" >/dev/null
}

@test "SIGKILL right after the mount leaves neither it nor a process that waits for itself" {
        local i

        for i in {1..20}; do
                mkdir "early.$i"
                "$VMAFS" a.vma "early.$i" -f 2>/dev/null 3>&- &
                DAEMON=$!
                until grep -q "/early.$i fuse.vmafs" /proc/self/mounts; do kill -0 "$DAEMON"; done
                kill -9 "$DAEMON"
                wait_for 60 has_ended "$DAEMON"
                wait_for 60 is_gone "early.$i"
        done
}

@test "the read-ahead is raised by the time the command returns" {
        need_root
        mount_vmafs a.vma
        [ "$(cat "/sys/class/bdi/$(mountpoint -d "$MNT")/read_ahead_kb")" -eq 4096 ]
}

@test "SIGKILL under load: the readers get errors, and a fresh mount has every byte, again and again" {
        local round

        for round in {1..5}; do
                start_vmafs a.vma
                start_load
                kill -9 "$DAEMON"
                wait_for 60 has_ended "$DAEMON"
                wait_for 60 load_has_ended
                wait_for 60 is_gone "$MNT"
                mount_vmafs a.vma
                cmp a.raw "$MNT/disk-a.raw"
                umount "$MNT"
        done
        fault_tried "the process killed under load" "$round" "a fresh mount, every byte right"
}

@test "unmounted, told to end and killed while readers wait for the archive: nothing hangs" {
        local way pid

        for way in "umount -l" "kill -TERM" "kill -INT" "kill -9"; do
                mount_gatefs a.vma
                start_vmafs "$GATED" -o index=none
                wait_indexed
                gate open 16384
                READERS=()
                for pid in {0..19}; do
                        dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 skip=$((512 + pid)) count=1 \
                                iflag=direct status=none 2>/dev/null 3>&- &
                        READERS+=($!)
                done
                wait_for 60 some_blocked
                case $way in
                umount*) umount -l "$MNT" ;;
                "kill -9") kill -9 "$DAEMON" ;;
                *) insist "${way#kill -}" ;;
                esac
                # What hangs in the archive's own file system can go when that answers.
                [ "$way" != "kill -9" ] || gate open all
                [ "$way" != "umount -l" ] || gate open all
                wait_for 60 load_has_ended
                gate open all
                wait_for 60 has_ended "$DAEMON"
                wait_for 60 is_gone "$MNT"
                wait_for 60 umount "$GATE_DIR"
        done
        fault_tried "an end while reads are in flight" 4 "readers get errors, nothing is left"
}

some_blocked() {
        [ "$(gate_status blocked)" -ge 10 ]
}

@test "a process that may open no more than 16 files mounts, serves, keeps its index, and verifies" {
        zstd -q a.vma
        (
                ulimit -n 16
                exec 3>&-
                mount_vmafs a.vma.zst -o index=kept
                echo "$MNT" >mnt
        )
        MNT=$(cat mnt)
        wait_indexed
        cmp a.raw "$MNT/disk-a.raw"
        wait_for 60 test -s kept
        umount "$MNT"
        (
                ulimit -n 16
                exec 3>&-
                "$VMAFS" verify a.vma
                mkdir out
                "$VMAFS" extract -C out a.vma.zst
        )
        cmp a.raw out/disk-a.raw
        fault_tried "16 open files at most" 3 "mounted, verified, extracted"
}

@test "ten mounts of one archive at once, ended together" {
        local mounts=() mnt

        for _ in {1..10}; do
                mount_vmafs a.vma
                mounts+=("$MNT")
        done
        for mnt in "${mounts[@]}"; do
                cmp a.raw "$mnt/disk-a.raw"
        done
        umount "${mounts[@]}"
}

@test "an archive that is deleted while it is mounted stays readable" {
        mount_vmafs a.vma
        rm a.vma
        cmp a.raw "$MNT/disk-a.raw"
}

@test "an archive that is cut while it is mounted gives errors, never a wrong byte" {
        mount_vmafs a.vma -o direct_io
        wait_indexed
        truncate -s 1M a.vma
        run cmp a.raw "$MNT/disk-a.raw"
        [ "$status" -eq 2 ]
        [[ $output == *"Input/output error"* ]]
        timeout 60 stat "$MNT/disk-a.raw"
}

# Reads all of the mounted disk at every block, keeping what could be read: got, and the number of
# blocks that failed in LOST.
read_blocks() {
        dd if="$MNT/disk-a.raw" of=got bs=4096 iflag=direct conv=noerror,sync 2>errors || true
        LOST=$(grep -c "$1" errors || true)
        # Zeros stand in for what failed; all else is right.
        cmp -l got a.raw | awk '$2 != 0 { wrong = 1 } END { exit wrong }'
}

@test "an archive that is overwritten in place while it is mounted is noticed, at once and for good" {
        local suffix

        make_ragged_disk b.raw
        tr '0-9' 'a-j' <b.raw >c.raw
        mkvma -o other.vma --device a=c.raw
        zstd -q a.vma
        zstd -q other.vma
        for suffix in "" .zst; do
                sleep 0.1 # no longer the clock tick in which it was made
                start_vmafs "a.vma$suffix" -o index=none,cache=1M
                wait_indexed
                head -c 4096 "$MNT/disk-a.raw" | cmp -n 4096 - a.raw
                cat "other.vma$suffix" >"a.vma$suffix"
                read_blocks 'Stale file handle\|Input/output error'
                [ "$LOST" -gt 0 ]
                run dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 iflag=direct skip=1000
                [ "$status" -ne 0 ]
                [ "$(grep -c 'while it is in use' "$LOG")" -eq 1 ]
                timeout 60 stat "$MNT/disk-a.raw"
                umount "$MNT"
                ended_with 0
        done
}

@test "an archive that another one replaces while it is mounted stays readable" {
        make_disk b.raw 1000000 0-7
        mkvma -o other.vma --device a=b.raw
        mount_vmafs a.vma
        mv other.vma a.vma
        cmp a.raw "$MNT/disk-a.raw"
}

@test "a mount that is started without standard input serves all the same" {
        MNT=$(mktemp -d "$BATS_TEST_TMPDIR/mnt.XXXXXX")
        "$VMAFS" "$DATA/good/tiny.vma" "$MNT" -o index=none <&- 3>&-
        [ "$(sha "$MNT/disk-drive-scsi0.raw")" = 6643d417e01a111d42aedafdc44dfa85bff813309f518a42cafe1116927ef56d ]
}
