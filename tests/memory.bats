# SPDX-License-Identifier: GPL-2.0-or-later
#
# What small inputs take of memory at most: the cache, the map, the window of a frame, and 64 MiB.
# The peak is that of the resident set, which root in a container and a user can both ask for.
load helpers
bats_require_minimum_version 1.5.0

CACHE=64
SLACK=64
# The size of most disks here: whatever keeps all of one is over the bound, even with a window of
# 128 MiB.
DISK=192

setup_file() {
        cd "$BATS_FILE_TMPDIR" || return
        truncate -s ${DISK}M zeros.raw
        tr '\0' '\377' <zeros.raw >ones.raw
        # A period that is in every window.
        make_data piece $((384 * 1024))
        for ((i = 0; i < DISK * 8 / 3; i++)); do cat piece; done >repeated.raw
}

setup() {
        ! grep -qaE '__(asan|tsan)_init' "$VMAFS" || skip "a sanitizer has memory of its own"
        cd "$BATS_TEST_TMPDIR" || return
        mkdir out
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
        # The worst exit status that is right: 1 for what is damaged or has no index.
        WORST=0
}

# The file $BATS_FILE_TMPDIR/NAME.raw in a tar: tar_of NAME
tar_of() {
        tar -C "$BATS_FILE_TMPDIR" --format=ustar -c "$1.raw"
}

# Standard input, 2^N times: times N
times() {
        local i

        cat >once
        for ((i = 0; i < $1; i++)); do
                cat once once >twice
                mv twice once
        done
        cat once
}

# Something has been done, and took PEAK KiB, of BOUND MiB: within WHAT PEAK
within() {
        echo "$1: $2 KiB of $((BOUND * 1024))"
        [ "$2" -le $((BOUND * 1024)) ]
}

# The verb takes no more than BOUND MiB: measure VERB [ARGUMENT]...
measure() {
        local rc=0

        "$TOOLS/peak" peak "$VMAFS" "$@" >verb.out 2>&1 || rc=$?
        [ "$rc" -le "$WORST" ] || {
                echo "$1 ended with $rc: $(tail -n 3 verb.out)"
                return 1
        }
        within "$1" "$(cat peak)"
}

# The largest amount of memory that the mount's process had, in KiB.
daemon_peak() {
        sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$DAEMON/status"
}

# Reads the disks, of what is huge the two ends. What is lost cannot be read.
read_all() {
        local huge=$((1 << 30))c file

        {
                find "$MNT" -type f ! -size +$huge -exec cat {} +
                find "$MNT" -type f -size +$huge | while read -r file; do
                        head -c 1M "$file"
                        tail -c 1M "$file"
                done
        } >/dev/null 2>&1 || [ "$WORST" -gt 0 ]
}

# The mount takes no more than BOUND MiB while all of it is read, twice: with its first pass and
# then with the index that this has left.
measure_mount() {
        local turn

        for turn in first second; do
                start_vmafs "$1" -o "cache=${CACHE}M"
                read_all && wait_indexed && within "$turn mount" "$(daemon_peak)" || return 1
                umount "$MNT"
                wait_for 60 has_ended "$DAEMON"
        done
}

# Everything that can be done with ARCHIVE takes the cache, SLACK and MORE MiB (the map, the window)
# at most: stays_small ARCHIVE MORE
stays_small() {
        BOUND=$((CACHE + SLACK + $2))
        measure info "--cache=${CACHE}M" "$1" &&
                measure verify "--cache=${CACHE}M" --file=kept "$1" &&
                rm -f kept &&
                measure index "--cache=${CACHE}M" --file=kept "$1" &&
                measure extract "--cache=${CACHE}M" -C out "$1" || return 1
        rm -rf out/*
        measure_mount "$1"
}

@test "zstd: zeros" {
        tar_of zeros | zstd -q -3 -o a.tar.zst
        stays_small a.tar.zst 2
}

@test "zstd: a run of one byte, in which no boundary is ever settled" {
        tar_of ones | zstd -q -3 --single-thread -o a.tar.zst
        stays_small a.tar.zst 2
}

@test "zstd: a run of one byte, with a window of 128 MiB" {
        tar_of ones | zstd -q -3 --long=27 -o a.tar.zst
        stays_small a.tar.zst 128
}

@test "zstd: repeated data, in jobs" {
        tar_of repeated | zstd -q -1 --rsyncable -o a.tar.zst
        stays_small a.tar.zst 2
}

@test "zstd: repeated data, level 19" {
        tar_of repeated | zstd -q -19 --single-thread -o a.tar.zst
        stays_small a.tar.zst 8
}

@test "zstd: a VMA archive of a run of one byte" {
        mkvma -o a.vma --device "a=$BATS_FILE_TMPDIR/ones.raw"
        zstd -q --rm a.vma
        stays_small a.vma.zst 2
}

@test "zstd: a frame for each byte" {
        tar --format=ustar -c -C "$BATS_FILE_TMPDIR" piece | zstd -q >a.tar.zst
        printf '\0' | zstd -q --no-check | times 17 >>a.tar.zst
        stays_small a.tar.zst 2
}

@test "zstd: damaged frames, one after another" {
        make_disk a.raw 1048576 0-255
        mkvma -o a.vma --device a=a.raw
        head -c 64K a.vma | zstd -q >a.vma.zst
        # A block of the kind that there is not.
        printf '\x28\xb5\x2f\xfd\x20\x01\x0f\x00\x00x' >pair
        printf x | zstd -q --no-check >>pair
        times 10 <pair >>a.vma.zst
        tail -c +65537 a.vma | zstd -q >>a.vma.zst
        WORST=1
        stays_small a.vma.zst 2
}

@test "gzip: repeated data" {
        tar_of repeated | gzip -1 >a.tar.gz
        stays_small a.tar.gz 0
}

@test "gzip: a member for each byte" {
        tar --format=ustar -c -C "$BATS_FILE_TMPDIR" piece | gzip >a.tar.gz
        printf '\0' | gzip -n | times 17 >>a.tar.gz
        stays_small a.tar.gz 0
}

@test "lzop: a run of one byte" {
        tar_of ones | lzop >a.tar.lzo
        stays_small a.tar.lzo 0
}

@test "lzop: blocks of 64 MiB" {
        "$TOOLS/bomb" lzop a.tar.lzo
        stays_small a.tar.lzo 64
}

@test "tar: 4000 members" {
        local i

        mkdir members
        for ((i = 0; i < 4000; i++)); do echo $i >members/$i; done
        tar --format=ustar -cf a.tar -C members . -C "$BATS_FILE_TMPDIR" repeated.raw
        zstd -q --rm a.tar
        stays_small a.tar.zst 2
}

@test "tar: a sparse member of 8 TiB" {
        truncate -s 8T big.raw
        tar --format=gnu -S -cf a.tar big.raw
        stays_small a.tar 0
}

@test "VMA: 254 disks of 256 TiB, a few clusters far apart" {
        "$TOOLS/bomb" vma a.vma
        WORST=1
        # No cluster takes more than 16 bytes.
        stays_small a.vma 1
}

@test "qcow2: compressed clusters" {
        qemu-img convert -c -O qcow2 -o cluster_size=2M "$BATS_FILE_TMPDIR/repeated.raw" a.qcow2
        WORST=1
        stays_small a.qcow2 0
}

@test "qcow2: 128 TiB of one table" {
        "$TOOLS/bomb" qcow2 a.qcow2
        WORST=1
        stays_small a.qcow2 0
}

@test "VMDK: compressed grains" {
        qemu-img convert -O vmdk -o subformat=streamOptimized "$BATS_FILE_TMPDIR/repeated.raw" a.vmdk
        WORST=1
        stays_small a.vmdk 0
}

@test "VMDK: 1 PiB of one table" {
        "$TOOLS/bomb" vmdk a.vmdk
        WORST=1
        stays_small a.vmdk 0
}

@test "VMDK: a delta of 64 TiB, of one table" {
        "$TOOLS/bomb" sesparse a-delta.vmdk
        printf '%s\n' '# Disk DescriptorFile' CID=1 parentCID=ffffffff \
                "RW $((64 << 31)) SESPARSE \"a-delta.vmdk\"" >a.vmdk
        WORST=1
        stays_small a.vmdk 0
}
