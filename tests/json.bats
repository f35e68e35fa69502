# SPDX-License-Identifier: GPL-2.0-or-later
# The JSON of info, verify, map and cache has the keys that the manual lists, all of them, always.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        [ "$(id -u)" -ne 0 ] || [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ] ||
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
}

# The keys that the manual lists for the verb, as JSON in which every value is null.
documented() {
        awk -v verb=".Cm $1" '
                /^\.Sh/ { json = $2 == "JSON" }
                json && /^prints/ && before == verb { found = 1 }
                found && /^\.Ed/ { exit }
                found && inside { print }
                found && /^\.Bd/ { inside = 1 }
                { before = $0 }' "$ROOT/man/vmafs.1" | tr -d '\n' |
                sed -E 's/("[a-z0-9-]+") *([,}])/\1: null\2/g'
}

# Prints what of the JSON in FILE has other keys than the manual lists for the verb: differences VERB FILE
differences() {
        jq -c --argjson d "$(documented "$1")" '
                def differ($d; $at):
                        if $d == null then
                                if type == "object" or type == "array" then "\($at): is not one value" else empty end
                        elif ($d | type) == "array" then
                                if type == "array" then .[] | differ($d[0]; $at + "[]") else "\($at): is no array" end
                        elif . == null then empty
                        elif keys != ($d | keys) then "\($at): has \(keys), and the manual \($d | keys)"
                        else to_entries[] | .key as $k | .value | differ($d[$k]; "\($at).\($k)")
                        end;
                differ($d; "")' "$2"
}

# The paths of the keys in the JSON in the files, one a line.
paths_in() {
        jq -r 'paths | map(if type == "number" then "[]" else . end) | join(".")' "$@" | sort -u
}

documented_paths() {
        documented "$1" >documented.json
        paths_in documented.json
}

# Archives of many kinds, so that each key has a value somewhere.
make_archives() {
        make_data a.raw 262144
        printf '%s\n' '#notes' 'name: web' 'scsi0: local:103/vm-103-disk-0.raw,size=1M' >qemu-server.conf
        mkvma -o sound.vma --config qemu-server.conf=qemu-server.conf --device a=a.raw
        mkvma -o lost.vma --device l=a.raw --drop l:2
        zstd -qk sound.vma
        cp lost.vma cut.vma
        truncate -s -4096 cut.vma
        printf 'SHA256(absent.img)= %064d\nnonsense\n' 0 >web.mf
        echo '<Envelope/>' >web.ovf
        tar --format=ustar -cf web.ova web.ovf a.raw web.mf
        qemu-img create -q -f qcow2 x.qcow2 1M
}

@test "the manual's list of keys is understood by this test" {
        documented info | jq -e '.guest | keys == ["id", "name", "notes"]'
        documented verify | jq -e '.disks[0]["lost-ranges"][0] | keys == ["length", "start"]'
        documented map | jq -e '.[0] | has("offset")'
        documented cache | jq -e '.indexes[0] | has("used")'
}

@test "info --json has the keys of the manual for every kind of archive" {
        local archive

        make_archives
        "$VMAFS" index sound.vma.zst
        mkdir dir
        ln -s nowhere dir/link
        tar -cf tree.tar dir
        "$VMAFS" index tree.tar
        for archive in sound.vma sound.vma.zst lost.vma web.ova x.qcow2 tree.tar; do
                "$VMAFS" info --json $archive >info-$archive.json
                differences info info-$archive.json >found
                cat found
                [ ! -s found ]
        done
        "$VMAFS" info --json --partitions web.ova >info-no-table.json
        make_data b.raw 262144
        echo start=64,size=100 | sfdisk -q b.raw
        mkvma -o table.vma --device a=b.raw
        "$VMAFS" info --json --partitions table.vma >info-table.json
        zstd -dq "$DATA/lvm/physical-volume.zst" -o p.raw
        truncate -s 32M p.raw
        mkvma -o group.vma --device a=p.raw
        "$VMAFS" info --json --partitions group.vma >info-group.json
        for archive in no-table table group; do
                differences info info-$archive.json >found
                cat found
                [ ! -s found ]
        done
        diff <(documented_paths info) <(paths_in info-*.json)
}

@test "verify --json has the keys of the manual, of what is sound and what is not" {
        local archive

        make_archives
        "$VMAFS" verify --record sound.vma
        "$VMAFS" index sound.vma.zst
        # Both are known by their ends, and are not what was kept of them.
        cp sound.vma changed.vma
        printf XX | dd of=changed.vma bs=1 seek=140000 conv=notrunc status=none
        noise 1M >random
        mkvma -o differs.vma --device n=random
        zstd -q --no-check --rm differs.vma
        "$VMAFS" index differs.vma.zst
        printf XX | dd of=differs.vma.zst bs=1 seek=500000 conv=notrunc status=none
        for archive in sound.vma sound.vma.zst lost.vma cut.vma changed.vma differs.vma.zst web.ova x.qcow2; do
                "$VMAFS" verify --json $archive >verify-$archive.json || [ $? -eq 1 ]
                differences verify verify-$archive.json >found
                cat found
                [ ! -s found ]
        done
        # What the storage cannot read.
        mount_gatefs sound.vma
        gate fail 131072 135168
        "$VMAFS" verify --json "$GATED" >verify-unreadable.json || [ $? -eq 1 ]
        gate fail none
        jq -e '.unreadable | length > 0' verify-unreadable.json
        differences verify verify-unreadable.json >found
        cat found
        [ ! -s found ]
        diff <(documented_paths verify) <(paths_in verify-*.json)
}

@test "map --output=json has the keys of the manual, of data, holes and what is lost" {
        local file

        make_archives
        "$VMAFS" map --output=json lost.vma disk-l.raw >map.json || [ $? -eq 1 ]
        jq -e 'any(.lost) and any(.lost | not)' map.json
        "$VMAFS" map --output=json sound.vma.zst disk-a.raw >compressed.json
        "$VMAFS" map --output=json x.qcow2 disk-x.raw >holes.json
        jq -e 'all(.offset == null)' compressed.json holes.json
        for file in map compressed holes; do
                differences map $file.json >found
                cat found
                [ ! -s found ]
        done
        diff <(documented_paths map) <(paths_in map.json)
}

@test "cache --json has the keys of the manual" {
        make_archives
        "$VMAFS" index sound.vma.zst
        "$VMAFS" cache --json >cache.json
        jq -e '.indexes | length > 0' cache.json
        differences cache cache.json >found
        cat found
        [ ! -s found ]
        diff <(documented_paths cache) <(paths_in cache.json)
}

@test "what there is not is null, and never an empty text" {
        local archive

        make_archives
        for archive in sound.vma lost.vma web.ova x.qcow2; do
                "$VMAFS" info --json $archive >out.json
                jq -e '[.. | select(. == "")] == []' out.json
                "$VMAFS" verify --json $archive >out.json || [ $? -eq 1 ]
                jq -e '[.. | select(. == "")] == []' out.json
        done
}
