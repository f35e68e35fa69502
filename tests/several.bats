# SPDX-License-Identifier: GPL-2.0-or-later
# info, verify and index of several archives, one after the other.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        cp "$DATA/good/tiny.vma" a.vma
        make_data disk 1048576
        mkvma -o b.vma --device b=disk
        mkvma -o lost.vma --device l=disk --drop l:2
}

@test "info of several archives prints each as alone, with a blank line in between" {
        run --separate-stderr "$VMAFS" info a.vma b.vma
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        diff <(printf '%s\n' "$output") <("$VMAFS" info a.vma && echo && "$VMAFS" info b.vma)
}

@test "info --json is an object for one archive, an array for several" {
        "$VMAFS" info --json a.vma | jq -e 'type == "object"'
        "$VMAFS" info --json a.vma b.vma a.vma >json
        jq -e 'type == "array" and map(.archive) == ["a.vma", "b.vma", "a.vma"]' json
        diff <(jq -S '.[0]' json) <("$VMAFS" info --json a.vma | jq -S .)
}

@test "an archive that cannot be read does not stop the rest, and the status is the worst" {
        echo "this is no archive" >text
        run --separate-stderr "$VMAFS" info text a.vma absent.vma b.vma
        [ "$status" -eq 2 ]
        [ "${#stderr_lines[@]}" -eq 2 ]
        [[ ${stderr_lines[0]} == "vmafs: text: is a text"* ]]
        [[ ${stderr_lines[1]} == "vmafs: absent.vma: cannot be opened: No such file or directory" ]]
        [ "$(grep '^archive:' <<<"$output" | tr -s ' ')" = "$(printf 'archive: a.vma\narchive: b.vma')" ]
        run --separate-stderr "$VMAFS" info --json text a.vma absent.vma b.vma
        [ "$status" -eq 2 ]
        jq -e 'map(.archive) == ["a.vma", "b.vma"]' <<<"$output"
        run --separate-stderr "$VMAFS" info --json absent.vma text
        [ "$status" -eq 2 ]
        jq -e '. == []' <<<"$output"
}

@test "verify goes through several archives, and has the damaged one too" {
        run --separate-stderr "$VMAFS" verify a.vma lost.vma b.vma
        [ "$status" -eq 1 ]
        grep -qx 'a.vma: sound' <<<"$output"
        grep -qx 'lost.vma: DAMAGED' <<<"$output"
        grep -qx 'b.vma: sound' <<<"$output"
        run --separate-stderr "$VMAFS" verify --json a.vma lost.vma b.vma
        [ "$status" -eq 1 ]
        jq -e 'map([.archive, .sound]) == [["a.vma", true], ["lost.vma", false], ["b.vma", true]]' <<<"$output"
}

@test "index keeps the indexes of several archives" {
        zstd -q a.vma b.vma
        run --separate-stderr "$VMAFS" index a.vma.zst absent.vma b.vma.zst
        [ "$status" -eq 2 ]
        [ "$(grep -c '^index:' <<<"$output")" -eq 2 ]
        [ "$("$VMAFS" info a.vma.zst b.vma.zst | grep -c '^index path:')" -eq 2 ]
}

@test "several archives may be descriptors" {
        "$VMAFS" info --json /dev/fd/7 /dev/fd/8 7<a.vma 8<b.vma >json
        jq -e 'map(.disks[0].name) == ["disk-drive-scsi0.raw", "disk-b.raw"]' json
}

# Do the processes have an archive of this name open?
has_open() {
        local pid

        for pid in "${@:2}"; do
                readlink "/proc/$pid/fd/"* | grep -q "/$1\$" && return
        done
        return 1
}

@test "no process reads two archives" {
        local child

        mount_gatefs a.vma
        gate hold 0 4096
        "$VMAFS" info "$GATED" b.vma >out 3>&- &
        wait_for 60 reads_blocked 1
        child=$(pgrep -P $!)
        has_open a.vma "$child"
        run has_open b.vma "$child" $!
        [ "$status" -eq 1 ]
        run has_open a.vma $!
        [ "$status" -eq 1 ]
        gate open all
        gate hold none
        wait $!
        [ "$(grep -c '^archive:' out)" -eq 2 ]
}

@test "who ends the run over several archives ends what reads one" {
        local child

        mount_gatefs a.vma
        gate hold 0 4096
        "$VMAFS" info "$GATED" b.vma >out 3>&- &
        wait_for 60 reads_blocked 1
        child=$(pgrep -P $!)
        kill $!
        wait_for 60 has_ended "$child"
        wait $! || true
        [ ! -s out ]
}

@test "an output that cannot be written is a failure of several archives, too" {
        local words

        for words in "info a.vma b.vma" "info --json a.vma b.vma"; do
                # shellcheck disable=SC2016,SC2086 # for the inner shell; words
                run --separate-stderr bash -c '"$VMAFS" "$@" >/dev/full' - $words
                echo "$words"
                [ "$status" -eq 1 ]
                [[ ${stderr_lines[-1]} == *"the output cannot be written: No space left on device" ]]
        done
}
