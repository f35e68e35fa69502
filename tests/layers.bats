# SPDX-License-Identifier: GPL-2.0-or-later
load helpers

setup() {
        mkdir -p "$BATS_TEST_TMPDIR/tree"/{archive/{source,cache,stream/zstd,vma,tar},index,fs,tests/tools}
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

@test "a format may include streams, caches and sources" {
        printf '#include "archive/%s"\n' stream/stream.h cache/blockcache.h source/source.h \
                >archive/vma/vma.c
        check
        [ "$status" -eq 0 ]
}

@test "a format, a stream and a source that include a format are found" {
        local name

        for name in archive/tar/tar.c archive/stream/zstd/zstd.c archive/source/source.h archive/format.c; do
                printf '\n#include "archive/vma/vma.h"\n' >"$name"
                check
                [ "$status" -eq 1 ]
                [[ $output == "$name:2:"* ]]
                rm "$name"
        done
}

@test "a cache that includes a stream or a source is found" {
        local name

        for name in stream source; do
                echo "#include \"archive/$name/$name.h\"" >archive/cache/blockcache.c
                check
                [ "$status" -eq 1 ]
                [[ $output == archive/cache/blockcache.c:1:* ]]
        done
}

@test "a file over 800 lines is found, one of 800 is not" {
        local name

        for name in index/map.c tests/test_map.c tests/mount.bats tests/tools/holes.c; do
                seq 800 >"$name"
                check
                [ "$status" -eq 0 ]
                seq 801 >"$name"
                check
                [ "$status" -eq 1 ]
                [[ $output == "$name: has 801 lines"* ]]
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

@test "modules that include each other in a circle are found, whatever its length" {
        local length i

        for length in 2 3 7; do
                for ((i = 0; i < length; i++)); do
                        echo "#include \"index/m$(((i + 1) % length)).h\"" >"index/m$i.c"
                        echo "#include \"index/m$i.h\"" >>"index/m$i.c"
                done
                check
                [ "$status" -eq 1 ]
                [[ ${lines[0]} == index/m?.h:*circle* ]]
                [ "${#lines[@]}" -eq 1 ]
                for ((i = 0; i < length; i++)); do
                        [[ $output == *"index/m$i"* ]]
                done
                # A line without a circle.
                sed -i 1d index/m1.c
                check
                [ "$status" -eq 0 ]
        done
}

@test "a circle that a header closes is found, beside another one" {
        echo '#include "fs/b.h"' >fs/a.h
        echo '#include "fs/a.h"' >fs/b.c
        echo '#include "archive/tar/d.h"' >archive/tar/c.c
        echo '#include "archive/tar/c.h"' >archive/tar/d.h
        check
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 2 ]
        [[ $output == *fs/a*fs/b* || $output == *fs/b*fs/a* ]]
        [[ $output == *archive/tar/c* && $output == *archive/tar/d* ]]
}

@test "a module and its internal header are one" {
        echo '#include "index/a_internal.h"' >index/a.c
        echo '#include "index/a.h"' >index/a_internal.h
        check
        [ "$status" -eq 0 ]
        echo '#include "index/a.h"' >index/b.h
        echo '#include "index/b.h"' >>index/a_internal.h
        check
        [ "$status" -eq 1 ]
        [[ $output == *index/a*index/b* || $output == *index/b*index/a* ]]
}

@test "a folder of more than 20 .c files is found, one of 20 is not" {
        local i

        for ((i = 0; i < 20; i++)); do
                touch "index/part$i.c" "index/part$i.h"
        done
        check
        [ "$status" -eq 0 ]
        touch index/one_more.c
        check
        [ "$status" -eq 1 ]
        [[ $output == "index: has 21 .c files"* ]]
}
