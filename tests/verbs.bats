# SPDX-License-Identifier: GPL-2.0-or-later
# info, map, verify and extract of sound archives, for a person and for a script.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
}

# The archive r.vma of the disk a.raw, which is ragged, and a configuration, shuffled.
make_ragged() {
        make_ragged_disk a.raw
        echo "name: guest" >conf
        mkvma -o r.vma --config guest.conf=conf --device a=a.raw --order=shuffle
}

# qemu-img's or our map on stdin as "start length" of what is data, neighbours joined.
data_ranges() {
        jq -r '.[] | select(.data and (.zero | not)) | "\(.start) \(.length)"' |
                awk 'end == $1 && NR > 1 { end += $2; next }
                        NR > 1 { print start, end - start }
                        { start = $1; end = $1 + $2 }
                        END { if (NR) print start, end - start }'
}

@test "info shows what is in the genuine tiny archive" {
        run --separate-stderr "$VMAFS" info "$DATA/good/tiny.vma"
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
        grep -qx 'format: *vma' <<<"$output"
        grep -qx 'compression: *none' <<<"$output"
        grep -qx 'uuid: *55e594a0-0d3e-4c75-a9f1-ca42a9d5988d' <<<"$output"
        grep -qx "created: *$(date -u -d @1795245576 '+%F %T UTC')" <<<"$output"
        grep -qx 'disk: *disk-drive-scsi0.raw, 1.0 MiB (1048576 bytes)' <<<"$output"
        grep -qx 'file: *qemu-server.conf, 116 bytes' <<<"$output"
}

@test "info --json gives the same to a script" {
        "$VMAFS" info --json "$DATA/good/tiny.vma" | jq -e '
                .format == "vma" and .compression == "none" and .ctime == 1795245576 and
                .uuid == "55e594a0-0d3e-4c75-a9f1-ca42a9d5988d" and .size == 25600 and
                .disks == [{"name": "disk-drive-scsi0.raw", "device": "drive-scsi0",
                        "size": 1048576, "size-is-final": true, "filesystem": null,
                        "partition-table": null}] and
                .files == [{"name": "qemu-server.conf", "size": 116}]'
}

@test "info names the guest, its id and its notes" {
        printf '%s\n' '#Web%20server%0A' '#second line' '#qmdump#map:scsi0:drive-scsi0:local:raw:' \
                'name: web01' 'scsi0: local:103/vm-103-disk-0.raw,size=1M' '[snap]' 'name: old' \
                >qemu-server.conf
        make_data a.raw 65536
        mkvma -o g.vma --config qemu-server.conf=qemu-server.conf --device a=a.raw
        run --separate-stderr "$VMAFS" info g.vma
        grep -qx 'guest: *web01' <<<"$output"
        grep -qx 'guest id: *103' <<<"$output"
        grep -qx 'notes: *Web server' <<<"$output"
        grep -qx ' *second line' <<<"$output"
        "$VMAFS" info --json g.vma | jq -e '.guest == {"name": "web01", "id": 103,
                "notes": "Web server\n\nsecond line"}'
}

@test "info of an image without an index does not advise one that is refused" {
        qemu-img create -q -f qcow2 x.qcow2 1M
        run --separate-stderr "$VMAFS" info x.qcow2
        [ "$status" -eq 0 ]
        [[ $output != *'vmafs index'* ]]
        run ! grep -q '^uuid:' <<<"$output"
        "$VMAFS" info --json x.qcow2 | jq -e '
                .index == null and .guest == {"name": null, "id": null, "notes": null}'
}

@test "info names the kept index by its path" {
        make_data a.raw 1048576
        mkvma -o i.vma --device a=a.raw
        zstd -q i.vma
        "$VMAFS" index --file="$PWD/i.vma.zst.vmafs" i.vma.zst
        run --separate-stderr "$VMAFS" info i.vma.zst
        grep -qx "index path: *.*i.vma.zst.vmafs" <<<"$output"
        grep -qx 'restart: *1 point, .*' <<<"$output"
        "$VMAFS" info --json i.vma.zst | jq -e '.index.path | endswith("i.vma.zst.vmafs")'
}

# The archive's ends are what its index is known by.
@test "info reads no more than the header and the archive's ends" {
        local header size

        make_ragged
        header=$((0x$(od -An -tx1 -j 56 -N 4 r.vma | tr -d ' \n')))
        size=$(stat -c %s r.vma)
        [ "$size" -gt 1000000 ]
        mount_gatefs r.vma
        gate fail 65536 $((size - 65536))
        [ "$header" -lt 65536 ]
        timeout 60 "$VMAFS" info "$GATED"
}

@test "map --output=json covers the disk, and its data are the non-zero blocks" {
        make_ragged
        "$VMAFS" map --output=json r.vma disk-a.raw >map.json
        jq -e --argjson size "$DISK_SIZE" '
                .[0].start == 0 and .[-1].start + .[-1].length == $size and
                ([range(1; length) as $i | .[$i].start == .[$i - 1].start + .[$i - 1].length] | all)' map.json
        data_ranges <map.json | diff - <(holes --nonzero a.raw | clip)
}

# The tools count whole blocks at the end, or not: make ranges end at the disk's end.
clip() {
        awk -v size="$DISK_SIZE" '{ if ($1 + $2 > size) $2 = size - $1; print $1, $2 }'
}

@test "map --output=json agrees with qemu-img map of the mounted file" {
        make_ragged
        "$VMAFS" map --output=json r.vma disk-a.raw | data_ranges >ours
        mount_vmafs r.vma
        wait_indexed
        qemu-img map --output=json -f raw "$MNT/disk-a.raw" | data_ranges | clip >theirs
        [ -s ours ]
        diff ours theirs
}

@test "the offsets of map --output=json are where the archive has the bytes" {
        local start length offset count=0

        make_ragged
        while read -r start length offset; do
                count=$((count + 1))
                cmp <(tail -c +$((start + 1)) a.raw | head -c "$length") \
                        <(tail -c +$((offset + 1)) r.vma | head -c "$length")
        done < <("$VMAFS" map --output=json r.vma disk-a.raw |
                jq -r '.[] | select(.data) | "\(.start) \(.length) \(.offset)"')
        [ "$count" -gt 10 ]
}

@test "map for a person lists the data alone, in hexadecimal" {
        make_data a.raw 65536
        truncate -s 1M a.raw
        mkvma -o m.vma --device a=a.raw
        run "$VMAFS" map m.vma disk-a.raw
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 2 ]
        [[ ${lines[0]} =~ ^Offset\ +Length\ +Mapped\ to\ +File$ ]]
        [[ ${lines[1]} =~ ^0\ +0x10000\ +0x3400\ +m.vma$ ]]
}

@test "map of a disk that is not there is wrong usage" {
        run --separate-stderr "$VMAFS" map "$DATA/good/tiny.vma" disk-x.raw
        [ "$status" -eq 2 ]
        one_line_says "tiny.vma: holds no disk named disk-x.raw; vmafs info lists"
}

@test "verify finds every genuine archive sound" {
        local archive

        reference_dir
        for archive in "$REFERENCE"/*.vma; do
                "$VMAFS" verify "$archive"
                "$VMAFS" verify --json "$archive" | jq -e .sound
        done
}

@test "extract restores every genuine archive, by content" {
        local archive name hash

        reference_dir
        for archive in "$REFERENCE"/*.vma; do
                mkdir out
                "$VMAFS" extract -C out "$archive"
                archive=$(basename "$archive" .vma)
                while read -r hash _ _ name; do
                        [ "$(sha "out/$name")" = "$hash" ]
                done < <(awk -v a="$archive" '$3 == a' "$REFERENCE/CONTENTS")
                [ "$(names_in out | wc -l)" -eq "$(grep -c " $archive " "$REFERENCE/CONTENTS")" ]
                rm -r out
        done
}

@test "extract writes the disk sparse, and leaves nothing partial" {
        make_ragged
        mkdir out
        "$VMAFS" extract -C out r.vma
        [ "$(names_in out)" = "$(printf 'disk-a.raw\nguest.conf')" ]
        cmp a.raw out/disk-a.raw
        cmp conf out/guest.conf
        [ "$(stat -c %b out/disk-a.raw)" -le $(($(nonzero_blocks a.raw) + 128)) ]
}

@test "extract into the current directory, and of selected files alone" {
        make_ragged
        mkdir sub
        (cd sub && "$VMAFS" extract ../r.vma guest.conf)
        [ "$(names_in sub)" = guest.conf ]
        (cd sub && "$VMAFS" extract ../r.vma disk-a.raw)
        cmp a.raw sub/disk-a.raw
}

@test "extract and map take a disk by its device" {
        make_ragged
        "$VMAFS" extract r.vma a
        [ "$(names_in . | grep -c '^disk-')" -eq 1 ]
        cmp a.raw disk-a.raw
        diff <("$VMAFS" map r.vma a) <("$VMAFS" map r.vma disk-a.raw)
}

@test "extract takes patterns, and a name with wildcards in it by itself" {
        make_data a.raw 65536
        make_data b.raw 65536
        echo star >star
        echo other >other
        mkvma -o p.vma --device a=a.raw --device b=b.raw --config 'x*.conf=star' --config x1.conf=other
        mkdir disks conf one
        "$VMAFS" extract -C disks p.vma 'disk-?.raw'
        [ "$(names_in disks)" = "$(printf 'disk-a.raw\ndisk-b.raw')" ]
        "$VMAFS" extract -C conf p.vma '*.conf'
        [ "$(names_in conf)" = "$(printf 'x*.conf\nx1.conf')" ]
        "$VMAFS" extract -C one p.vma x1.conf
        [ "$(names_in one)" = x1.conf ]
        run --separate-stderr "$VMAFS" extract p.vma 'z*'
        [ "$status" -eq 2 ]
        one_line_says "holds no file named z*"
}

@test "a name goes before a device of that name" {
        make_data a.raw 65536
        echo conf >conf
        mkvma -o n.vma --device a=a.raw --config a=conf
        mkdir out
        "$VMAFS" extract -C out n.vma a
        [ "$(names_in out)" = a ]
        cmp conf out/a
}

@test "extract -O writes one file to standard output" {
        make_ragged
        "$VMAFS" extract -O r.vma guest.conf >got
        cmp got <("$VMAFS" extract -O r.vma '*.conf')
        (mkdir sub && cd sub && "$VMAFS" extract ../r.vma guest.conf)
        cmp sub/guest.conf got
        "$VMAFS" extract -O r.vma a | cmp - a.raw
        zstd -q r.vma
        "$VMAFS" extract -O r.vma.zst disk-a.raw | cmp - a.raw
}

@test "extract -O of several files, or of none, is wrong usage" {
        make_ragged
        run --separate-stderr "$VMAFS" extract -O r.vma
        [ "$status" -eq 2 ] && one_line_says "extract -O needs one file"
        run --separate-stderr "$VMAFS" extract -O r.vma '*'
        [ "$status" -eq 2 ] && one_line_says "means 2 files; -O takes one"
        [ -z "$output" ]
}

@test "extract -O ends at what is lost, and says where" {
        make_data a.raw 262144
        mkvma -o l.vma --device a=a.raw --drop a:2
        run bash -c '"$VMAFS" extract -O l.vma disk-a.raw 2>err | cmp -n 131072 - a.raw; echo "${PIPESTATUS[0]}"'
        [ "${lines[-1]}" -eq 1 ]
        grep -q 'disk-a.raw cannot be read from byte 131072 on' err
}

@test "extract -O to a full disk fails with a line that says so" {
        make_ragged
        run bash -c '"$VMAFS" extract -O r.vma disk-a.raw 2>err >/dev/full'
        [ "$status" -eq 1 ]
        [ "$(wc -l <err)" -eq 1 ]
}

@test "extract keeps the RAM state's length and zeros" {
        make_disk ram 3145728 0-3 40-50
        mkvma -o s.vma --vmstate ram --vmstate-size=1M
        "$VMAFS" extract s.vma
        cmp ram vmstate.bin
}

@test "extract does not replace a file, unless forced" {
        make_ragged
        echo mine >disk-a.raw
        run --separate-stderr "$VMAFS" extract r.vma disk-a.raw
        [ "$status" -eq 1 ]
        one_line_says "disk-a.raw: is there already; --force replaces it"
        [ "$(cat disk-a.raw)" = mine ]
        "$VMAFS" extract --force r.vma
        cmp a.raw disk-a.raw
        [ ! -e disk-a.raw.partial ]
}

@test "extract does not follow a link in its place" {
        make_ragged
        ln -s "$PWD/elsewhere" guest.conf
        ln -s "$PWD/elsewhere" disk-a.raw.partial
        run "$VMAFS" extract r.vma
        [ "$status" -eq 1 ]
        "$VMAFS" extract --force r.vma
        [ ! -e elsewhere ]
        cmp a.raw disk-a.raw
        [ ! -L guest.conf ]
}

@test "extract of a file that is not in the archive is wrong usage" {
        run --separate-stderr "$VMAFS" extract "$DATA/good/tiny.vma" absent.conf
        [ "$status" -eq 2 ]
        one_line_says "tiny.vma: holds no file named absent.conf; vmafs info lists"
        [ ! -e absent.conf.partial ]
        [ ! -e disk-drive-scsi0.raw.partial ]
}

@test "extract into a directory that is not there is wrong usage" {
        run --separate-stderr "$VMAFS" extract -C absent "$DATA/good/tiny.vma"
        [ "$status" -eq 2 ]
        one_line_says "absent: cannot be extracted into: No such file or directory"
}

@test "extract to a full disk fails with a line that says so" {
        need_root
        make_ragged
        mkdir small
        mount -t tmpfs -o size=1M none small
        run --separate-stderr "$VMAFS" extract -C small r.vma disk-a.raw
        [ "$status" -eq 1 ]
        one_line_says "small/disk-a.raw.partial: cannot be written: No space left on device"
        [ ! -e small/disk-a.raw ]
}

@test "an output that cannot be written is a failure of every verb" {
        local words

        for words in "--help" "--version" "info $DATA/good/tiny.vma" "info --json $DATA/good/tiny.vma" \
                "map $DATA/good/tiny.vma disk-drive-scsi0.raw" "verify $DATA/good/tiny.vma" \
                "verify --json $DATA/good/tiny.vma"; do
                # shellcheck disable=SC2016,SC2086 # for the inner shell; words
                run --separate-stderr bash -c '"$VMAFS" "$@" >/dev/full' - $words
                echo "$words"
                [ "$status" -eq 1 ]
                one_line_says "the output cannot be written: No space left on device"
        done
}

@test "progress shows on a terminal when it takes over a second" {
        make_ragged
        mount_gatefs r.vma
        # But for the end, by which it is known.
        gate hold 65536 $(($(stat -c %s r.vma) - 65536))
        script -qefc "$VMAFS verify $GATED" typescript >/dev/null 3>&- &
        wait_for 60 grep -q 'vmafs: verifying [0-9]*%, ' typescript
        gate hold none
        wait $!
        grep -q 'r.vma: sound' typescript
}

@test "progress never shows when stderr is not a terminal" {
        make_ragged
        mount_gatefs r.vma
        gate delay 40
        run --separate-stderr "$VMAFS" verify "$GATED"
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
}

@test "extract --force keeps a file of the archive that is named like a partial one" {
        truncate -s 65536 raw
        echo text >conf
        mkvma -o p.vma --device a=raw --config disk-a.raw.partial=conf
        mkdir o
        "$VMAFS" extract --force -C o p.vma
        [ "$(cat o/disk-a.raw.partial)" = text ]
        cmp o/disk-a.raw raw
}
