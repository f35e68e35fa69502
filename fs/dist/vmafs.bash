# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Completion of vmafs for bash.

# COMPREPLY becomes those of the words $2... that begin with what is typed, $1.
_vmafs_words() {
        local word

        COMPREPLY=()
        # Not compgen -W, which would expand what a name from an archive holds.
        for word in "${@:2}"; do
                [[ $word == "$1"* ]] && COMPREPLY+=("$word")
        done
        return 0
}

_vmafs_directories() {
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$1")
}

# Archives, by the names that they have as a rule, and directories on the way to one.
_vmafs_archives() {
        local name='\.(vma|vmdk|ova|xva|tar|qcow2?|qed|vdi|vhdx?|hd[ds]|img|raw|dd)(\.(zst|gz|lzo|xz|bz2|lz4))?$|\.(tgz|tzst)$' path

        compopt -o filenames 2>/dev/null
        COMPREPLY=()
        while IFS= read -r path; do
                [[ -d $path || ${path,,} =~ $name ]] && COMPREPLY+=("$path")
        done < <(compgen -f -- "$1")
        return 0
}

# The names in the archive $2: the disks, or with "all" the files too. Without jq there are none.
# $4 is vmafs as it was typed.
_vmafs_names() {
        local archive=${2//\\/} filter='.disks[].name' name names=() quoted=()

        [[ $3 == all ]] && filter='(.disks, .files)[].name'
        [[ $archive == \~/* ]] && archive=$HOME/${archive#??}
        COMPREPLY=()
        type -P jq >/dev/null || return 0
        mapfile -t names < <("$4" info --json -- "$archive" 2>/dev/null | jq -r "$filter" 2>/dev/null)
        for name in "${names[@]}"; do
                printf -v name %q "$name"
                quoted+=("$name")
        done
        _vmafs_words "$1" "${quoted[@]}"
}

# The last of a list of mount options; what stands before it is kept.
_vmafs_mount_options() {
        local before='' word=$1 option
        local options=(recover=eio recover=zero index= index=none cache= threads= window= backing=dir backing=any view=tree view=images endpoint= cafile= timeout= spool= keyfile= passfile= direct_io clone_fd sandbox=on sandbox=off nonempty wait partitions uid= gid= umask= allow_other)

        if [[ $word == *,* ]]; then
                before=${word%,*},
                word=${word##*,}
        fi
        _vmafs_words "$word" "${options[@]}"
        for option in "${!COMPREPLY[@]}"; do
                COMPREPLY[option]=$before${COMPREPLY[option]}
        done
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return 0
}

# The words of the line as typed. Bash has cut them at = and at :, which our options and names hold.
_vmafs_join() {
        local i word line=$COMP_LINE space

        words=() current=0
        for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
                word=${COMP_WORDS[i]}
                space=${line%%[![:space:]]*}
                line=${line#"$space"}
                if [[ -z $space && $i -gt 0 && ${#words[@]} -gt 0 ]]; then
                        words[-1]+=$word
                else
                        words+=("$word")
                fi
                line=${line#"$word"}
                [[ $i -eq $COMP_CWORD ]] && current=$((${#words[@]} - 1))
        done
        return 0
}

# What bash has cut off before the word that it completes must not be given twice.
_vmafs_trim() {
        local typed=$1 bash_word=${COMP_WORDS[COMP_CWORD]} cut i

        [[ $bash_word == = || $bash_word == : ]] && bash_word=''
        cut=${typed%"$bash_word"}
        [[ $cut == *[=:] ]] || return 0
        for i in "${!COMPREPLY[@]}"; do
                COMPREPLY[i]=${COMPREPLY[i]#"$cut"}
        done
}

_vmafs_options() {
        local limits=(--cache= --threads= --window= --backing=dir --backing=any --view=tree --view=images --endpoint= --cafile= --timeout= --spool=)

        case $2 in
        mount) _vmafs_words "$1" -f -d -s -o ;;
        info) _vmafs_words "$1" --json --partitions --keyfile= --passfile= "${limits[@]}" ;;
        verify) _vmafs_words "$1" --json --picture --record --file= --keyfile= --passfile= "${limits[@]}" ;;
        map) _vmafs_words "$1" --output=human --output=json --picture --changed-since= --keyfile= --passfile= "${limits[@]}" ;;
        extract) _vmafs_words "$1" -C -O --force --keyfile= --passfile= "${limits[@]}" ;;
        index) _vmafs_words "$1" --file= "${limits[@]}" ;;
        cache) _vmafs_words "$1" --json --missing --unused= --max-size= --dry-run ;;
        *) _vmafs_words "$1" --help --version -f -d -s -o ;;
        esac
}

_vmafs() {
        local words current cur prev verb='' first=1 given=() i

        COMPREPLY=()
        _vmafs_join
        cur=${words[current]} prev=${words[current - 1]}
        case ${words[1]} in
        mount | info | map | verify | extract | index | cache)
                [[ $current -gt 1 ]] && verb=${words[1]} first=2
                ;;
        esac

        # The words that are no options, before the one that is completed.
        for ((i = first; i < current; i++)); do
                case ${words[i]} in
                -o | -C) ((i++)) ;;
                -*) ;;
                *) given+=("${words[i]}") ;;
                esac
        done

        if [[ $prev == -o && ($verb == mount || -z $verb) ]]; then
                _vmafs_mount_options "$cur"
        elif [[ $prev == -C && $verb == extract ]]; then
                _vmafs_directories "$cur"
        elif [[ $cur == -* ]]; then
                _vmafs_options "$cur" "$verb"
        elif [[ $verb == cache ]]; then
                [[ ${#given[@]} -eq 0 ]] && _vmafs_words "$cur" prune
        elif [[ ${#given[@]} -eq 0 ]]; then
                _vmafs_archives "$cur"
                if [[ $current -eq 1 ]]; then
                        local paths=("${COMPREPLY[@]}")

                        _vmafs_words "$cur" mount info map verify extract index cache
                        COMPREPLY+=("${paths[@]}")
                fi
        else
                case $verb in
                mount | '') [[ ${#given[@]} -eq 1 ]] && _vmafs_directories "$cur" ;;
                map) [[ ${#given[@]} -eq 1 ]] && _vmafs_names "$cur" "${given[0]}" disks "${words[0]}" ;;
                extract) _vmafs_names "$cur" "${given[0]}" all "${words[0]}" ;;
                info | verify | index) _vmafs_archives "$cur" ;;
                esac
        fi
        _vmafs_trim "$cur"
}

complete -F _vmafs vmafs
