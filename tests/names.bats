# SPDX-License-Identifier: GPL-2.0-or-later
# Names come from the archive and are not to be trusted: what they become in the tree.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        echo content >f
}

# Mounts an archive with one configuration file of this name.
mount_named() {
        mkvma -o named.vma --config "$1=f"
        mount_vmafs named.vma
        rm named.vma
}

# The one name in the tree; it must be usable.
shown_name() {
        local name

        name=$(cd "$MNT" && ls -A --literal --show-control-chars)
        cmp f "$MNT/$name" && printf '%s' "$name"
}

@test "a slash is escaped, and the file stays in the tree" {
        mount_named ../../../etc/passwd
        [ "$(shown_name)" = "..%2F..%2F..%2Fetc%2Fpasswd" ]
        [ "$(cd "$MNT" && find . -type f | wc -l)" -eq 1 ]
}

@test "an absolute path is escaped" {
        mount_named /etc/passwd
        [ "$(shown_name)" = "%2Fetc%2Fpasswd" ]
}

@test "the names . and .. are escaped" {
        mount_named .
        [ "$(shown_name)" = "%2E" ]
        mount_named ..
        [ "$(shown_name)" = "%2E%2E" ]
}

@test "control bytes are escaped" {
        mount_named $'a\nb\tc\033[31m\177'
        [ "$(shown_name)" = 'a%0Ab%09c%1B[31m%7F' ]
}

@test "spaces, quotes, other scripts and leading dots stay as they are" {
        local name

        for name in ' a  b ' "it's \"x\" \$(y)" 'größe-Ü-漢字-😀' .hidden -rf; do
                mount_named "$name"
                [ "$(shown_name)" = "$name" ]
        done
}

@test "bytes that are not UTF-8 are escaped" {
        mount_named $'a\xff\xfeb\xc0\x80\xed\xa0\x80c'
        [ "$(shown_name)" = 'a%FF%FEb%C0%80%ED%A0%80c' ]
}

@test "a name of 300 bytes is cut to what a directory can hold, visibly" {
        local name

        mount_named "$(printf '%0300d' 7)"
        name=$(shown_name)
        [ "${#name}" -eq 255 ]
        [ "${name: -1}" = "~" ]
}

@test "two long names that differ at their end stay two files" {
        echo other >g
        mkvma -o two.vma --config "$(printf '%0299d1' 0)=f" --config "$(printf '%0299d2' 0)=g"
        mount_vmafs two.vma
        [ "$(names_in "$MNT" | wc -l)" -eq 2 ]
        cat "$MNT"/* | sort | diff - <(cat f g | sort)
}

@test "duplicates are numbered in the archive's order" {
        echo second >g
        echo third >h
        mkvma -o dup.vma --config c=f --config c=g --config c=h
        mount_vmafs dup.vma
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "c c~2 c~3 " ]
        cmp f "$MNT/c"
        cmp g "$MNT/c~2"
        cmp h "$MNT/c~3"
}

@test "a configuration that is named like a disk does not hide it" {
        make_data a.raw 65536
        mkvma -o dup.vma --config disk-a.raw=f --device a=a.raw
        mount_vmafs dup.vma
        cmp a.raw "$MNT/disk-a.raw"
        cmp f "$MNT/disk-a.raw~2"
}

@test "a device's hostile name is escaped like a file's" {
        make_data a.raw 65536
        mkvma -o dev.vma --device ../x=a.raw
        mount_vmafs dev.vma
        [ "$(ls -A "$MNT")" = "disk-..%2Fx.raw" ]
        cmp a.raw "$MNT/disk-..%2Fx.raw"
        [ "$(getfattr --only-values --absolute-names -n user.vmafs.device "$MNT/disk-..%2Fx.raw")" = "..%2Fx" ]
}

@test "info and extract use the same safe names" {
        mkdir out
        mkvma -o named.vma --config ../../x=f --config $'a\nb'=f
        "$VMAFS" info named.vma | grep -q '^file: *\.\.%2F\.\.%2Fx,'
        "$VMAFS" extract -C out named.vma
        [ "$(names_in out | tr '\n' ' ')" = "..%2F..%2Fx a%0Ab " ]
}

@test "what vmafs says of an archive has no control bytes that are in its names" {
        printf 'QFI\373\0\0\0\011' >$'foreign\e[31m.qcow2'
        head -c 2000 /dev/zero >>$'foreign\e[31m.qcow2'
        printf 'QFI\373\0\0\0\003' >$'damaged\e[31m.qcow2'
        head -c 2000 /dev/zero >>$'damaged\e[31m.qcow2'
        tar --format=gnu -cf vm.tar -- *.qcow2
        run -1 "$VMAFS" verify vm.tar
        [[ $output == *'foreign?[31m.qcow2 is '* && $output == *'damaged?[31m.qcow2'* ]]
        [[ $output != *$'\e'* ]]
        run -0 "$VMAFS" info vm.tar
        [[ $output == *'foreign?[31m.qcow2 is '* && $output != *$'\e'* ]]
}
