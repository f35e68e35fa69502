# SPDX-License-Identifier: GPL-2.0-or-later
# Damage in what compresses other formats than VMA: an error, never a wrong byte.
# shellcheck disable=SC2030,SC2031 # status is what run sets in the same test
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/cache
        # What does not repeat, and is not noise: a decoder notices little of what is changed in it.
        noise 3145728 | base64 -w 64 | head -c 3145728 >a.raw
}

# Compress FILE in members of 300,000 bytes: compress_parts FILE TOOL...
compress_parts() {
        split -b 300000 -a 3 -d "$1" part.
        for part in part.*; do
                "${@:2}" <"$part"
        done
        rm part.*
}

flip() {
        local byte

        byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Without an index that was kept: root's are in a folder that is the tests' own.
forget_indexes() {
        rm -rf cache
        [ "$(id -u)" -ne 0 ] || rm -rf /var/cache/vmafs
}

# Whether TOOL says and writes the same of A and B: decode_alike TOOL A B
decode_alike() {
        cmp -s <("$1" -qdc <"$2" 2>&1) <("$1" -qdc <"$3" 2>&1)
}

# Flip a bit at each of some places of ARCHIVE, which TOOL made, and extract it. A file that has its
# own name is that of FOLDER; of one that is partial, what is not a hole is. Counts in SERVED what
# else there was.
no_wrong_byte_of() {
        local archive=$1 folder=$2 tool=$3 size part at start len name file

        size=$(stat -c %s "$archive")
        cp "$archive" sound
        SERVED=0
        for part in 3 5 8 11 13; do
                at=$((size * part / 16))
                cp sound "$archive"
                flip "$archive" $at
                # A bit that no decoder looks at is no damage.
                while decode_alike "$tool" sound "$archive"; do
                        cp sound "$archive"
                        at=$((at + 1))
                        flip "$archive" $at
                done
                forget_indexes
                rm -rf out && mkdir out
                run "$VMAFS" extract -C out "$archive"
                [ "$status" -eq 1 ] || return 1
                while IFS= read -r name; do
                        file=$folder/${name%.partial}
                        [ "$name" != "${name%.partial}" ] || cmp "out/$name" "$file" || return 1
                        while read -r start len; do
                                cmp -n "$len" -i "$start" "out/$name" "$file" || return 1
                                SERVED=$((SERVED + len))
                        done < <(holes --nonzero "out/$name")
                done < <(names_in out)
                run "$VMAFS" verify "$archive"
                echo "$archive $at: $output" | head -n 3
                [ "$status" -eq 1 ] || return 1
        done
}

# The same of FILE with each tool, as one member, of which nothing is left, and as many.
check_format() {
        local file=$1 tool

        for tool in gzip zstd; do
                $tool -qc <"$file" >"$file.one"
                rm -rf right && mkdir right
                "$VMAFS" extract -C right "$file.one"
                no_wrong_byte_of "$file.one" right $tool
                [ "$SERVED" -eq 0 ]
                compress_parts "$file" $tool -qc >"$file.many"
                rm -rf right && mkdir right
                "$VMAFS" extract -C right "$file.many"
                no_wrong_byte_of "$file.many" right $tool
                echo "$file $tool: $SERVED served"
                [ "$SERVED" -gt 3000000 ]
        done
}

@test "a bit that is flipped in a compressed tar gives an error, never a wrong byte" {
        echo text >notes
        tar -cf t.tar a.raw notes
        check_format t.tar
}

@test "a bit that is flipped in a compressed OVA gives an error, never a wrong byte" {
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw a.vmdk
        echo "<Envelope/>" >a.ovf
        tar --format=ustar -cf t.ova a.ovf a.vmdk
        check_format t.ova
}

@test "a bit that is flipped in a compressed qcow2 gives an error, never a wrong byte" {
        qemu-img convert -f raw -O qcow2 a.raw a.qcow2
        check_format a.qcow2
}

@test "a bit that is flipped in a compressed QED gives an error, never a wrong byte" {
        qemu-img convert -f raw -O qed a.raw a.qed
        check_format a.qed
}

@test "a bit that is flipped in a compressed VMDK gives an error, never a wrong byte" {
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw a.vmdk
        check_format a.vmdk
}

@test "the files after what is lost of a compressed tar are there" {
        echo text >notes
        tar -cf t.tar a.raw notes
        compress_parts t.tar gzip -c >t.tar.gz
        flip t.tar.gz $(($(stat -c %s t.tar.gz) / 2))
        mkdir out
        "$VMAFS" extract -C out t.tar.gz notes
        cmp out/notes notes
}
