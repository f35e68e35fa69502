# SPDX-License-Identifier: GPL-2.0-or-later
# Archives that are damaged at random, through the program itself: mounted and read, verified,
# extracted. Thousands more are read by tests/tools/damager alone.
load helpers

# no_wrong_byte FORMATS CODECS: two files of each pair.
no_wrong_byte() {
        run "$TOOLS/damager" --program "$VMAFS" --count 2 --format "$1" --codec "$2"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ ${lines[-1]} =~ ^[1-9][0-9]*' files, 0 with what must not be'$ ]]
}

@test "no wrong byte of damaged VMA archives, mounted and extracted" {
        no_wrong_byte vma,vma-live none,gz,zst,lzo
}

@test "no wrong byte of what is compressed with xz, bzip2 or lz4, mounted and extracted" {
        no_wrong_byte vma-live,tar-raw xz,bz2,lz4-blocks
        no_wrong_byte qcow2 xz-one,lz4
}

@test "no wrong byte of damaged tar archives, mounted and extracted" {
        no_wrong_byte tar-raw,tar-qcow2,ova,ova-gzip,ova-chunks,xva none,gz,zst
}

@test "no wrong byte of damaged images, mounted and extracted" {
        no_wrong_byte vmdk-stream,vmdk-sparse,vmdk-split,vmdk-flat,qcow2,qcow2-snapshot,qed none,zst
}

@test "no wrong byte of damaged images of more kinds, mounted and extracted" {
        no_wrong_byte qcow,qcow-deflate,vdi,vhd,vhd-fixed,vhdx,parallels,vmdk-cowd,vmdk-sesparse none
        no_wrong_byte qcow,vdi,vhdx,parallels zst
}
