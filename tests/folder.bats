# SPDX-License-Identifier: GPL-2.0-or-later
# A folder of archives: info, index and verify of all of them.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        [ "$(id -u)" -ne 0 ] || [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
}

# A guest's archive, another one in each test, since root's cache folder is that of all tests:
# make_archive FILE ID NAME. The disk is a.raw.
make_archive() {
        [ -e a.raw ] || make_disk a.raw 1048576 0-2 40-99 200-200
        printf '%s\n' "name: $3" "scsi0: local:$2/vm-$2-disk-0.raw,size=1M" >qemu-server.conf
        mkvma -o "$1" --config qemu-server.conf=qemu-server.conf --device a=a.raw --ctime=$((1700000000 + 1000 * BATS_TEST_NUMBER + $2))
}

# The folder d: two guests, one of them compressed and below, a damaged archive, and what is none.
make_folder() {
        mkdir -p d/sub
        make_archive d/vzdump-qemu-103-2026_01_01-00_00_00.vma 103 web
        make_archive 104.vma 104 mail
        zstd -q 104.vma -o d/sub/b.vma.zst
        make_archive d/cut.vma 105 cut
        truncate -s -8192 d/cut.vma
        echo log >d/vzdump-qemu-103-2026_01_01-00_00_00.log
        noise 500 >d/junk.vma.gz
}

@test "info of a folder has a line for each archive, with its guest, size, disks and index" {
        make_folder
        run --separate-stderr "$VMAFS" info d
        echo "$output"
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 6 ]
        grep -qE '^104 mail .* 1  no  *sub/b\.vma\.zst$' <<<"$output"
        grep -qE '^103 web .* 1  no  *vzdump-qemu-103-2026_01_01-00_00_00\.vma$' <<<"$output"
        grep -qE 'junk\.vma\.gz: is not an archive' <<<"$output"
        [ "${lines[5]}" = "4 archives, 1 cannot be read" ]
        "$VMAFS" index d/sub/b.vma.zst
        "$VMAFS" info d | grep -qE '^104 mail .* 1  yes  *sub/b\.vma\.zst$'
}

@test "info --json of a folder has the documented keys, each time" {
        local keys='["compression","ctime","disk-size","disks","error","format","guest","indexed","path","size"]'

        make_folder
        qemu-img create -q -f qcow2 d/x.qcow2 1M
        "$VMAFS" info --json d/ >info.json
        jq -e '.archive == "d/" and .format == "folder" and keys == ["archive", "archives", "format"]' info.json
        jq -e --argjson keys "$keys" '.archives | length == 5 and all(keys == $keys)' info.json
        jq -e '.archives[] | select(.path == "sub/b.vma.zst") |
                .guest == {"name": "mail", "id": 104} and .disks == 1 and ."disk-size" == 1048576 and
                .indexed == false and .error == null and .compression == "zstd"' info.json
        jq -e '.archives[] | select(.path == "junk.vma.gz") |
                .disks == null and .format == null and (.error | contains("not an archive"))' info.json
        jq -e '.archives[] | select(.path == "x.qcow2") | .indexed == null' info.json
        # The manual has them all.
        for key in $(jq -r '.archives[0] | keys[]' info.json); do
                grep -q "\"$key\"" "$ROOT/man/vmafs.1"
        done
}

@test "map and extract take a file of an archive in a folder, as one path or below the folder" {
        local whole

        make_folder
        mkdir out
        "$VMAFS" map --output=json d/sub/b.vma.zst disk-a.raw >want
        for whole in "d/sub/b.vma.zst/disk-a.raw" "d sub/b.vma.zst/disk-a.raw" "d/sub b.vma.zst/a" "d/ sub//b.vma.zst/a"; do
                # shellcheck disable=SC2086 # words
                "$VMAFS" map --output=json $whole | diff want -
                # shellcheck disable=SC2086 # words
                "$VMAFS" extract -C out $whole
                cmp out/disk-a.raw a.raw
                rm out/disk-a.raw
        done
        "$VMAFS" extract -O d/sub/b.vma.zst/qemu-server.conf | grep -qx 'name: mail'
        "$VMAFS" extract -O d sub/b.vma.zst/qemu-server.conf | grep -qx 'name: mail'
        # All of an archive, and what fits a pattern.
        "$VMAFS" extract -C out d sub/b.vma.zst
        [ "$(names_in out)" = "$(printf 'disk-a.raw\nqemu-server.conf')" ]
        rm out/*
        "$VMAFS" extract -C out d 'sub/b.vma.zst/*.conf'
        [ "$(names_in out)" = qemu-server.conf ]
}

@test "extract takes files of several archives in a folder, and says which it cannot" {
        make_folder
        mkdir out
        run --separate-stderr "$VMAFS" extract -C out d 104.vma/a sub/b.vma.zst/qemu-server.conf
        [ "$status" -eq 2 ]
        one_line_says "d/104.vma/a: No such file or directory"
        [ -z "$(names_in out)" ]
        mv 104.vma d/
        run --separate-stderr "$VMAFS" extract -C out d 104.vma/a sub/b.vma.zst/qemu-server.conf
        [ "$status" -eq 0 ]
        [ -z "$output$stderr" ]
        [ "$(names_in out)" = "$(printf 'disk-a.raw\nqemu-server.conf')" ]
        # The other archive is not in the way of one that has no such file.
        rm out/*
        run --separate-stderr "$VMAFS" extract -C out d 104.vma/none sub/b.vma.zst/qemu-server.conf
        [ "$status" -eq 2 ]
        one_line_says "d/104.vma: holds no file named none"
        [ "$(names_in out)" = qemu-server.conf ]
        run --separate-stderr "$VMAFS" extract -O d 104.vma/a sub/b.vma.zst/qemu-server.conf
        [ "$status" -eq 2 ]
}

@test "what is no archive in a folder, and more than the verb takes, is refused with a word" {
        make_folder
        for words in "map d" "extract d" "map d sub" "extract d sub"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                [ "$status" -eq 2 ]
                one_line_says "is a directory, not an archive; vmafs info lists the archives in it"
        done
        run --separate-stderr "$VMAFS" map d sub/b.vma.zst
        [ "$status" -eq 2 ]
        one_line_says "map needs an archive and the name of a disk in it"
        for verb in info verify index; do
                run --separate-stderr "$VMAFS" "$verb" d/sub/b.vma.zst/disk-a.raw
                [ "$status" -eq 2 ]
                one_line_says "d/sub/b.vma.zst/disk-a.raw: leads into an archive; give the archive alone"
        done
}

@test "a key is of no use for a folder or an archive, and refused" {
        make_folder
        mkdir mnt
        for words in "info --keyfile=k d" "verify --passfile=p d/sub/b.vma.zst" "map --keyfile=k d/sub/b.vma.zst a" \
                "extract --keyfile=k -C mnt d sub/b.vma.zst" "d mnt -o keyfile=k" "d/sub/b.vma.zst mnt -o passfile=p"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                [ "$status" -eq 2 ]
                one_line_says "is no datastore, and -"
        done
        run ! mountpoint -q mnt
        [ -z "$(names_in mnt)" ]
}

@test "index of a folder indexes what is not yet indexed, and goes on after what cannot be" {
        make_folder
        run --separate-stderr "$VMAFS" index d
        echo "$output"
        [ "$status" -eq 2 ] # of junk.vma.gz
        [[ $output == *"d: 4 archives, 2 not indexed" ]]
        [[ $stderr == *"d/cut.vma: its index is not kept: it is damaged"* ]]
        # A line for each that was indexed, and the count.
        [ "$(grep -c ': indexed, ' <<<"$output")" -eq 2 ]
        [ "${#lines[@]}" -eq 3 ]
        run ! grep -qx '' <<<"$output"
        jq -e '[.archives[] | select(.indexed)] | length == 2' <("$VMAFS" info --json d)
        run --separate-stderr "$VMAFS" index d
        [ "$(grep -c 'has an index$' <<<"$output")" -eq 2 ]
}

@test "an index that cannot be used is made anew" {
        make_folder
        rm d/cut.vma d/junk.vma.gz
        "$VMAFS" index d
        "$VMAFS" cache --json >cache.json
        jq -r --arg d "$PWD/d/" '.folder as $f | .indexes[] | select(.archive // "" | startswith($d)) |
                "\($f)/\(.index)"' cache.json >indexes
        [ "$(wc -l <indexes)" -eq 2 ]
        while read -r file; do
                truncate -s 100 "$file"
        done <indexes
        "$VMAFS" index d
        run "$VMAFS" index d
        [ "$status" -eq 0 ]
        [ "$(grep -c 'has an index$' <<<"$output")" -eq 2 ]
}

@test "verify of a folder verifies all, and its status is that of the worst" {
        make_folder
        rm d/junk.vma.gz
        run "$VMAFS" verify d
        echo "$output"
        [ "$status" -eq 1 ]
        [[ $output == *"d/cut.vma: DAMAGED"* ]]
        [[ $output == *"d/sub/b.vma.zst: sound"* ]]
        [[ $output == *"d: 3 archives, 1 not sound" ]]
        # One blank line after each, and none more for what cannot be opened.
        [ "$(grep -cx '' <<<"$output")" -eq 3 ]
        noise 500 >d/junk.vma.gz
        run --separate-stderr --keep-empty-lines "$VMAFS" verify d
        [ "$(grep -cx '' <<<"${output%$'\n'}")" -eq 3 ]
        rm d/junk.vma.gz
        run "$VMAFS" verify --json d
        [ "$status" -eq 1 ]
        jq -e '.format == "folder" and .sound == false and .unread == 0 and
                ([.archives[].sound] | sort == [false, true, true])' <<<"$output"
        rm d/cut.vma
        "$VMAFS" verify d
        "$VMAFS" verify --json d | jq -e '.sound and (.archives | length == 2)'
        noise 500 >d/junk.vma.gz
        run --separate-stderr "$VMAFS" verify --json d
        [ "$status" -eq 2 ]
        jq -e '.sound == false and .unread == 1 and (.archives | length == 2)' <<<"$output"
}

@test "links, FIFOs and folders named like archives are left alone" {
        make_archive outside.vma 9 outside
        mkdir -p d/e.vma outdir
        cp outside.vma outdir/x.vma
        ln -s ../outside.vma d/a.vma
        ln -s ../outdir d/linked
        ln -s . d/self
        mkfifo d/f.vma
        make_archive d/e.vma/in.vma 10 inside
        "$VMAFS" info --json d | jq -e '[.archives[].path] == ["e.vma/in.vma"]'
        run timeout 60 "$VMAFS" verify d
        [ "$status" -eq 0 ]
        [[ $output == *"d: 1 archive" ]]
}

@test "names and texts of a folder cannot write to the terminal" {
        mkdir d
        make_archive $'d/a\e[31m\n.vma' 11 $'x\e[2J'
        run "$VMAFS" info d
        [ "$status" -eq 0 ]
        [[ $output != *$'\e'* ]]
        [ "${#lines[@]}" -eq 3 ]
}

@test "a folder with no archive, and one that cannot be opened" {
        mkdir d
        run "$VMAFS" info d
        [ "$status" -eq 0 ]
        [[ $output == *"0 archives" ]]
        "$VMAFS" info --json d | jq -e '.archives == []'
        "$VMAFS" verify d
        run "$VMAFS" verify --file=x d
        [ "$status" -eq 2 ]
}

@test "a datastore in a folder is left out, and said so" {
        mkdir -p d/store/.chunks
        make_archive d/a.vma 1 a
        run --separate-stderr "$VMAFS" verify d
        [ "$status" -eq 1 ]
        [[ $stderr == *"d/store: is left out: it is a datastore"* ]]
}

@test "info of a folder of thousands opens each once" {
        local i

        mkdir d
        make_archive 1.vma 1 one
        zstd -q 1.vma
        for i in $(seq 1000); do echo "d/vzdump-qemu-$i-2026_01_01-00_00_00.vma.zst"; done |
                xargs -n 1 ln 1.vma.zst
        "$VMAFS" info --json d >info.json
        jq -e '.archives | length == 1000 and all(.error == null and .guest.name == "one")' info.json
}
