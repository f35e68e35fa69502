# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Images with a history, and what qemu-img has to say of them.

# A number from 0 to $1 - 1, in RANDOM_NUMBER: of two RANDOMs, since one has 15 bits.
pick() {
        RANDOM_NUMBER=$((((RANDOM << 15) | RANDOM) % $1))
}

# The size of a disk that ends inside a cluster, and inside a 4 KiB block: disk_size CLUSTER-SIZE
disk_size() {
        echo $(($1 * 4 > 2097152 ? $1 * 4 + 2560 : 2097152 + 2560))
}

# Adds a random command of qemu-io to COMMANDS: add_command SIZE CLUSTER-SIZE KIND, where KIND says
# what is done apart from plain writes: "zeros", "compress", both or neither.
add_command() {
        local size=$1 cluster=$2 kind=$3 offset len word number

        pick $((size / 512))
        offset=$((RANDOM_NUMBER * 512))
        pick $((3 * cluster / 512 + 40))
        len=$(((RANDOM_NUMBER + 1) * 512))
        ((offset + len <= size)) || len=$((size - offset))
        number=$((RANDOM % 255 + 1))
        word=$((RANDOM % 8))
        if [[ $kind == *compress* ]] && ((word < 3)); then
                offset=$((offset / cluster * cluster))
                ((offset + cluster <= size)) || offset=0
                if ((word == 0)); then
                        COMMANDS+=(-c "write -q -c -s $NOISE $offset $cluster")
                else
                        COMMANDS+=(-c "write -q -c -P $number $offset $cluster")
                fi
        elif [[ $kind == *zeros* ]] && ((word == 3)); then
                COMMANDS+=(-c "write -q -z $offset $len")
        elif [[ $kind == *zeros* ]] && ((word == 4)); then
                COMMANDS+=(-c "write -q -z -u $offset $len")
        elif [[ $kind != *keep* ]] && ((word == 5)); then
                COMMANDS+=(-c "discard -q $offset $len")
        elif ((word == 6)); then
                COMMANDS+=(-c "write -q -s $NOISE $offset $len")
        else
                COMMANDS+=(-c "write -q -P $number $offset $len")
        fi
}

# Lives through N random commands: live IMAGE SIZE CLUSTER-SIZE KIND N [OPTION OF qemu-io...]
live() {
        local i

        NOISE=${NOISE:-$BATS_TEST_TMPDIR/noise}
        [ -e "$NOISE" ] || make_data "$NOISE" 65536 "$RANDOM"
        COMMANDS=()
        for ((i = 0; i < $5; i++)); do
                add_command "$2" "$3" "$4"
        done
        # What it says of a cluster that was written before is not of interest.
        qemu-io -d unmap "${@:6}" "${COMMANDS[@]}" "$1" >/dev/null 2>&1 || true
}

# What `qemu-img map` and `vmafs map` must agree in. Where an image was made with
# preallocation=metadata, qemu-img looks for holes in the file too.
comparable() {
        jq -c '.[] | [.start, .length, .depth, .present, .zero, .data, .offset]'
}

# Is disk NAME of IMAGE what qemu-img finds in it? same_disk IMAGE NAME [OPTION OF qemu-img...]
same_disk() {
        local image=$1 name=$2 out=$BATS_TEST_TMPDIR/out
        local options=("${@:3}")

        rm -rf "$out"
        mkdir "$out"
        qemu-img convert "${options[@]}" -O raw "$image" "$out/expected" || return 1
        "$VMAFS" extract "${BACKING[@]}" -C "$out" "$image" "$name" || return 1
        cmp "$out/expected" "$out/$name"
}

# Do the maps of IMAGE agree? same_map IMAGE NAME [OPTION OF qemu-img...]
same_map() {
        diff <(qemu-img map --output=json "${@:3}" "$1" | comparable) \
                <("$VMAFS" map "${BACKING[@]}" --output=json "$1" "$2" | comparable)
}

# The parts of a map that are data.
data_of_map() {
        jq -c '.[] | select(.data) | [.start, .length, .depth, .present, .zero, .offset]'
}

# Does a chain of backing files hold what qemu-img finds, and where? same_chain IMAGE NAME
same_chain() {
        same_disk "$1" "$2" || return 1
        # Which layer zeros are from that no layer holds, is told in more than one way.
        diff <(qemu-img map --output=json "$1" | data_of_map) \
                <("$VMAFS" map "${BACKING[@]}" --output=json "$1" "$2" | data_of_map)
}
