#compdef vmafs
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Completion of vmafs for zsh. Installed as _vmafs.

_vmafs_archives() {
        _files -g '*.(#i)(vma|vmdk|ova|xva|tar|qcow|qcow2|qed|vdi|vhd|vhdx|hdd|hds|img|raw|dd|tgz|tzst)(|.(zst|gz|lzo|xz|bz2|lz4))(-.)'
}

# The names in the archive $1: its disks, or with "all" as $2 its files too. Without jq there are none.
_vmafs_names() {
        local filter='.disks[].name'
        local -a names

        [[ $2 == all ]] && filter='(.disks, .files)[].name'
        (( $+commands[jq] )) || return 1
        names=("${(@f)$(vmafs info --json -- "${(Q)1}" 2>/dev/null | jq -r $filter 2>/dev/null)}")
        compadd -a names
}

_vmafs_mount_options() {
        _values -s , 'mount option' \
                'recover[what is lost: an I/O error, or zeros]:what:(eio zero)' \
                'index[where the index is kept]:path:(none)' \
                'cache[memory for decoded data]:size:' \
                'threads[threads that decode]:number:' \
                'window[largest history of a compressed archive]:size:' \
                'backing[which backing files to open]:which:(dir any)' \
                'endpoint[the server of s3 archives]:address:' \
                'cafile[certificate authorities to trust]:file:_files' \
                'timeout[when to give up a server]:seconds:' \
                'spool[folder for what is fetched, and its size]:folder and size:_files -/' \
                'view[as what a tar is shown]:which:(tree images)' \
                'keyfile[the key of an encrypted datastore]:file:_files' \
                'passfile[the file with the password of the key]:file:_files' \
                'direct_io[bypass the page cache]' \
                'partitions[show the partitions of each disk as files]' \
                'wait[return when the archive is indexed]' \
                'clone_fd[a descriptor of the FUSE device for each thread]' \
                'sandbox[keep no right that serving does not need]:on or off:(on off)' \
                'nonempty[mount over a directory that is not empty]' \
                'uid[owner]:number:' 'gid[group]:number:' 'umask[withheld permission bits]:octal:' \
                'allow_other[let other users use the mount]'
}

_vmafs() {
        local curcontext=$curcontext state line verb=mount
        local -a verbs limits store
        typeset -A opt_args

        verbs=(
                'mount:mount an archive read-only'
                'info:what is in the archive'
                'map:where a disk has data and holes'
                'verify:read everything, name what is damaged'
                'extract:restore without mounting'
                'index:scan now and keep the index'
                'cache:list or prune the kept indexes'
        )
        limits=(
                '--cache=[memory for decoded data]:size:'
                '--threads=[threads that decode]:number:'
                '--window=[largest history of a compressed archive]:size:'
                '--backing=[which backing files to open]:which:(dir any)'
                '--endpoint=[the server of s3 archives]:address:'
                '--cafile=[certificate authorities to trust]:file:_files'
                '--timeout=[when to give up a server]:seconds:'
                '--spool=[folder for what is fetched, and its size]:folder and size:_files -/'
                '--view=[as what a tar is shown]:which:(tree images)'
        )
        store=(
                '--keyfile=[the key of an encrypted datastore]:file:_files'
                '--passfile=[the file with its password]:file:_files'
        )
        if (( CURRENT == 2 )); then
                _describe -t verbs verb verbs
                _arguments '--help[print the usage]' '--version[print the version]' && return
        fi
        if [[ ${words[2]} == (mount|info|map|verify|extract|index|cache) ]]; then
                verb=${words[2]}
                shift words
                (( CURRENT-- ))
        fi
        case $verb in
        mount)
                _arguments -s '-f[stay in the foreground]' '-d[print every FUSE request]' \
                        '-s[answer with a single thread]' \
                        '*-o[mount options]:options:_vmafs_mount_options' \
                        '1:archive:_vmafs_archives' '2:mount point:_directories'
                ;;
        info)
                _arguments '--json[print JSON]' '--partitions[print the partition tables]' $store $limits \
                        '*:archive:_vmafs_archives'
                ;;
        map)
                _arguments '--output=[format]:format:(human json)' '--picture[draw the disk]' \
                        '--changed-since=[only what is not as in this snapshot]:snapshot:' $store $limits \
                        '1:archive:_vmafs_archives' '2:disk:{_vmafs_names $line[1] disks}'
                ;;
        verify)
                _arguments '--json[print JSON]' '--picture[draw the disks]' '--record[keep the SHA-256 of the disks]' \
                        '--file=[keep the index as this file]:file:_files' $store $limits \
                        '*:archive:_vmafs_archives'
                ;;
        extract)
                _arguments '-C[extract into this folder]:folder:_directories' \
                        '-O[write one file to standard output]' '--force[replace files that exist]' $store $limits \
                        '1:archive:_vmafs_archives' '*:file:{_vmafs_names $line[1] all}'
                ;;
        cache)
                _arguments '--json[print JSON]' '--missing[whose archives are gone]' \
                        '--unused=[not used for so many days]:days:' \
                        '--max-size=[keep up to so much]:size:' \
                        '--dry-run[only say what would be removed]' '1:what:(prune)'
                ;;
        index)
                _arguments '--file=[keep the index as this file]:file:_files' $limits \
                        '*:archive:_vmafs_archives'
                ;;
        esac
}

_vmafs "$@"
