#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The matrix of image formats: each kind of image that qemu-img writes, after a random history of
# writes, zeros, discards and resizes, holds what qemu-img finds in it, and where.
#
# One round runs here. With MATRIX_ROUNDS of them, as `make matrix` has it, each round has other
# histories, every size of cluster has its turn, each image is read through a mount as well, and a
# difference does not end it.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # what the helpers read and set

bats_require_minimum_version 1.5.0
load helpers
load qcow2

BACKING=()
ROUNDS=${MATRIX_ROUNDS:-1}

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        images=0 ranges=0 differ=0 spoiled=0
}

# A line is a kind of image:
#   options of qemu-img create, in which CLUSTER is the size of a cluster; "-": none
#   sizes of a cluster, FIRST-LAST, or the one that it has
#   sizes of the disk; "-": a few clusters, and an end inside of one
#   what its history has apart from plain writes: zeros, compress, grow, shrink, keep (no discards);
#     "converted": the history is a raw image's, of which it is made
#   what of the maps has to be equal: all of them, or none (QEMU says nothing of where a VHDX has
#     data); "placeless": not the offsets (its disk lies in another file); "zeros": not what is data
#     (QEMU calls holes of the file that, too)
kinds() {
        case $1 in
        raw)
                kind - 4096 512,7340544,41943040 zeros-grow-shrink all
                ;;
        vdi)
                kind - 1048576 512,7340544,41943040 keep all
                kind - 1048576 41943040 converted all
                kind static=on 1048576 512,7340544 keep zeros
                ;;
        vpc)
                # Without force_size they have the size of a geometry.
                kind subformat=dynamic 2097152 34816,7340544,41943040 keep all
                kind subformat=dynamic,force_size=on 2097152 34816,7340544,41943040 keep all
                kind subformat=dynamic,force_size=on 2097152 41943040 converted all
                kind subformat=fixed 2097152 34816,7340544 keep zeros
                kind subformat=fixed,force_size=on 2097152 34816,7340544 keep zeros
                ;;
        parallels)
                kind - 1048576 512,7340544,41943040 keep all
                kind cluster_size=CLUSTER 65536-1048576 7340544 keep all
                kind - 1048576 41943040 converted all
                ;;
        vhdx)
                kind block_size=1M 1048576 1048576,7340032,41943040 keep none
                kind block_size=1M,block_state_zero=off 1048576 7340032 keep none
                kind subformat=dynamic 8388608 1048576,41943040 keep none
                kind subformat=dynamic,log_size=4M 8388608 41943040 converted none
                kind block_size=32M 33554432 41943040 keep none
                kind block_size=256M 268435456 41943040 keep none
                kind subformat=fixed,block_size=1M 1048576 1048576,7340032 keep none
                ;;
        qcow)
                kind - 4096 512,2099712,41943040 keep all
                kind - 4096 2099712,41943040 keep-compress all
                kind - 4096 41943040 converted all
                ;;
        qed)
                # With larger ones, QEMU's own arithmetic overflows.
                kind cluster_size=CLUSTER,table_size=2 4096-4194304 - zeros-keep-grow all
                kind cluster_size=CLUSTER,table_size=4 4096-2097152 - zeros-keep-grow all
                kind cluster_size=CLUSTER,table_size=8 4096-2097152 - zeros-keep-grow all
                kind cluster_size=CLUSTER,table_size=16 4096-1048576 - zeros-keep-grow all
                ;;
        qcow2)
                kind compat=0.10,cluster_size=CLUSTER 512-2097152 - plain-grow all
                kind compat=0.10,cluster_size=CLUSTER 512-2097152 - compress all
                kind cluster_size=CLUSTER 512-2097152 - zeros-grow-shrink all
                kind lazy_refcounts=on,cluster_size=CLUSTER 512-2097152 - zeros all
                kind cluster_size=CLUSTER 512-2097152 - zeros-compress-grow all
                kind compression_type=zstd,cluster_size=CLUSTER 512-2097152 - zeros-compress all
                # QEMU looks for holes in the file, too.
                kind preallocation=metadata,cluster_size=CLUSTER 512-2097152 - zeros-compress none
                kind refcount_bits=1,cluster_size=CLUSTER 4096-65536 - zeros all
                kind refcount_bits=64,cluster_size=CLUSTER 4096-65536 - zeros-compress all
                ;;
        qcow2-sub)
                kind extended_l2=on,cluster_size=CLUSTER 16384-2097152 - zeros-grow-shrink all
                # Discarding compressed clusters makes QEMU 7.2 lose count of references.
                kind extended_l2=on,cluster_size=CLUSTER 16384-2097152 - compress-keep all
                kind extended_l2=on,compression_type=zstd,cluster_size=CLUSTER 16384-2097152 - \
                        compress-keep all
                ;;
        vmdk)
                kind subformat=monolithicSparse 65536 65536,7340544,41943040 keep all
                kind subformat=monolithicSparse,zeroed_grain=on 65536 7340544,41943040 zeros-keep all
                kind subformat=monolithicSparse,compat6=on 65536 7340544 keep all
                kind subformat=monolithicFlat 65536 65536,7340544 keep zeros-placeless
                kind subformat=twoGbMaxExtentSparse 65536 7340544,41943040 keep placeless
                kind subformat=twoGbMaxExtentFlat 65536 7340544 keep zeros-placeless
                kind subformat=streamOptimized 65536 65536,7340544,41943040 converted all
                ;;
        esac
}

# Cluster sizes from the first to the last of FIRST-LAST: each power of two where there are many
# rounds, and every third in one.
clusters_of() {
        local cluster

        for ((cluster = ${1%-*}; cluster <= ${1#*-}; cluster *= ROUNDS > 1 ? 2 : 8)); do
                echo "$cluster"
        done
}

# The images of one line of the table.
kind() {
        local cluster size sizes

        for cluster in $(clusters_of "$2"); do
                sizes=$3
                [ "$sizes" != - ] || sizes=$(disk_size "$cluster")
                for size in ${sizes//,/ }; do
                        one_image "${1//CLUSTER/$cluster}" "$cluster" "$size" "$4" "$5"
                done
        done
}

resize() {
        qemu-img resize -q -f "$FORMAT" "$@" >/dev/null
}

# A history of three parts, each at a size of its own: grow_old IMAGE SIZE CLUSTER KIND
grow_old() {
        local size=$2

        live "$1" "$size" "$3" "$4" 15 -f "$FORMAT"
        if [[ $4 == *grow* ]]; then
                size=$((size + $3 + 3584))
                resize "$1" "$size"
        fi
        live "$1" "$size" "$3" "$4" 15 -f "$FORMAT"
        if [[ $4 == *shrink* ]]; then
                size=$((size / 2 & ~511))
                resize --shrink "$1" "$size"
        fi
        live "$1" "$size" "$3" "$4" 15 -f "$FORMAT"
}

# make_image IMAGE OPTIONS CLUSTER SIZE KIND
make_image() {
        local options=()

        [ "$2" = - ] || options=(-o "$2")
        if [ "$5" = converted ]; then
                truncate -s "$4" image.history
                FORMAT=raw grow_old image.history "$4" "$3" plain
                qemu-img convert -f raw -O "$FORMAT" "${options[@]}" image.history "$1"
        else
                qemu-img create -q -f "$FORMAT" "${options[@]}" "$1" "$4"
                grow_old "$1" "$4" "$3" "$5"
        fi
}

# The ranges of the map on stdin, with what has to be equal of them: map_of WHAT
map_of() {
        local fields=start,length,depth,present,zero

        [[ $1 == *zeros* ]] || fields+=,data
        [[ $1 == *placeless* ]] || fields+=,offset
        # Without their offsets, some are one range.
        jq -c "[.[] | {$fields}] | reduce .[] as \$r ([];
                if length > 0 and .[-1].start + .[-1].length == \$r.start and \$r.offset == null and
                        (.[-1] | del(.start, .length)) == (\$r | del(.start, .length))
                then .[-1].length += \$r.length else . + [\$r] end) | .[]"
}

# equal_maps IMAGE WHAT
equal_maps() {
        [ "$2" != none ] || return 0
        qemu-img map -f "$FORMAT" --output=json "$1" | map_of "$2" >map.expected || return
        "$VMAFS" map --output=json "$1" disk-image.raw | map_of "$2" >map.found || return
        ranges=$((ranges + $(wc -l <map.found)))
        diff map.expected map.found
}

# Through a mount, by reads that are no blocks.
equal_mounted() {
        local status=0

        [ "$ROUNDS" -gt 1 ] || return 0
        mount_vmafs "$1"
        dd if="$MNT/disk-image.raw" bs=37777 status=none | cmp - out/expected || status=1
        unmount_all
        return $status
}

is_equal() {
        "$VMAFS" verify "$1" >said || return
        same_disk "$1" disk-image.raw -f "$FORMAT" || return
        equal_maps "$1" "$2" && equal_mounted "$1"
}

# Does QEMU itself find errors in what it has made? Where compressed clusters are discarded,
# QEMU 7.2 gives a cluster two uses now and then, in one of some hundred histories.
is_spoiled() {
        local status=0

        qemu-img check -q -f "$FORMAT" "$1" >said 2>&1 || status=$?
        [ "$status" -eq 2 ]
}

# one_image OPTIONS CLUSTER SIZE KIND MAP, each with a history of its own.
one_image() {
        local image=image.${FORMAT/vpc/vhd}

        rm -f image*
        images=$((images + 1))
        RANDOM=$(((images * 257 + round * 8191 + ${#FORMAT} * 31) % 32749))
        make_image "$image" "$1" "$2" "$3" "$4"
        ! is_equal "$image" "$5" || return 0
        if is_spoiled "$image"; then
                spoiled=$((spoiled + 1))
                return 0
        fi
        differ=$((differ + 1))
        echo "$FORMAT $1, cluster $2, disk $3, history $4, round $round: DIFFERS"
        [ "$ROUNDS" -gt 1 ]
}

# matrix FORMAT [KINDS]
matrix() {
        local round

        FORMAT=$1
        for ((round = 1; round <= ROUNDS; round++)); do
                kinds "${2:-$1}"
        done
        echo "# ${2:-$1}: $images images, $ranges ranges of maps, $differ differences," \
                "$spoiled spoiled by QEMU" >&3
        [ "$differ" -eq 0 ] && [ "$((spoiled * 50))" -le "$images" ]
}

@test "matrix of raw images" {
        matrix raw
}

@test "matrix of VDI" {
        matrix vdi
}

@test "matrix of VHD" {
        matrix vpc
}

@test "matrix of Parallels" {
        matrix parallels
}

@test "matrix of VHDX" {
        matrix vhdx
}

@test "matrix of qcow version 1" {
        matrix qcow
}

@test "matrix of QED" {
        matrix qed
}

@test "matrix of qcow2" {
        matrix qcow2
}

@test "matrix of qcow2 with subclusters" {
        matrix qcow2 qcow2-sub
}

@test "matrix of VMDK" {
        matrix vmdk
}
