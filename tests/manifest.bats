# SPDX-License-Identifier: GPL-2.0-or-later
# The digests in an OVA's manifest, which verify holds its members against.
# shellcheck disable=SC2154 # what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        echo '<Envelope/>' >web.ovf
        # A disk to vmafs, since it is over 1 MiB, and a file.
        make_data web-disk1.img 3000000
        make_data notes.txt 5000
}

# Writes web.mf with the digests that openssl finds: digest ALGORITHM FILE...
digest() {
        openssl dgst "-$1" "${@:2}" >web.mf
}

pack() {
        tar --format=ustar -cf web.ova web.ovf web-disk1.img notes.txt web.mf
}

verify_says() {
        run "$VMAFS" verify web.ova
        echo "$output"
        [ "$status" -eq "$1" ]
}

# What script readers see of each line: its result and its name.
results() {
        "$VMAFS" verify --json web.ova | jq -r '.manifests[].files[] | "\(.line) \(.result) \(.name)"'
}

@test "a manifest that agrees, of each algorithm" {
        local algorithm

        for algorithm in sha1 sha256 sha384 sha512; do
                digest $algorithm web.ovf web-disk1.img notes.txt
                pack
                verify_says 0
                [[ $output == *"manifest web.mf: 3 of 3 files agree"*"web.ova: sound" ]]
                diff <(results) <(printf '%s\n' '1 agrees web.ovf' '2 agrees web-disk1.img' \
                        '3 agrees notes.txt')
        done
}

@test "the names in a manifest are those of its own folder" {
        digest sha256 web.ovf web-disk1.img notes.txt
        mkdir vm
        mv web.ovf web-disk1.img notes.txt web.mf vm
        tar --format=ustar -cf web.ova vm
        verify_says 0
        [[ $output == *"manifest vm%2Fweb.mf: 3 of 3 files agree"*"web.ova: sound" ]]
}

@test "a changed byte of a disk or a file is named, and the archive is not sound" {
        digest sha256 web.ovf web-disk1.img notes.txt
        printf X | dd of=web-disk1.img bs=1 seek=2999999 conv=notrunc status=none
        pack
        verify_says 1
        [[ $output == *"manifest web.mf, line 2: web-disk1.img DIFFERS from its digest"* ]]
        [[ $output == *"2 of 3 files agree"*"web.ova: DAMAGED" ]]
        printf X | dd of=notes.txt bs=1 conv=notrunc status=none
        pack
        verify_says 1
        [[ $output == *"line 2: web-disk1.img DIFFERS"*"line 3: notes.txt DIFFERS"* ]]
        [ "$("$VMAFS" verify --json web.ova | jq .sound)" = false ]
        diff <(results) <(printf '%s\n' '1 agrees web.ovf' '2 mismatch web-disk1.img' \
                '3 mismatch notes.txt')
}

@test "a member that is missing is named" {
        digest sha1 web.ovf web-disk1.img notes.txt
        sed -i s/web-disk1/web-disk2/ web.mf
        pack
        verify_says 1
        [[ $output == *"line 2: web-disk2.img is MISSING from the archive"* ]]
        diff <(results) <(printf '%s\n' '1 agrees web.ovf' '2 missing web-disk2.img' \
                '3 agrees notes.txt')
}

@test "the disk in a VMDK member is no member" {
        make_disk disk.raw $((4 * 1024 * 1024)) 0-2 16-31 100-1000
        qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw web.vmdk
        { openssl dgst -sha256 web.ovf web.vmdk && echo "SHA1(disk-web.raw)= $(printf %040d 0)"; } >web.mf
        tar --format=ustar -cf web.ova web.ovf web.mf web.vmdk
        verify_says 1
        diff <(results) <(printf '%s\n' '1 agrees web.ovf' '2 agrees web.vmdk' \
                '3 missing disk-web.raw')
}

@test "a sparse member, a compressed OVA, and one that is recorded" {
        make_disk web-disk1.img $((9 * 1024 * 1024)) 0-2 16-31 100-1000
        digest sha256 ./web.ovf ./web-disk1.img
        tar --format=posix --sparse -cf web.ova ./web.ovf ./web-disk1.img ./web.mf
        verify_says 0
        [[ $output == *"2 of 2 files agree"* ]]
        run "$VMAFS" verify --record --file=index web.ova
        [ "$status" -eq 0 ]
        [[ $output == *"2 of 2 files agree"*"recorded: now"* ]]
        digest sha256 web.ovf web-disk1.img notes.txt
        pack
        zstd -q --rm web.ova -o web.ova.zst
        mv web.ova.zst web.ova
        verify_says 0
        [[ $output == *"3 of 3 files agree"* ]]
        run "$VMAFS" verify --record --file=index2 web.ova
        [ "$status" -eq 0 ]
        [[ $output == *"3 of 3 files agree"* ]]
}

@test "an OVA that does not agree is not recorded" {
        digest sha256 web.ovf
        echo changed >web.ovf
        pack
        run "$VMAFS" verify --record --file=index web.ova
        [ "$status" -eq 1 ]
        [ ! -e index ]
}

@test "unknown algorithms, duplicates and nonsense are said to be that" {
        digest sha256 web.ovf notes.txt
        {
                echo "MD5(web-disk1.img)= d41d8cd98f00b204e9800998ecf8427e"
                openssl dgst -sha1 web.ovf
                echo 'nonsense'
                printf 'SHA1(../../etc/\033shadow)= %040d\n' 0
        } >>web.mf
        pack
        verify_says 1
        [[ $output == *"line 3: web-disk1.img is not checked"* ]]
        [[ $output == *"line 4: web.ovf is named a second time"* ]]
        [[ $output == *"line 5: the line is not understood"* ]]
        [[ $output == *"line 6: ..%2F..%2Fetc%2F%1Bshadow is MISSING"* ]]
        diff <(results) <(printf '%s\n' '1 agrees web.ovf' '2 agrees notes.txt' \
                '3 unknown-algorithm web-disk1.img' '4 duplicate web.ovf' '5 malformed null' \
                '6 missing ..%2F..%2Fetc%2F%1Bshadow')
        # What cannot be checked is no damage.
        sed -i 4,6d web.mf
        pack
        verify_says 0
        [[ $output == *"2 of 3 files agree"* ]]
}

@test "a manifest of any length is reported in bounds" {
        head -c 1000000 /dev/zero | tr '\0' x >web.mf
        pack
        verify_says 1
        [[ $output == *"line 1: the line is not understood"* ]]
        yes 'x' | head -n 500000 >web.mf
        pack
        verify_says 1
        [ "${#lines[@]}" -lt 8300 ]
        [[ $output == *"manifest web.mf: 491808 more lines are not looked at"* ]]
        # What is larger than a file can be here is not read at all.
        yes 'x' | head -n 1000000 >web.mf
        pack
        verify_says 1
        [[ $output == *"manifest web.mf: is too large to be a manifest"* ]]
}

@test "info names the manifest, and other tars' .mf files are files" {
        digest sha256 web.ovf web-disk1.img notes.txt
        pack
        run "$VMAFS" info web.ova
        [[ $output == *"manifest:     web.mf, of 3 files"* ]]
        [ "$("$VMAFS" info --json web.ova | jq -c .manifests)" = '[{"name":"web.mf","files":3}]' ]
        echo nonsense >web.mf
        tar --format=ustar -cf web.ova web-disk1.img web.mf
        verify_says 0
        [ "$("$VMAFS" info --json web.ova | jq -c .manifests)" = '[]' ]
}

@test "what is lost of a member cannot be checked" {
        digest sha256 web.ovf web-disk1.img
        tar --format=ustar -cf web.ova web.ovf web.mf web-disk1.img
        truncate -s 2000000 web.ova
        verify_says 1
        [[ $output == *"line 2: web-disk1.img cannot be checked: parts of it cannot be read"* ]]
}
