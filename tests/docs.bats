# SPDX-License-Identifier: GPL-2.0-or-later
# What is written for people says what the program says, and works.
load helpers

PAGE=$ROOT/man/vmafs.1
COMPLETION=$ROOT/fs/dist/vmafs.bash

# ---- the manual page and --help ----

usage_lines() {
        "$VMAFS" --help | sed -n '/^$/q; s/^usage://; p'
}

one_line() {
        tr -s ' \n' ' ' | sed 's/^ //; s/ $//'
}

# The left column of the table of options in --help, one option a line.
help_table() {
        "$VMAFS" --help | sed -n 's/^  \(-.*[^ ]\)   *[^ ].*/\1/p' | sed 's/,\([a-z]\)/\n-o \1/g'
}

# The same of the page's list, as it is printed.
page_table() {
        sed -n '/^\.Sh OPTIONS/,/^\.Sh THE/ s/^\.It Fl //p' "$PAGE" |
                sed -E 's/(Cm|Ar) //g; s/ Ns //g; s/^/-/'
}

# Every option named anywhere: --long, -s
help_options() {
        "$VMAFS" --help | grep -oE -e '(^|[ [])--?[A-Za-z][a-z-]*' | tr -d ' [' | sort -u
}

page_options() {
        grep -oE -e '\bFl -?[A-Za-z][a-z-]*' "$PAGE" | sed 's/Fl /-/' | sort -u
}

# Every word of -o named anywhere in the page.
page_mount_words() {
        grep -oE 'Fl o Cm [a-z_]+' "$PAGE" | sed 's/.* //' | sort -u
}

help_mount_words() {
        help_table | sed -n 's/^-o \([a-z_]*\).*/\1/p' | sort -u
}

help_verbs() {
        usage_lines | sed -nE 's/^ *vmafs \[?([a-z]+)\]? .*/\1/p' | sort -u
}

page_verbs() {
        sed -n '/^\.Sh DESCRIPTION/,/^\.Sh OPTIONS/ s/^\.It Cm //p' "$PAGE" | sort
}

same() {
        diff --label "$1" --label "$2" -u <("$1") <("$2")
}

@test "the page's synopsis is the usage that --help prints" {
        local printed

        printed=$(mandoc -T ascii "$PAGE" | col -bx | sed -n '/^SYNOPSIS/,/^DESCRIPTION/ { /^ / p }' | one_line)
        [ -n "$printed" ]
        [ "$printed" = "$(usage_lines | one_line)" ]
}

@test "every option that --help explains is explained in the page" {
        local option

        [ "$(help_table | wc -l)" -ge 13 ]
        while IFS= read -r option; do
                page_table | grep -qxFe "$option" || {
                        echo "not in the page's list: $option"
                        return 1
                }
        done < <(help_table)
}

@test "every option that the page explains is explained in --help" {
        local option

        [ "$(page_table | wc -l)" -ge 15 ]
        while IFS= read -r option; do
                help_table | grep -qxFe "$option" || usage_lines | grep -qE -e " $option( |\$)" || {
                        echo "not in --help: $option"
                        return 1
                }
        done < <(page_table)
}

@test "the page and --help name the same options" {
        [ -n "$(help_options)" ]
        same help_options page_options
}

@test "the page and --help name the same mount options" {
        [ -n "$(help_mount_words)" ]
        same help_mount_words page_mount_words
}

@test "the page and --help name the same verbs" {
        [ "$(help_verbs | wc -l)" -ge 5 ]
        same help_verbs page_verbs
}

@test "mandoc finds nothing wrong with the page" {
        run mandoc -T lint -W warning "$PAGE"
        echo "$output"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
}

# ---- README.md ----

@test "README names the two commands to begin with" {
        grep -q '^ *make setup demo\b' "$ROOT/README.md"
        grep -q '^ *make setup-tests check\b' "$ROOT/README.md"
}

@test "every make target that a README names exists" {
        local targets target

        targets=$(grep -ohE '^ +(sudo )?make( [a-z-]+)+' "$ROOT/README.md" "$ROOT/tests/README.md" | sed 's/.*make//' | tr ' ' '\n' | sort -u)
        grep -qx setup <<<"$targets"
        for target in $targets; do
                run env -u MAKEFLAGS -u MAKELEVEL make -C "$ROOT" -n "$target"
                echo "$target: $status"
                [ "$status" -eq 0 ]
                # A phony target that has lost its rule.
                [[ $output != *"Nothing to be done for '$target'"* ]]
        done
}

@test "every folder that the developers' README names exists" {
        local folders folder

        folders=$(sed -n 's/^| .\([a-z.]*\/\). .*/\1/p' "$ROOT/tests/README.md")
        [ -n "$folders" ]
        for folder in $folders; do
                echo "$folder"
                [ -d "$ROOT/$folder" ]
        done
}

# ---- make demo ----

# Nothing is mounted and no directory left below TMPDIR.
nothing_left() {
        [ -z "$(mounts_below "$1")" ] && [ -z "$(ls -A "$1")" ]
}

run_demo() {
        mkdir "$BATS_TEST_TMPDIR/demo"
        TMPDIR=$BATS_TEST_TMPDIR/demo run "$ROOT/tests/demo" "$1" 3>&-
}

# A program in vmafs's place that runs the commands.
impostor() {
        printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/impostor"
        chmod +x "$BATS_TEST_TMPDIR/impostor"
}

@test "the demo shows the disk and leaves nothing behind" {
        run_demo "$VMAFS"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ $output == *disk-drive-scsi0.raw* ]]
        [[ $output == *"equals the disk that was backed up"* ]]
        nothing_left "$BATS_TEST_TMPDIR/demo"
}

@test "the demo fails when nothing is mounted" {
        impostor 'exit 0'
        run_demo "$BATS_TEST_TMPDIR/impostor"
        echo "$output"
        [ "$status" -ne 0 ]
        nothing_left "$BATS_TEST_TMPDIR/demo"
}

@test "the demo fails when the disk is another one, and unmounts" {
        noise 1M >"$BATS_TEST_TMPDIR/other.raw"
        mkvma -o "$BATS_TEST_TMPDIR/other.vma" --device "drive-scsi0=$BATS_TEST_TMPDIR/other.raw"
        impostor "exec '$VMAFS' '$BATS_TEST_TMPDIR/other.vma' \"\$2\""
        run_demo "$BATS_TEST_TMPDIR/impostor"
        echo "$output"
        [ "$status" -ne 0 ]
        [[ $output == *"expected SHA-256"* ]]
        nothing_left "$BATS_TEST_TMPDIR/demo"
}

# ---- completion ----

# What bash offers for the last of the words; it cuts at = as bash does.
complete_words() {
        VMAFS_DIR=$(dirname "$VMAFS") bash -c '
                PATH=$PATH:$VMAFS_DIR
                source "$1" || exit
                shift
                [ "$(complete -p vmafs)" = "complete -F _vmafs vmafs" ] || exit
                COMP_LINE=$1 COMP_POINT=${#1}
                mapfile -t COMP_WORDS < <(sed "s/=/\n=\n/g; s/ /\n/g" <<<"$1" | sed "/^\$/{\$!d}")
                COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
                _vmafs
                [ "${#COMPREPLY[@]}" -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"
        ' complete "$COMPLETION" "$1"
}

offered() {
        complete_words "$1" | sort
}

@test "completion completes a verb and an option" {
        cd "$BATS_TEST_TMPDIR"
        [ "$(offered 'vmafs ver')" = verify ]
        [ "$(offered 'vmafs verify --j')" = --json ]
        [ "$(offered 'vmafs -o reco')" = "$(printf 'recover=eio\nrecover=zero')" ]
        [ "$(offered 'vmafs -o recover=z')" = zero ]
        [ "$(offered 'vmafs -o recover=eio,dir')" = eio,direct_io ]
        [ "$(offered 'vmafs map --output=j')" = json ]
}

@test "completion knows what --help knows" {
        local verb option

        cd "$BATS_TEST_TMPDIR"
        diff <(help_verbs) <(offered 'vmafs ')
        diff <(help_mount_words) <(offered 'vmafs -o ' | sed 's/=.*//' | sort -u)
        diff <(help_options) <(for verb in '' $(help_verbs); do offered "vmafs ${verb:+$verb }-"; done |
                sed 's/=.*//' | sort -u)
}

# Every verb, option and mount option of --help that the file of a shell's completion $1 lacks.
# $2 is a pattern in which OPTION stands for a long option.
not_completed() {
        local word

        for word in $(help_verbs) $(help_mount_words); do
                grep -qw -- "$word" "$1" || echo "$word"
        done
        for word in $(help_options | grep '^--'); do
                grep -qE -- "${2/OPTION/${word#--}}" "$1" || echo "$word"
        done
}

@test "fish's completion knows what --help knows" {
        [ -z "$(not_completed "$ROOT/fs/dist/vmafs.fish" '-l OPTION( |$)')" ]
}

@test "zsh's completion knows what --help knows" {
        zsh -n "$ROOT/fs/dist/vmafs.zsh"
        [ -z "$(not_completed "$ROOT/fs/dist/vmafs.zsh" "'--OPTION[=[]")" ]
}

# What fish offers for the last of the words.
fish_offers() {
        # shellcheck disable=SC2016 # the inner shell expands them
        HOME=$BATS_TEST_TMPDIR PATH=$(dirname "$VMAFS"):$PATH fish --no-config -c '
                source $argv[1]; complete -C $argv[2]' "$ROOT/fs/dist/vmafs.fish" "$1" | cut -f 1 | sort
}

@test "fish completes verbs, archives, options and the names in an archive" {
        cd "$BATS_TEST_TMPDIR"
        cp "$DATA/good/tiny.vma" .
        touch x.iso
        [ "$(fish_offers 'vmafs ver')" = verify ]
        [ "$(fish_offers 'vmafs verify --j')" = --json ]
        [ "$(fish_offers 'vmafs map tiny.vma --out')" = --output ]
        [ "$(fish_offers 'vmafs info t')" = tiny.vma ]
        [ "$(fish_offers 'vmafs verify tiny.vma t')" = tiny.vma ]
        [ "$(fish_offers 'vmafs map tiny.vma d')" = disk-drive-scsi0.raw ]
        [ "$(fish_offers 'vmafs extract tiny.vma q')" = qemu-server.conf ]
        [ "$(fish_offers 'vmafs -o dir')" = direct_io ]
}

@test "completion offers archives and directories, nothing else" {
        cd "$BATS_TEST_TMPDIR"
        mkdir sub
        touch a.vma b.vma.zst c.txt
        [ "$(offered 'vmafs verify ')" = "$(printf 'a.vma\nb.vma.zst\nsub')" ]
        [ "$(offered 'vmafs a.vma ')" = sub ]
        rm a.vma b.vma.zst
        touch a.tar.tgz.txt qcow2 vmdk.c
        [ "$(offered 'vmafs verify ')" = sub ]
        [ "$(offered 'vmafs extract -C ')" = sub ]
}

@test "completion offers archives of every format, and what is compressed" {
        local names=(a.vma b.vma.lzo c.vmdk d.OVA e.tar f.tar.gz g.tgz h.tzst i.qcow2 j.qcow2.zst k.qed
                'l m.ova' m.img.xz n.dd.bz2 o.raw p.vma.lz4)

        cd "$BATS_TEST_TMPDIR"
        touch "${names[@]}" x.iso y.zst
        [ "$(offered 'vmafs verify ')" = "$(printf '%s\n' "${names[@]}")" ]
        [ "$(offered 'vmafs verify j')" = j.qcow2.zst ]
}

@test "completion offers the names in the archive" {
        cd "$BATS_TEST_TMPDIR"
        cp "$DATA/good/tiny.vma" .
        [ "$(offered 'vmafs map tiny.vma ')" = disk-drive-scsi0.raw ]
        [ "$(offered 'vmafs extract -C . tiny.vma ')" = "$(printf 'disk-drive-scsi0.raw\nqemu-server.conf')" ]
        [ "$(offered 'vmafs extract tiny.vma q')" = qemu-server.conf ]
        [ "$(offered 'vmafs info tiny.vma ')" = tiny.vma ]
}

@test "a name from an archive is quoted, never run" {
        cd "$BATS_TEST_TMPDIR"
        # shellcheck disable=SC2016 # it is a name
        mkvma -o evil.vma --config 'x $(touch run)'="$DATA/good/tiny.vma.zst"
        # shellcheck disable=SC2016
        [ "$(offered 'vmafs extract evil.vma x')" = 'x\ \$\(touch\ run\)' ]
        [ ! -e run ]
}

@test "completion without jq offers no names, and complains of nothing" {
        local program

        cd "$BATS_TEST_TMPDIR"
        mkdir bin
        for program in bash sed sort dirname cat; do
                ln -s "$(command -v "$program")" bin/
        done
        cp "$DATA/good/tiny.vma" .
        PATH=$BATS_TEST_TMPDIR/bin run complete_words 'vmafs map tiny.vma '
        [ "$status" -eq 0 ]
        [ -z "$output" ]
}
