# SPDX-License-Identifier: GPL-2.0-or-later
# The plugin for nbdkit: every disk by its name, to NBD's own clients, without a mount.
# shellcheck disable=SC2030,SC2031,SC2154 # what run sets, and what is exported, in the same test
# shellcheck disable=SC2016 # scripts for other shells
load helpers
load datastore
bats_require_minimum_version 1.5.0

PLUGIN=${VMAFS%/*}/nbdkit-vmafs-plugin.so
SERVER=''
NBDKIT=(nbdkit)
MEMCHECK=(valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=99)

# A sanitizer's library has to be the program's first, and finds leaks itself.
SANITIZER=$(ldd "$PLUGIN" 2>/dev/null | sed -nE 's/.*=> (.*lib[at]san\.so[^ ]*) .*/\1/p')
[ -z "$SANITIZER" ] || {
        NBDKIT=(env "LD_PRELOAD=$SANITIZER" nbdkit)
        MEMCHECK=()
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        export PLUGIN
}

teardown() {
        open_gates "$BATS_TEST_TMPDIR"
        [ -z "${WEB:-}" ] || kill "$WEB" 2>/dev/null || true
        [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
        [ -z "$SERVER" ] || wait_for 60 has_ended "$SERVER"
        unmount_all
}

# ---- servers ----

# Runs SCRIPT, for bash, with nbdkit, which serves what the parameters say: serve SCRIPT PARAMETER...
# The shell between, which is none that knows functions, is nbdkit's.
serve() {
        SCRIPT="$(declare -f at extents_of); $1"
        export SCRIPT
        "${NBDKIT[@]}" -U - "$PLUGIN" "${@:2}" \
                --run 'unset LD_PRELOAD; export uri unixsocket; exec bash -euo pipefail -c "$SCRIPT"' 3>&-
}

# The URI of the export NAME.
at() {
        echo "nbd+unix:///$1?socket=$unixsocket"
}

# Starts nbdkit in the foreground of a process of its own, which serves what the parameters say on
# the socket "$unixsocket". Sets SERVER, and LOG to the file of its messages.
start_server() {
        export unixsocket=$PWD/socket
        LOG=$PWD/server.log
        rm -f pid "$unixsocket"
        "${NBDKIT[@]}" -f -U "$unixsocket" -P pid "$PLUGIN" "$@" >"$LOG" 2>&1 3>&- &
        SERVER=$!
        wait_for 60 test -s pid
}

end_server() {
        kill "$SERVER"
        wait_for 60 has_ended "$SERVER"
        wait "$SERVER"
        SERVER=''
}

# The blocks of 4 KiB from FIRST to LAST, one after the other: those that cannot be read, a number a
# line. failing URI FIRST LAST
failing() {
        local i

        for ((i = $2; i <= $3; i++)); do
                echo "read $((i * 4096)) 4096"
        done >commands
        qemu-io -r -f raw "$1" <commands 2>&1 | sed 's/qemu-io> //g' >answers
        awk '/^read .*bytes at offset/ { ok++ } /^read failed/ { print "failed", $0 }' answers >seen
        [ "$(grep -cE '^read [0-9]+/4096 bytes|^read failed' answers)" -eq $(($3 - $2 + 1)) ]
        grep -E '^read [0-9]+/4096 bytes|^read failed' answers |
                awk -v first="$2" '/^read failed: Input.output error/ { print first + NR - 1 }'
}

# What `qemu-img map` says of data and holes: extents_of FILE|URI
extents_of() {
        qemu-img map --output=json --image-opts "driver=raw,$1" | jq -c '.[] | [.start, .length, .zero, .data]'
}

# ---- the plugin ----

@test "the plugin is built, and nbdkit can load it" {
        run -0 "${NBDKIT[@]}" --dump-plugin "$PLUGIN"
        [[ $output == *"name=vmafs"*"thread_model=parallel"* ]]
}

@test "of the plugin nothing is visible but its entry" {
        [ "$(nm -D --defined-only "$PLUGIN" | awk '{ print $3 }')" = plugin_init ]
}

# ---- content ----

@test "every disk of the genuine archives is served as it was backed up" {
        reference_dir
        for archive in small.vma small.vma.gz small.ooo.vma.zst; do
                export stem=${archive%.vma*} REFERENCE
                serve '
                        grep " $stem  disk-" "$REFERENCE/CONTENTS" | while read -r sum size _ name; do
                                [ "$(nbdinfo --size "$(at "$name")")" = "$size" ]
                                [ "$(nbdcopy "$(at "$name")" - | sha256sum)" = "$sum  -" ]
                        done' "$REFERENCE/$archive"
        done
}

@test "qemu-img converts a disk, with its holes, as it is named on the command line" {
        make_ragged_disk a.raw
        mkvma -o a.vma --device drive-scsi0=a.raw
        zstd -q a.vma -o a.zst
        serve 'qemu-img convert -O qcow2 "$uri" a.qcow2' a.zst
        qemu-img compare a.raw a.qcow2
        [ "$(stat -c %s a.qcow2)" -lt $((4 << 20)) ]
}

@test "data and holes are those that qemu-img map finds in the mount" {
        make_ragged_disk a.raw
        mkvma -o a.vma --device a=a.raw
        zstd -qk a.vma
        mkvma -o ooo.vma --device a=a.raw --order=shuffle
        qemu-img convert -f raw -O qcow2 a.raw a.qcow2
        qemu-io -c 'write -z 4M 100k' -c 'discard 1M 300k' -c 'write 5M 5k' a.qcow2 >/dev/null
        for archive in a.vma a.vma.zst ooo.vma a.qcow2; do
                mount_vmafs "$archive"
                wait_indexed
                extents_of "file.driver=file,file.filename=$MNT/disk-a.raw" >expected
                [ "$(wc -l <expected)" -gt 5 ]
                unmount_all
                serve 'extents_of "file.driver=nbd,file.path=$unixsocket,file.export=disk-a.raw"' "$archive" >got
                diff -u expected got
        done
}

@test "data and holes are served in full to a client that asks for many at once" {
        make_ragged_disk a.raw
        mkvma -o a.vma --device a=a.raw
        # A hole of the disk is one of the file: its runs as nbdkit's own plugin has them.
        nbdkit -U - file a.raw --run 'nbdinfo --map "$uri"' 3>&- | awk '{ print $1, $2, $3 }' >expected
        serve 'nbdinfo --map "$uri"' a.vma | awk '{ print $1, $2, $3 }' >got
        diff -u expected got
}

@test "reads of any size and place are right" {
        make_ragged_disk a.raw
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q a.vma -o a.zst
        for archive in a.vma a.zst; do
                serve '
                        for at in 0+1 4095+2 65535+131074 1000000+300001 6292991+1 6291456+1536; do
                                qemu-io -r -f raw "$uri" -c "read -v ${at%+*} ${at#*+}" >got
                                grep -E "^[0-9a-f]{8}: " got | cut -c11-58 | xxd -r -p |
                                        head -c "${at#*+}" >part
                                cmp -i "0:${at%+*}" -n "${at#*+}" part a.raw
                                [ "$(stat -c %s part)" -eq "${at#*+}" ]
                        done' "$archive"
        done
}

@test "many connections of several clients read at once" {
        make_data a.raw 8388608
        mkvma -o a.vma --device a=a.raw --order=shuffle
        zstd -q a.vma -o a.zst
        serve '
                nbdinfo --can multi-conn "$uri"
                clients=()
                for i in 1 2 3; do
                        nbdcopy --connections=4 --requests=16 --request-size=65536 "$uri" copy.$i &
                        clients+=($!)
                done
                for pid in "${clients[@]}"; do
                        wait "$pid"
                done
                for i in 1 2 3; do
                        cmp copy.$i a.raw
                done' a.zst cache=1M
}

@test "nothing can be written" {
        make_data a.raw 65536
        mkvma -o a.vma --device a=a.raw
        serve '
                nbdinfo --is read-only "$uri"
                if qemu-io -f raw -c "write 0 4096" "$uri" 2>/dev/null; then exit 1; fi
                nbdcopy "$uri" - | cmp - a.raw' a.vma
}

@test "a raw image whose size is known only at its end" {
        make_data a.raw 3145728
        gzip -c a.raw >a.raw.gz
        serve 'nbdcopy "$uri" - | cmp - a.raw' a.raw.gz
}

# ---- exports ----

# An archive two.vma of two disks, and a configuration that names the guest.
make_two() {
        make_data a.raw 65536
        make_data b.raw 131072 70000
        printf 'name: web\x1b01\nscsi0: local:101/vm-101-disk-0.raw,size=1G\n' >conf
        mkvma -o two.vma --config qemu-server.conf=conf --device drive-a=a.raw --device drive-b=b.raw
}

@test "every disk is listed, with its guest, device and size" {
        make_two
        serve 'nbdinfo --list --json "$uri"' two.vma >list
        [ "$(jq -c '.exports[] | [.["export-name"], .description, .["export-size"]]' list)" = \
                '["disk-drive-a.raw","web?01 (101), drive-a, 64.0 KiB",65536]
["disk-drive-b.raw","web?01 (101), drive-b, 128.0 KiB",131072]' ]
}

@test "a disk is found by its name and by its device" {
        make_two
        serve '
                nbdcopy "$(at disk-drive-b.raw)" - | cmp - b.raw
                nbdcopy "$(at drive-a)" - | cmp - a.raw' two.vma
}

@test "several disks: a client that names none is told so, and the server says which there are" {
        make_two
        run -1 --separate-stderr serve 'nbdinfo --size "$uri"' two.vma
        [[ $stderr == *"two.vma: holds several disks: disk-drive-a.raw, disk-drive-b.raw; "*"disk="* ]]
}

@test "the state of a machine is no disk that a client gets without naming it" {
        make_data a.raw 65536
        make_data state 65536 9000
        mkvma -o a.vma --device drive-a=a.raw --device vmstate=state
        serve '
                [ "$(nbdinfo --list --json "$uri" | jq ".exports | length")" -eq 2 ]
                nbdcopy "$uri" - | cmp - a.raw' a.vma
}

@test "disk= exports one alone, to a client that names it and to one that names nothing" {
        make_two
        for word in disk-drive-b.raw drive-b; do
                serve '
                        nbdcopy "$uri" - | cmp - b.raw
                        nbdcopy "$(at disk-drive-b.raw)" - | cmp - b.raw
                        if nbdinfo --size "$(at disk-drive-a.raw)" 2>/dev/null; then exit 1; fi
                        [ "$(nbdinfo --list --json "$uri" | jq ".exports | length")" -eq 1 ]' two.vma "disk=$word"
        done
        serve 'nbdcopy "$uri" - | cmp - b.raw' two.vma/disk-drive-b.raw
}

@test "a name that is none is refused, and the server says which there are" {
        make_two
        for name in nope '*' ../a.raw disk-drive-a.parts/1.raw lvm/vg/root.raw qemu-server.conf; do
                export name
                run -1 --separate-stderr serve 'nbdinfo --size "$(at "$name")"' two.vma
                [[ $stderr == *"two.vma: holds no disk named $name; it holds disk-drive-a.raw, disk-drive-b.raw"* ]]
        done
}

@test "a name that a client sends writes no line of the log, and no escape sequence" {
        export name='x%1b%5b31m%0afake'

        make_two
        run -1 --separate-stderr serve 'nbdinfo --size "$(at "$name")" 2>/dev/null' two.vma
        [[ $stderr == *"two.vma: holds no disk named x?[31m?fake; it holds"* ]]
        run -1 --separate-stderr serve 'nbdinfo --size "$(at "$name")" 2>/dev/null' two.vma disk=drive-b
        [[ $stderr == *"two.vma: x?[31m?fake is not exported, only"* ]]
}

# nbdkit does not start, and says so in one line: refuses TEXT PARAMETER... Not with -U -, of which it
# would leave a folder in /tmp.
refuses() {
        echo "$*"
        run --separate-stderr "${NBDKIT[@]}" -U "$PWD/refused" "$PLUGIN" "${@:2}" --run true
        echo "status $status: $stderr"
        [ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == *": "*"$1"* ]]
}

@test "what cannot be served is refused before nbdkit starts, in one line" {
        make_two
        refuses "archive is missing"
        refuses "nope.vma: cannot be opened: No such file" nope.vma
        refuses "conf: is not an archive" conf
        refuses "is a directory, not an archive" .
        refuses "holds no disk named nope; it holds disk-drive-a.raw, disk-drive-b.raw" two.vma disk=nope
        refuses "holds no disk named nope" two.vma/nope
        refuses "disk= is one too many" two.vma/drive-a disk=drive-b
        refuses "foo is no parameter" two.vma foo=1
        refuses "could not parse size string" two.vma cache=much
        refuses "recover is eio or zero" two.vma recover=maybe
        refuses "backing is dir or any" two.vma backing=all
        refuses "threads is a number from 1 to 1024" two.vma threads=0
        refuses "window is not a size that is allowed" two.vma window=4G
        refuses "archive was given twice" two.vma two.vma
        refuses "archive is a file, or a http://, https:// or s3:// address" ftp://localhost/two.vma
        refuses "put it into ~/.netrc" https://me:s3kr1t@localhost/two.vma
        refuses "spool is a folder, a comma, and a size of at least 16M" two.vma spool=here
        refuses "is no datastore, and keyfile is of no use" two.vma keyfile=conf
        truncate -s 100 two.vma
        refuses "two.vma: " two.vma
}

# ---- archives on a server ----

# Starts a server of "$PWD/files" and sets URL to where it is.
start_web() {
        "$TOOLS/faultserver" "$PWD" 3>&- &
        WEB=$!
        wait_for 60 test -e port
        URL=http://127.0.0.1:$(cat port)/ok
}

@test "an archive on a server is served, and with a spool not fetched again" {
        local lines

        make_two
        mkdir files
        zstd -q two.vma -o files/two.zst
        start_web
        serve '
                nbdcopy "$(at disk-drive-a.raw)" - | cmp - a.raw
                nbdcopy "$(at drive-b)" - | cmp - b.raw' "$URL/two.zst" "spool=spool,16M"
        lines=$(wc -l <log)
        serve 'nbdcopy "$uri" - | cmp - b.raw' "$URL/two.zst" disk=drive-b "spool=spool,16M"
        # The versions of the archive and of its index.
        [ "$(wc -l <log)" -eq $((lines + 2)) ]
        refuses "two.zstd: is not on the server (404 NoSuchKey)" "$URL/two.zstd"
        run -1 --separate-stderr "${NBDKIT[@]}" -f -U "$PWD/refused" "$PLUGIN" "$URL/two.zst" disk=c 3>&-
        [[ $stderr == *"holds no disk named c; it holds disk-drive-a.raw, disk-drive-b.raw"* ]]
}

@test "the process that fetches ends with nbdkit, and without it reads fail" {
        local fetcher

        make_data a.raw 8388608
        mkdir files
        mkvma -o files/d.vma --device a=a.raw
        start_web
        start_server "$URL/d.vma"
        fetcher=$(pgrep -x -P "$SERVER" fetcher)
        [ "$(failing "$(at '')" 0 1 | xargs)" = "" ]
        kill -9 "$fetcher"
        qemu-io -r -f raw "$(at '')" -c 'read 6M 4K' | grep -q '^read failed: Input/output error'
        grep -q "the process that fetches it has ended" "$LOG"
        end_server
        start_server "$URL/d.vma"
        fetcher=$(pgrep -x -P "$SERVER" fetcher)
        kill -9 "$SERVER"
        wait_for 60 has_ended "$fetcher"
        wait_for 60 has_ended "$SERVER"
}

# ---- partitions ----

@test "partitions are the disk's ranges; listed on request, and always there" {
        make_disk a.raw 8388608 0-40 63-63 100-300 512-513 700-999 1500-1700 2000-2047
        printf '%s\n' 'label: dos' start=64,size=900 start=2048,size=8000,type=7 | sfdisk -q a.raw
        mkvma -o a.vma --device a=a.raw
        zstd -q a.vma -o a.zst
        for archive in a.vma a.zst; do
                serve '
                        nbdcopy "$(at disk-a.parts/1.raw)" - | cmp - <(dd if=a.raw skip=64 count=900 status=none)
                        [ "$(nbdinfo --list --json "$uri" | jq ".exports | length")" -eq 1 ]' "$archive"
                serve '
                        nbdcopy "$(at disk-a.parts/2.raw)" - | cmp - <(dd if=a.raw skip=2048 count=8000 status=none)
                        nbdinfo --list --json "$uri" | jq -r ".exports[] | .[\"export-name\"]"' \
                        "$archive" partitions=true >names
                [ "$(cat names)" = $'disk-a.raw\ndisk-a.parts/1.raw\ndisk-a.parts/2.raw' ]
        done
        serve 'nbdcopy "$uri" - | cmp - <(dd if=a.raw skip=64 count=900 status=none)' a.vma disk=disk-a.parts/1.raw
        run -1 --separate-stderr serve 'nbdinfo --size "$uri"' a.vma disk=disk-a.parts/3.raw
        [[ $stderr == *"holds no disk named disk-a.parts/3.raw"* ]]
}

# ---- damage ----

@test "a lost cluster is an I/O error in each of its blocks, and only there" {
        make_data a.raw 4194304
        mkvma -o d.vma --device a=a.raw --drop a:20
        zstd -qk d.vma
        for archive in d.vma d.vma.zst; do
                start_server "$archive"
                [ "$(failing "$(at '')" 300 340 | xargs)" = "$(seq 320 335 | xargs)" ]
                qemu-io -r -f raw "$(at '')" -c 'read 1M 1M' | grep -q '^read failed: Input/output error'
                end_server
                grep -q "d.vma.*: 65536 bytes are lost and read as I/O errors" "$LOG"
                [ "$(grep -c 'parts of disk-a.raw are lost' "$LOG")" -eq 1 ]
        done
}

@test "recover=zero reads what is lost as zeros, and says so" {
        make_data a.raw 4194304
        mkvma -o d.vma --device a=a.raw --drop a:20
        cp a.raw expected
        dd if=/dev/zero of=expected bs=65536 seek=20 count=1 conv=notrunc status=none
        start_server d.vma recover=zero
        nbdcopy "$(at '')" - | cmp - expected
        end_server
        grep -q "65536 bytes are lost and read as ZEROS" "$LOG"
}

@test "an archive that is written to while it is served is an I/O error, never a mixture" {
        make_data a.raw 1048576
        mkvma -o a.vma --device a=a.raw
        start_server a.vma
        nbdcopy "$(at '')" - | cmp - a.raw
        dd if=/dev/zero of=a.vma bs=4096 seek=100 count=1 conv=notrunc status=none
        [ "$(failing "$(at '')" 0 20 | wc -l)" -eq 21 ]
        end_server
        grep -q "was changed\|was written to\|has changed" "$LOG"
}

# ---- while the index is being built ----

# An archive g.vma of the disk a.raw behind a gate, of which only the beginning can be read: the
# server's scan waits, and so does whoever reads what comes later.
start_gated() {
        make_data a.raw 12582912
        mkvma -o g.vma --device a=a.raw
        mount_gatefs g.vma
        gate open $((4 << 20))
        start_server "$GATED" index=none "$@"
        wait_for 60 reads_blocked 1
}

# Is a client's request at the server that waits?
request_waits() {
        grep -q "vmafs: pread count=4096 offset=12578816" "$LOG"
}

# Starts a client that reads the disk's last block, and sets CLIENT. Returns when it waits.
start_waiting_client() {
        : >"$LOG"
        qemu-io -r -f raw "$(at '')" -c 'read -v 12578816 4096' >client.log 2>&1 3>&- &
        CLIENT=$!
        wait_for 60 request_waits
}

@test "what is indexed is read while the rest is not; what waits is answered when it is" {
        start_gated -v
        qemu-io -r -f raw "$(at '')" -c 'read 0 1M' | grep -q 'read 1048576/1048576'
        start_waiting_client
        gate open all
        wait "$CLIENT"
        grep -E '^[0-9a-f]{8}: ' client.log | cut -c11-58 | xxd -r -p | cmp - <(tail -c 4096 a.raw)
        nbdcopy "$(at '')" - | cmp - a.raw
        end_server
}

@test "a client that leaves while it waits for the index leaves nothing behind, and others go on" {
        start_gated -v
        start_waiting_client
        kill -9 "$CLIENT"
        wait_for 60 grep -q "aborting sleep" "$LOG"
        wait_for 60 grep -q "vmafs: close" "$LOG"
        qemu-io -r -f raw "$(at '')" -c 'read 0 1M' | grep -q 'read 1048576/1048576'
        gate open all
        nbdcopy "$(at '')" - | cmp - a.raw
        end_server
}

@test "the server ends while the index is being built and a client waits for it" {
        start_gated -v
        start_waiting_client
        kill "$SERVER"
        wait_for 60 has_ended "$SERVER"
        SERVER=''
        run ! grep -qi "segmentation\|assert" "$LOG"
        wait_for 60 has_ended "$CLIENT"
}

@test "the index is kept, as a mount keeps it, and the next start uses it" {
        make_data a.raw 4194304
        mkvma -o a.vma --device a=a.raw
        zstd -q a.vma -o a.zst
        serve 'nbdcopy "$uri" - | cmp - a.raw' a.zst index=none
        "$VMAFS" info a.zst | grep -q '^index: *none'
        serve 'nbdcopy "$uri" - | cmp - a.raw' a.zst index=here
        [ "$(head -c 8 here)" = VMAFSIDX ]
        "$VMAFS" info a.zst | grep -q '^index: *none'
        serve 'nbdcopy "$uri" - | cmp - a.raw' a.zst
        "$VMAFS" info a.zst | grep -q '^index path: .*/cache/vmafs/'
        # One that is there is read, and nothing else of the archive but what is asked for.
        mount_gatefs a.zst
        gate hold $((2 << 20)) $((3 << 20))
        serve 'qemu-io -r -f raw "$uri" -c "read -v 0 4096" | grep -q "read 4096/4096"' "$GATED"
}

# ---- how it is run ----

@test "in the background, by a path that is relative to where it was started" {
        make_data a.raw 4194304
        mkvma -o a.vma --device a=a.raw
        zstd -q a.vma -o a.zst
        export unixsocket=$PWD/socket
        "${NBDKIT[@]}" -U "$unixsocket" -P pid "$PLUGIN" a.zst index=here 3>&-
        SERVER=$(cat pid)
        nbdcopy "$(at '')" - | cmp - a.raw
        kill "$SERVER"
        wait_for 60 has_ended "$SERVER"
        SERVER=''
        [ "$(head -c 8 here)" = VMAFSIDX ]
}

@test "nobody, without /dev/fuse, converts a disk" {
        need_root
        let_others_pass
        cp "$PLUGIN" plugin.so
        make_data a.raw 4194304
        mkvma -o a.vma --device a=a.raw
        zstd -q a.vma -o a.zst
        chmod 644 a.zst
        install -d -o 65534 -g 65534 own
        unshare -m bash -euc '
                mount --bind /dev/null /dev/fuse
                cd own
                setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
                        env HOME="$PWD" XDG_CACHE_HOME="$PWD/cache" TMPDIR=/tmp "$@" \
                        -U - "$PWD/../plugin.so" ../a.zst \
                        --run "unset LD_PRELOAD; exec qemu-img convert -O qcow2 \$uri a.qcow2"' - "${NBDKIT[@]}" 3>&-
        qemu-img compare own/a.qcow2 a.raw
        [ "$(stat -c %u own/a.qcow2)" -eq 65534 ]
        [ -n "$(names_in own/cache/vmafs)" ]
}

@test "nothing is leaked when nbdkit unloads the plugin" {
        make_data a.raw 1048576
        printf 'start=64,size=900\n' | sfdisk -q a.raw
        mkvma -o a.vma --device a=a.raw
        "${MEMCHECK[@]}" "${NBDKIT[@]}" -f -U socket -P pid "$PLUGIN" a.vma partitions=true >memory.log 2>&1 3>&- &
        SERVER=$!
        wait_for 120 test -s pid
        export unixsocket=$PWD/socket
        nbdcopy "$(at disk-a.raw)" - | cmp - a.raw
        nbdcopy "$(at disk-a.parts/1.raw)" - | cmp - <(dd if=a.raw skip=64 count=900 status=none)
        nbdinfo --list "$(at '')" >/dev/null
        end_server
        [ ! -s memory.log ]
}

@test "a qcow2 overlay over a backup takes the writes" {
        make_ragged_disk a.raw
        mkvma -o a.vma --device drive-scsi0=a.raw
        sum=$(sha a.vma)
        start_server a.vma
        qemu-img create -q -f qcow2 -F raw -b "$(at '')" overlay.qcow2
        qemu-io -c 'write -P 7 100k 300k' overlay.qcow2 >/dev/null
        qemu-io -f raw -c 'write -P 7 100k 300k' a.raw >/dev/null
        qemu-img compare overlay.qcow2 a.raw
        end_server
        [ "$(sha a.vma)" = "$sum" ]
}

@test "the page lists the parameters that the plugin takes" {
        "${NBDKIT[@]}" "$PLUGIN" --help | sed -nE 's/^(\[?)([a-z]+)=.*/\2/p' | sort >taken
        sed -n '/^\.Sh PARAMETERS/,/^\.Sh FILES/ s/^\.It \(Oo \)\{0,1\}Cm \([a-z]*\) .*/\2/p' \
                "$ROOT/man/nbdkit-vmafs-plugin.1" | sort | diff -u taken -
        [ "$(wc -l <taken)" -eq 15 ]
}

# ---- datastores ----

@test "the disks of a snapshot in a datastore, also where a chunk is missing" {
        make_data image 6291456
        make_store
        mount_vmafs ds
        for disk in "$MNT/$FIRST"/disk-*.raw; do
                cp "$disk" expected
                export name=${disk##*/}
                serve 'nbdcopy "$(at "$name")" - | cmp - expected' "ds/$FIRST"
                serve 'nbdcopy "$uri" - | cmp - expected' "ds/$FIRST/$name"
                extents_of "file.driver=file,file.filename=$disk" >expected
                serve 'extents_of "file.driver=nbd,file.path=$unixsocket,file.export=$name"' "ds/$FIRST" >got
                diff -u expected got
        done
        serve 'nbdinfo --list --json "$uri" | jq -r ".exports[] | .[\"export-name\"]"' "ds/$FIRST" | sort >got
        (cd "$MNT/$FIRST" && ls -d disk-*.raw) | sort | diff -u - got
        refuses "is no snapshot of the datastore" ds
        refuses "is no snapshot of the datastore" ds/vm/100
        refuses "holds no disk named nope" "ds/$FIRST/nope"
        refuses "holds no disk" "ds/$CONTAINER"
        # A chunk that is missing is an I/O error, and the others are there.
        rm "$(chunk_of "ds/$FIRST/drive-scsi0.img.fidx" 1)"
        start_server "ds/$FIRST" disk=drive-scsi0
        [ "$(failing "$(at '')" 15 32 | xargs)" = "$(seq 16 31 | xargs)" ]
        end_server
        grep -q "chunk" "$LOG"
}

@test "an encrypted snapshot needs its key" {
        make_data image 6291456
        make_store --encrypt
        refuses "is encrypted; name its key with keyfile=PATH" "ds/$FIRST"
        refuses "absent: No such file" "ds/$FIRST" keyfile=absent
        serve 'nbdcopy "$(at drive-scsi0)" - | cmp - image' "ds/$FIRST" keyfile=key
}
