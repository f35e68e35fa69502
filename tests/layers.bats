# SPDX-License-Identifier: GPL-2.0-or-later
load helpers

setup() {
        mkdir -p "$BATS_TEST_TMPDIR/tree"/{archive,index,fs,tests/tools}
        cd "$BATS_TEST_TMPDIR/tree" || return
}

check() {
        run "$ROOT/tests/check-layers" "$BATS_TEST_TMPDIR/tree"
}

@test "the tree's includes, sizes and names are in order" {
        run "$ROOT/tests/check-layers"
        echo "$output"
        [ "$status" -eq 0 ]
}

@test "includes that point down are in order" {
        echo '#include "archive/source.h"' | tee index/map.c >fs/ops.c
        echo '#include "index/map.h"' >>fs/ops.c
        check
        [ "$status" -eq 0 ]
}

@test "archive including index is found" {
        echo '#include "index/map.h"' >archive/vma.c
        check
        [ "$status" -eq 1 ]
        [[ $output == archive/vma.c:1:* ]]
}

@test "archive including fs by a relative path is found" {
        printf '\n # include "../fs/tree.h"\n' >archive/vma.h
        check
        [ "$status" -eq 1 ]
        [[ $output == archive/vma.h:2:* ]]
}

@test "index including fs is found" {
        echo '#include <fs/tree.h>' >index/map.c
        check
        [ "$status" -eq 1 ]
        [[ $output == index/map.c:1:* ]]
}

@test "a file over 600 lines is found, one of 600 is not" {
        local name

        for name in index/map.c tests/test_map.c tests/mount.bats tests/tools/holes.c; do
                seq 600 >"$name"
                check
                [ "$status" -eq 0 ]
                seq 601 >"$name"
                check
                [ "$status" -eq 1 ]
                [[ $output == "$name: has 601 lines"* ]]
                rm "$name"
        done
}

@test "files named util, misc or common are found" {
        local name

        for name in archive/util.c index/misc.h fs/common.c; do
                touch "$name"
                check
                [ "$status" -eq 1 ]
                [[ $output == "$name: "* ]]
                rm "$name"
        done
}
