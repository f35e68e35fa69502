# SPDX-License-Identifier: GPL-2.0-or-later
# A mount whose index is still growing: gatefs keeps the rest of the archive back.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# An archive g.vma of the disk a.raw, 12 MiB, of which every other cluster is stored, in order.
# Sets HEADER and EXTENT to where its first and second extent begin.
make_archive() {
        local i ranges=()

        for i in {0..191..2}; do
                ranges+=("$((i * 16))-$((i * 16 + 15))")
        done
        make_disk a.raw $((12 * 1024 * 1024)) "${ranges[@]}"
        echo "name: guest" >conf
        mkvma -o g.vma --config guest.conf=conf --device a=a.raw "$@"
        HEADER=$((0x$(od -An -tx1 -j 56 -N 4 g.vma | tr -d ' \n')))
        EXTENT=$((HEADER + 512 + 29 * 65536))
}

# Mounts it behind a gate that is open up to there: header or extent, and the header after it, which
# vouches for it.
mount_behind() {
        make_archive
        mount_gatefs g.vma
        case $1 in
        header) gate open "$HEADER" ;;
        extent) gate open $((EXTENT + 512)) ;;
        esac
        mount_vmafs "$GATED" -o index=none "${@:2}"
        wait_for 60 reads_blocked 1
}

# Starts COUNT readers, each of another block behind the gate, and waits until all of them wait:
# start_readers COUNT [dd-option]. Sets READERS.
start_readers() {
        local i

        READERS=()
        for ((i = 0; i < $1; i++)); do
                dd if="$MNT/disk-a.raw" of="read.$i" bs=4096 skip=$((1600 + 33 * i)) count=1 \
                        status=none "${@:2}" 2>"read.$i.err" 3>&- &
                READERS+=($!)
        done
        wait_for 60 all_wait
}

# Did reader I get its block?
got_block() {
        cmp "read.$1" <(dd if=a.raw bs=4096 skip=$((1600 + 33 * $1)) count=1 status=none)
}

# Does the process wait for the mount? For FUSE's answer, or with a file of it open for a page that
# is being read, and not for one of its own program, which may come from a slow disk, too.
waits_for_mount() {
        case $(cat "/proc/$1/wchan" 2>/dev/null) in
        *fuse* | *request_wait*) return 0 ;;
        *folio_wait* | *wait_on_page*)
                readlink "/proc/$1/fd/"* | grep -qF "$MNT/" && ! grep -qs '^-1' "/proc/$1/syscall"
                ;;
        *) return 1 ;;
        esac
}

all_wait() {
        local pid

        for pid in "${READERS[@]}"; do
                waits_for_mount "$pid" || return 1
        done
}

all_ended() {
        local pid

        for pid in "${READERS[@]}"; do
                has_ended "$pid" || return 1
        done
}

@test "the mount is there as soon as the header has been read" {
        mount_behind header
        mountpoint -q "$MNT"
        [ "$(names_in "$MNT")" = "$(printf 'disk-a.raw\nguest.conf')" ]
}

@test "configuration files, ls, stat, df and attributes never wait" {
        mount_behind header
        timeout 60 cmp conf "$MNT/guest.conf"
        timeout 60 ls -l "$MNT"
        timeout 60 df "$MNT"
        [ "$(timeout 60 stat -c %s "$MNT/disk-a.raw")" -eq 12582912 ]
        [ "$(timeout 60 getfattr --only-values --absolute-names -n user.vmafs.device \
                "$MNT/disk-a.raw")" = a ]
        reads_blocked 1
}

@test "what has been indexed is served while the rest is not" {
        mount_behind extent
        timeout 60 dd if="$MNT/disk-a.raw" bs=65536 count=50 iflag=direct status=none |
                cmp -n $((50 * 65536)) - a.raw
        reads_blocked 1
}

@test "a reader that waits gets the right bytes when the gate opens" {
        mount_behind header
        start_readers 1
        gate open all
        wait "${READERS[0]}"
        got_block 0
}

@test "a request half of which is indexed waits, and is then whole" {
        mount_behind extent
        dd if="$MNT/disk-a.raw" bs=1M skip=3 count=1 iflag=direct status=none 3>&- >got &
        READERS=($!)
        wait_for 60 all_wait
        gate open all
        wait "${READERS[0]}"
        cmp got <(dd if=a.raw bs=1M skip=3 count=1 status=none)
}

@test "user.vmafs.index gives a percentage, and then complete" {
        mount_behind extent
        [[ $(getfattr --only-values --absolute-names -n user.vmafs.index "$MNT") =~ ^[0-9]{1,2}%$ ]]
        run ! index_is 0%
        gate open all
        wait_indexed
}

@test "st_blocks is one less than the size while indexing, and exact afterwards" {
        mount_behind header
        [ "$(stat -c %b "$MNT/disk-a.raw")" -eq $((12582912 / 512 - 1)) ]
        gate open all
        wait_indexed
        wait_for 60 has_blocks 12288
}

has_blocks() {
        [ "$(stat -c %b "$MNT/disk-a.raw")" -eq "$1" ]
}

@test "st_blocks of a disk of one sector is not 0 while indexing" {
        make_data a.raw 512
        mkvma -o s.vma --device a=a.raw
        mount_gatefs s.vma
        gate open 12800
        mount_vmafs "$GATED" -o index=none
        has_blocks 1
}

# Runs a copy that is started while the index is not complete, then opens the gate.
copies_while_indexing() {
        mount_behind extent
        "$@" 3>&- &
        READERS=($!)
        wait_for 60 all_wait
        gate open all
        wait "${READERS[0]}"
}

# Did the copy get the bytes, and take no more room than the image?
is_sparse_copy() {
        cmp a.raw "$1" && du -k a.raw "$1" && [ "$(du -k "$1" | cut -f1)" -le $((6144 + 64)) ]
}

@test "cp started while indexing copies the bytes and keeps the holes" {
        # shellcheck disable=SC2016 # for the inner shell
        copies_while_indexing bash -c 'exec cp "$0"/mnt.*/disk-a.raw copy' "$PWD"
        is_sparse_copy copy
}

@test "cp --sparse=always started while indexing copies the bytes and makes holes" {
        # shellcheck disable=SC2016 # for the inner shell
        copies_while_indexing bash -c 'exec cp --sparse=always "$0"/mnt.*/disk-a.raw copy' "$PWD"
        is_sparse_copy copy
}

@test "tar -S started while indexing stores the bytes and only them" {
        # shellcheck disable=SC2016 # for the inner shell
        copies_while_indexing bash -c 'exec tar -S -C "$0"/mnt.* -cf "$0/t.tar" disk-a.raw' "$PWD"
        [ "$(stat -c %s t.tar)" -lt $((6144 * 1024 + 65536)) ]
        [ "$(stat -c %s t.tar)" -gt $((6144 * 1024)) ]
        tar -S -xf t.tar
        is_sparse_copy disk-a.raw
}

@test "thirty waiting readers do not keep a stat waiting, nor a read of what is known" {
        local i

        mount_behind extent
        start_readers 30
        timeout 60 stat "$MNT" "$MNT/disk-a.raw" "$MNT/guest.conf"
        timeout 60 ls -l "$MNT"
        timeout 60 cmp conf "$MNT/guest.conf"
        timeout 60 cmp -n 65536 a.raw "$MNT/disk-a.raw"
        gate open all
        for i in {0..29}; do
                wait "${READERS[i]}"
                got_block "$i"
        done
}

@test "with a single thread, thirty waiting readers do not keep a stat waiting either" {
        mount_behind extent -s
        start_readers 30
        timeout 60 stat "$MNT/disk-a.raw"
        timeout 60 cmp conf "$MNT/guest.conf"
        gate open all
        wait "${READERS[@]}"
}

@test "a waiting reader that is killed goes, and the others get their bytes" {
        mount_behind header
        start_readers 3
        kill -9 "${READERS[1]}"
        wait_for 60 has_ended "${READERS[1]}"
        has_failed "${READERS[1]}"
        gate open all
        wait "${READERS[0]}"
        wait "${READERS[2]}"
        got_block 0
        got_block 2
}

# The kernel sends no interrupt for an asynchronous direct read, so such a reader ends later.
@test "a waiting reader with O_DIRECT that is killed goes when the gate opens" {
        mount_behind header
        start_readers 2 iflag=direct
        kill -9 "${READERS[1]}"
        timeout 60 stat "$MNT/disk-a.raw"
        gate open all
        wait_for 60 has_ended "${READERS[1]}"
        wait "${READERS[0]}"
        got_block 0
}

@test "a waiting reader can be interrupted" {
        mount_behind header
        start_readers 2
        kill -TERM "${READERS[@]}"
        wait_for 60 all_ended
        timeout 60 stat "$MNT/disk-a.raw"
}

has_opened() {
        [ -s opened ] && all_wait
}

# Starts a reader that goes on when SIGINT interrupts it, and says how its read ended. A signal
# that met its open would not be there for its read.
start_handling_reader() {
        # shellcheck disable=SC2016 # it is Perl
        perl -e '$SIG{INT} = sub { };
                sysopen(my $file, $ARGV[0], 0) or die;
                syswrite(STDERR, "opened");
                print defined sysread($file, my $bytes, 4096) ? "read" : "$!"' \
                "$MNT/disk-a.raw" >said 2>opened 3>&- &
        READERS=($!)
        wait_for 60 has_opened
}

# Through the page cache the kernel would wait on.
@test "with direct_io a waiting read is interrupted even for a reader that handles the signal" {
        mount_behind header -o direct_io
        start_handling_reader
        kill -INT "${READERS[@]}"
        wait_for 60 all_ended
        [ "$(cat said)" = "Interrupted system call" ]
}

@test "SIGTERM ends a mount on which readers wait, and their reads fail" {
        make_archive
        mount_gatefs g.vma
        gate open "$HEADER"
        start_vmafs "$GATED" -o index=none
        start_readers 5
        insist TERM
        wait_for 60 is_gone "$MNT"
        wait_for 60 all_ended
        wait_for 60 has_ended "$DAEMON"
        for i in {0..4}; do
                has_failed "${READERS[i]}"
                grep -q 'error reading\|failed to open' "read.$i.err"
        done
}

@test "a lazily unmounted mount ends with its last waiting reader" {
        make_archive
        mount_gatefs g.vma
        gate open "$HEADER"
        start_vmafs "$GATED" -o index=none
        start_readers 2
        umount -l "$MNT"
        run ! has_ended "$DAEMON"
        kill -9 "${READERS[@]}"
        wait_for 60 all_ended
        wait_for 60 has_ended "$DAEMON"
}

@test "the RAM state's stat waits for its length; the list of names does not" {
        make_disk ram 3145728 0-3 700-767
        make_archive --vmstate ram --vmstate-size=1M
        mount_gatefs g.vma
        gate open $((EXTENT + 512))
        mount_vmafs "$GATED" -o index=none
        # shellcheck disable=SC2016 # for the inner shell
        [ "$(timeout 60 bash -c 'cd "$0" && echo *' "$MNT")" = "disk-a.raw guest.conf vmstate.bin" ]
        stat -c %s "$MNT/vmstate.bin" >size 3>&- &
        READERS=($!)
        wait_for 60 all_wait
        gate open all
        wait "${READERS[0]}"
        [ "$(cat size)" -eq 3145728 ]
        cmp ram "$MNT/vmstate.bin"
}

@test "an archive's bytes that cannot be read fail just their block, until they can be" {
        local bad

        make_archive
        mount_gatefs g.vma
        mount_vmafs "$GATED" -o index=none
        wait_indexed
        # Block 37, the sixth of cluster 2, which is the second stored one.
        bad=$((HEADER + 512 + 65536 + 5 * 4096 + 100))
        gate fail $bad $((bad + 100))
        run dd if="$MNT/disk-a.raw" of=got bs=4096 conv=noerror,sync
        [ "$(grep -c 'Input/output error' <<<"$output")" -eq 1 ]
        cp a.raw expected
        dd if=/dev/zero of=expected bs=4096 seek=37 count=1 conv=notrunc status=none
        cmp got expected
        gate fail none
        cmp a.raw "$MNT/disk-a.raw"
}

@test "an archive that does not answer keeps its readers waiting, and nobody else" {
        local options

        for options in "" "-o direct_io"; do
                make_archive
                mount_gatefs g.vma
                # shellcheck disable=SC2086 # none, or two words
                mount_vmafs "$GATED" -o index=none $options
                wait_indexed
                gate open 4096
                start_readers 15
                timeout 60 stat "$MNT/disk-a.raw" "$MNT/guest.conf" >/dev/null
                timeout 60 ls -l "$MNT" >/dev/null
                timeout 60 df "$MNT" >/dev/null
                timeout 60 getfattr -n user.vmafs.index "$MNT" >/dev/null 2>&1
                [ "$(timeout 60 cat "$MNT/guest.conf")" = "name: guest" ]
                gate open all
                wait_for 60 all_ended
                got_block 0
                got_block 14
                umount "$MNT"
                wait_for 60 umount "$GATE_DIR"
        done
        fault_tried "15 reads that the archive does not answer" 2 "names, attributes, files answered at once"
}

@test "an extent header that cannot be read loses what is after it, not what is before it" {
        make_archive
        mount_gatefs g.vma
        gate fail "$EXTENT" $((EXTENT + 1))
        mount_vmafs "$GATED" -o index=none
        wait_indexed
        cmp -n $((58 * 65536)) a.raw "$MNT/disk-a.raw"
        run dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 skip=$((58 * 16)) count=1
        [[ $output == *"Input/output error"* ]]
}

# The last page that the scan's end makes void is being read, of an archive that does not answer.
@test "SIGTERM ends a mount whose damaged archive stops to answer at the end of its scan" {
        local last

        make_data a.raw $((12 * 1024 * 1024))
        mkvma -o g.vma --device a=a.raw --duplicate a:0
        HEADER=$((0x$(od -An -tx1 -j 56 -N 4 g.vma | tr -d ' \n')))
        last=$((HEADER + 3 * (512 + 58 * 65536)))
        mount_gatefs g.vma
        gate open "$last"
        start_vmafs "$GATED" -o index=none
        wait_for 60 reads_blocked 1
        dd if="$MNT/disk-a.raw" of=/dev/null bs=4096 skip=$((180 * 16)) count=1 2>/dev/null 3>&- &
        READERS=($!)
        wait_for 60 all_wait
        # All of the index is there now, and the reader's cluster is not.
        gate open $((last + 512))
        wait_for 60 index_is complete
        wait_for 60 reads_blocked 1
        insist TERM
        wait_for 60 has_ended "$DAEMON"
        wait_for 60 all_ended
        is_gone "$MNT"
}

# ---- a slow disk ----

# Scans the archive FILE on a disk that takes 5 ms for each read, and stops to answer half-way until
# COUNT reads wait for it: scan_slowly FILE COUNT. Sets READS to how many there were.
scan_slowly() {
        local size

        size=$(stat -c %s "$1")
        mount_gatefs "$1" -o cached
        gate delay 5
        # But for the end, by which it is known, to a whole page.
        gate hold $((size / 2)) $((size - 131072))
        "$VMAFS" map --output=json "$GATED" disk-drive-scsi0.raw >slow 3>&- &
        wait_for 60 at_least_blocked "$2"
        gate hold none
        wait $!
        "$VMAFS" map --output=json "$1" disk-drive-scsi0.raw >fast
        cmp slow fast
        READS=$(gate_status served)
        umount "$GATE_DIR"
}

at_least_blocked() {
        [ "$(gate_status blocked)" -ge "$1" ]
}

@test "headers on a slow disk are asked for in advance where extents are alike" {
        local headers=$((((1 << 30) / 65536 + 57) / 58))

        mkvma -o even.vma --synthetic 1G
        scan_slowly even.vma 24
        echo "$headers headers, $READS reads"
        [ "$READS" -le $((headers + 64 + 40 + 16 * SEARCH)) ]
}

# As many reads as find a header, and then some: 4 MiB in pieces of 128 KiB at most.
SEARCH=32

@test "where they are not, threads go ahead of the scan" {
        local headers=$((((2 << 30) / 65536 + 57) / 58))

        # Of 1 GiB, in regions of 64 MiB.
        mkvma -o ragged.vma --synthetic 2G --pattern=ragged
        scan_slowly ragged.vma 8
        echo "$headers headers, $READS reads"
        [ "$READS" -le $((headers + 40 + 16 * SEARCH)) ]
}

@test "threads go ahead of the scan in a mount's sandbox, and end with it while they wait" {
        mkvma -o ragged.vma --synthetic 2G --pattern=ragged
        mount_gatefs ragged.vma -o cached
        gate delay 5
        # Beyond that nothing is answered.
        gate open $(($(stat -c %s ragged.vma) / 4))
        start_vmafs "$GATED" -o index=none
        wait_for 60 at_least_blocked 8
        kill -TERM "$DAEMON"
        wait_for 60 is_gone "$MNT"
        gate open all
        wait_for 60 has_ended "$DAEMON"
}
