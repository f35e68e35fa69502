# SPDX-License-Identifier: GPL-2.0-or-later
# What vmafs extract is writing, by one process, by two, and by one that was killed.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        make_data a.raw $((4 * 1024 * 1024))
        mkvma -o a.vma --device a=a.raw
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        ARCHIVE=$BATS_FILE_TMPDIR/a.vma
        RAW=$BATS_FILE_TMPDIR/a.raw
        mkdir out
}

# Starts an extraction with the options that waits in the middle of the archive, and sets RUN to its
# process and GATE_DIR to its gate: start_gated OPTION ...
start_gated() {
        mount_gatefs "$ARCHIVE"
        gate hold 1048576 2097152
        "$VMAFS" extract -C out "$@" "$GATED" 3>&- 2>errors.$BASHPID &
        RUN=$!
        wait_for 60 waits_or_has_ended
}

waits_or_has_ended() {
        [ "$(gate_status blocked)" -ge 1 ] || has_ended "$RUN"
}

# Kills it, if it has not ended by itself.
kill_gated() {
        kill -9 "$RUN" || true
        gate hold none
        wait "$RUN" || true
}

@test "while a file is being written it has another name, and only its owner may write it" {
        start_gated
        [ "$(names_in out)" = disk-a.raw.partial ]
        [ "$(stat -c %a out/disk-a.raw.partial)" = 200 ]
        gate hold none
        wait "$RUN"
        [ "$(names_in out)" = disk-a.raw ]
        [ "$(stat -c %a out/disk-a.raw)" = 600 ]
        cmp out/disk-a.raw "$RAW"
}

@test "a second run that would write the same file is refused, with --force too" {
        local option

        start_gated
        for option in "" --force; do
                run --separate-stderr "$VMAFS" extract -C out $option "$ARCHIVE"
                [ "$status" -eq 1 ]
                one_line_says "out/disk-a.raw.partial: is being written by another vmafs"
        done
        gate hold none
        wait "$RUN"
        cmp out/disk-a.raw "$RAW"
}

@test "nobody says done for what another one that was killed has not finished" {
        local first first_gate

        start_gated --force
        first=$RUN first_gate=$GATE_DIR
        start_gated --force
        kill_gated
        GATE_DIR=$first_gate
        gate hold none
        wait "$first"
        cmp out/disk-a.raw "$RAW"
        [ "$(names_in out)" = disk-a.raw ]
}

@test "what a run that was killed has left is replaced, without --force" {
        start_gated
        kill_gated
        [ "$(names_in out)" = disk-a.raw.partial ]
        "$VMAFS" extract -C out "$ARCHIVE"
        cmp out/disk-a.raw "$RAW"
        [ "$(names_in out)" = disk-a.raw ]
}

@test "what was saved of a damaged archive is replaced with --force only" {
        head -c 3000000 "$ARCHIVE" >cut.vma
        run "$VMAFS" extract -C out cut.vma
        [ "$status" -eq 1 ]
        [ "$(stat -c %a out/disk-a.raw.partial)" = 600 ]
        cp out/disk-a.raw.partial saved
        run --separate-stderr "$VMAFS" extract -C out "$ARCHIVE"
        [ "$status" -eq 1 ]
        one_line_says "out/disk-a.raw.partial: cannot be created: File exists; --force replaces it"
        cmp out/disk-a.raw.partial saved
        "$VMAFS" extract --force -C out "$ARCHIVE"
        cmp out/disk-a.raw "$RAW"
        [ "$(names_in out)" = disk-a.raw ]
}

@test "a file that is moved away while it is written is a failure, and what took its name stays" {
        start_gated --force
        mv out/disk-a.raw.partial elsewhere
        echo precious >out/disk-a.raw.partial
        gate hold none
        has_failed "$RUN"
        grep "out/disk-a.raw.partial: cannot be written: it was moved or replaced meanwhile" errors.*
        [ "$(names_in out)" = disk-a.raw.partial ]
        [ "$(cat out/disk-a.raw.partial)" = precious ]
}

@test "a file that is replaced while it is closed for a while is a failure" {
        local i words=()

        for i in {1..40}; do
                make_data "$i.raw" 131072 "${i}000000"
                words+=(--device "$i=$i.raw")
        done
        mkvma -o many.vma "${words[@]}" --order=shuffle
        ARCHIVE=$PWD/many.vma
        # A quarter of them at once are the disks'.
        ulimit -n 64
        start_gated
        for i in {1..40}; do
                cp --remove-destination "out/disk-$i.raw.partial" other
                chmod 200 other
                mv other "out/disk-$i.raw.partial"
        done
        gate hold none
        has_failed "$RUN"
        grep "it was moved or replaced meanwhile" errors.*
        [ "$(names_in out | grep -c 'partial$')" -eq 40 ]
        [ "$(names_in out | wc -l)" -eq 40 ]
}

@test "a folder that is mounted read-only takes nothing: one message, for all files" {
        need_root
        printf 'memory: 64\n' >guest.conf
        mkvma -o several.vma --config guest.conf=guest.conf --config fw=guest.conf --device a="$RAW" \
                --device b="$RAW"
        # shellcheck disable=SC2016 # the inner shell expands them
        run --separate-stderr unshare --mount --propagation private sh -c '
                mount --bind out out && mount -o remount,bind,ro out && exec "$VMAFS" extract -C out several.vma'
        [ "$status" -eq 1 ]
        one_line_says "out: cannot be written into: Read-only file system"
        [ -z "$(names_in out)" ]
}

@test "a link, a pipe, a folder and a foreign file of that name are not written to" {
        local kind

        echo precious >elsewhere
        for kind in "ln -s $PWD/elsewhere" mkfifo mkdir "cp elsewhere"; do
                rm -rf out/*
                $kind out/disk-a.raw.partial
                run --separate-stderr "$VMAFS" extract -C out "$ARCHIVE"
                [ "$status" -eq 1 ]
                one_line_says "out/disk-a.raw.partial: cannot be created"
                [ ! -e out/disk-a.raw ]
                run --separate-stderr "$VMAFS" extract --force -C out "$ARCHIVE"
                if [ "$kind" = mkdir ]; then
                        one_line_says "cannot be created: Is a directory"
                else
                        [ "$status" -eq 0 ]
                        cmp out/disk-a.raw "$RAW"
                fi
        done
        [ "$(cat elsewhere)" = precious ]
}

# A member that is no disk is read while it is extracted.
@test "a file that is lost in part is extracted in part, at its full size" {
        make_data notes.txt 100000
        tar -cf cut.tar notes.txt
        truncate -s $((512 + 40960)) cut.tar
        run "$VMAFS" extract -C out cut.tar
        [ "$status" -eq 1 ]
        [[ $output == *"out/notes.txt.partial: is incomplete"* ]]
        [ "$(names_in out)" = notes.txt.partial ]
        [ "$(stat -c %s out/notes.txt.partial)" -eq 100000 ]
        cmp -n 40960 out/notes.txt.partial notes.txt
        cmp <(tail -c +40961 out/notes.txt.partial) <(head -c 59040 /dev/zero)
}
