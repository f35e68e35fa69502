# SPDX-License-Identifier: GPL-2.0-or-later
# The indexes in the cache folder: listed, and removed when they can go.
load helpers

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        export XDG_CACHE_HOME=$PWD/xdg
        if [ "$(id -u)" -ne 0 ]; then
                CACHE=$XDG_CACHE_HOME/vmafs
        elif [ "$(findmnt -n -o SOURCE /var/cache)" = vmafs-e2e ]; then
                CACHE=/var/cache/vmafs
                rm -rf "$CACHE"
        else
                skip "needs a /var/cache of its own: run it by tests/run-e2e"
        fi
}

# Archives one.vma.zst, two.vma.zst …, of 64 KiB each, with indexes in the cache folder.
make_indexed() {
        local name

        for name in "$@"; do
                make_data "$name.raw" 65536
                echo "$name" | dd of="$name.raw" conv=notrunc status=none
                mkvma -o "$name.vma" --device a="$name.raw"
                zstd -q --rm "$name.vma"
                "$VMAFS" index "$name.vma.zst" >/dev/null
        done
}

@test "without a cache folder there is nothing to list or to prune" {
        run "$VMAFS" cache
        [ "$status" -eq 0 ]
        [ "$output" = "$CACHE: 0 indexes, 0 bytes" ]
        run "$VMAFS" cache prune --missing
        [ "$status" -eq 0 ]
        [ "$output" = "0 indexes removed, 0 bytes" ]
}

@test "cache lists the indexes with where their archives were last seen" {
        make_indexed one two
        run "$VMAFS" cache
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 3 ]
        grep -q " $PWD/one.vma.zst$" <<<"$output"
        grep -q " $PWD/two.vma.zst$" <<<"$output"
        [[ ${lines[2]} == "$CACHE: 2 indexes, "* ]]
        [ "$("$VMAFS" cache --json | jq -r '.indexes[] | [.archive, .missing] | @tsv' | sort)" = \
                "$(printf '%s\tfalse\n' "$PWD/one.vma.zst" "$PWD/two.vma.zst")" ]
}

@test "an index is known by the path at which its archive was used last" {
        make_indexed one
        mkdir elsewhere
        mv one.vma.zst elsewhere/
        run "$VMAFS" cache
        [[ ${lines[0]} == *"$PWD/one.vma.zst  MISSING" ]]
        mount_vmafs elsewhere/one.vma.zst
        umount "$MNT"
        run "$VMAFS" cache
        [[ ${lines[0]} == *"$PWD/elsewhere/one.vma.zst" ]]
}

@test "cache prune removes the indexes of archives that are gone, and no other" {
        make_indexed one two
        rm one.vma.zst
        run "$VMAFS" cache prune --missing --dry-run
        [[ ${lines[-1]} == "1 index would be removed, "* ]]
        [ "$(names_in "$CACHE" | grep -c vmafs$)" -eq 2 ]
        run "$VMAFS" cache prune --missing
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == *"$PWD/one.vma.zst  MISSING" ]]
        [[ ${lines[-1]} == "1 index removed, "* ]]
        [ "$(names_in "$CACHE" | wc -l)" -eq 2 ]
        "$VMAFS" cache | grep -q "two.vma.zst$"
}

@test "cache prune removes what was not used for so many days, and what is too much" {
        make_indexed one two three
        find "$CACHE" -type f -exec touch -d '40 days ago' {} +
        "$VMAFS" map two.vma.zst a >/dev/null
        run "$VMAFS" cache prune --unused=30
        [[ ${lines[-1]} == "2 indexes removed, "* ]]
        "$VMAFS" cache | grep -q "two.vma.zst$"
        run "$VMAFS" cache prune --max-size=1
        [[ ${lines[-1]} == "1 index removed, "* ]]
        [ -z "$(names_in "$CACHE")" ]
}

@test "cache prune keeps the index of a mount usable until that ends" {
        make_indexed one
        mount_vmafs one.vma.zst
        "$VMAFS" cache prune --max-size=1
        cmp one.raw "$MNT/disk-a.raw"
}

@test "cache prune leaves what is no index alone" {
        make_indexed one
        touch "$CACHE/README" "$CACHE/x.vmafs"
        "$VMAFS" cache prune --max-size=1 --missing --unused=0
        [ "$(names_in "$CACHE")" = "$(printf 'README\nx.vmafs')" ]
}

@test "cache prune without a limit, and limits that are none, are wrong usage" {
        local words

        for words in "prune" "prune --unused=x" "prune --max-size=0" "prune --missing x" "list" "--what"; do
                # shellcheck disable=SC2086 # words
                run "$VMAFS" cache $words
                [ "$status" -eq 2 ]
                [ "${#lines[@]}" -eq 1 ]
        done
}
