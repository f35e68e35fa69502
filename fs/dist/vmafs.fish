# SPDX-License-Identifier: GPL-2.0-or-later
#
# Completion of vmafs for fish.

# The verb that was typed, or "mount": vmafs ARCHIVE MOUNTPOINT is short for it.
function __vmafs_verb
    set -l words (commandline -opc)
    if set -q words[2]; and contains -- $words[2] mount info map verify extract index cache
        echo $words[2]
    else
        echo mount
    end
end

# Is the verb one of these?
function __vmafs_verb_in
    contains -- (__vmafs_verb) $argv
end

# The words that were given and are no options, without the verb and the values of -o and -C.
function __vmafs_given
    set -l words (commandline -opc)
    set -l skip 0
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -o -C
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end | begin
        if set -q words[2]; and test $words[2] = (__vmafs_verb)
            tail -n +2
        else
            cat
        end
    end
end

function __vmafs_given_count
    test (count (__vmafs_given)) -eq $argv[1]
end

# The names in the archive: its disks, or with "all" its files too. Without jq there are none.
function __vmafs_names
    set -l filter '.disks[].name'
    test "$argv[1]" = all; and set filter '(.disks, .files)[].name'
    type -q jq; or return
    vmafs info --json -- (__vmafs_given)[1] 2>/dev/null | jq -r $filter 2>/dev/null
end

function __vmafs_archives
    __fish_complete_suffix .vma .vma.zst .vma.gz .vma.lzo .vmdk .ova .xva .tar .qcow .qcow2 .qed .vdi .vhd .vhdx .hdd .hds .img .raw .dd .img.xz .img.zst .img.gz .img.bz2
end

complete -c vmafs -f
complete -c vmafs -n __fish_use_subcommand -a mount -d 'Mount an archive read-only'
complete -c vmafs -n __fish_use_subcommand -a info -d 'What is in the archive'
complete -c vmafs -n __fish_use_subcommand -a map -d 'Where a disk has data and holes'
complete -c vmafs -n __fish_use_subcommand -a verify -d 'Read everything, name what is damaged'
complete -c vmafs -n __fish_use_subcommand -a extract -d 'Restore without mounting'
complete -c vmafs -n __fish_use_subcommand -a index -d 'Scan now and keep the index'
complete -c vmafs -n __fish_use_subcommand -a cache -d 'List or prune the kept indexes'
complete -c vmafs -n __fish_use_subcommand -l help -d 'Print the usage'
complete -c vmafs -n __fish_use_subcommand -l version -d 'Print the version'

complete -c vmafs -n 'not __vmafs_verb_in cache; and __vmafs_given_count 0' -k -a '(__vmafs_archives)'
complete -c vmafs -n '__vmafs_verb_in info verify index; and not __vmafs_given_count 0' -k -a '(__vmafs_archives)'
complete -c vmafs -n '__vmafs_verb_in mount; and __vmafs_given_count 1' -a '(__fish_complete_directories)'
complete -c vmafs -n '__vmafs_verb_in map; and __vmafs_given_count 1' -a '(__vmafs_names disks)'
complete -c vmafs -n '__vmafs_verb_in extract; and not __vmafs_given_count 0' -a '(__vmafs_names all)'

complete -c vmafs -n '__vmafs_verb_in mount' -s f -d 'Stay in the foreground'
complete -c vmafs -n '__vmafs_verb_in mount' -s d -d 'Print every FUSE request'
complete -c vmafs -n '__vmafs_verb_in mount' -s s -d 'Answer with a single thread'
complete -c vmafs -n '__vmafs_verb_in mount' -s o -x -d 'Mount options' -a '(__fish_append , \
    recover=eio recover=zero index= index=none cache= threads= window= backing=dir backing=any \
    view=tree view=images endpoint= cafile= timeout= spool= keyfile= passfile= direct_io clone_fd sandbox=on sandbox=off nonempty wait partitions uid= gid= umask= allow_other)'

complete -c vmafs -n '__vmafs_verb_in info verify cache' -l json -d 'Print JSON'
complete -c vmafs -n '__vmafs_verb_in info' -l partitions -d 'Print the partition tables'
complete -c vmafs -n '__vmafs_verb_in map' -l output -x -a 'human json' -d 'Output format'
complete -c vmafs -n '__vmafs_verb_in map' -l changed-since -x -d 'Only what is not as in this snapshot'
complete -c vmafs -n '__vmafs_verb_in map verify' -l picture -d 'Draw the disks'
complete -c vmafs -n '__vmafs_verb_in verify' -l record -d 'Keep the SHA-256 of the disks'
complete -c vmafs -n '__vmafs_verb_in verify index' -l file -r -F -d 'Keep the index as this file'
complete -c vmafs -n '__vmafs_verb_in extract' -s C -x -a '(__fish_complete_directories)' -d 'Extract into this folder'
complete -c vmafs -n '__vmafs_verb_in extract' -s O -d 'Write one file to standard output'
complete -c vmafs -n '__vmafs_verb_in extract' -l force -d 'Replace files that exist'
complete -c vmafs -n '__vmafs_verb_in cache; and __vmafs_given_count 0' -a prune -d 'Remove indexes that can go'
complete -c vmafs -n '__vmafs_verb_in cache' -l missing -d 'Whose archives are gone'
complete -c vmafs -n '__vmafs_verb_in cache' -l unused -x -d 'Not used for so many days'
complete -c vmafs -n '__vmafs_verb_in cache' -l max-size -x -d 'Keep up to so much'
complete -c vmafs -n '__vmafs_verb_in cache' -l dry-run -d 'Only say what would be removed'
complete -c vmafs -n '__vmafs_verb_in info map verify extract' -l keyfile -r -d 'The key of an encrypted datastore'
complete -c vmafs -n '__vmafs_verb_in info map verify extract' -l passfile -r -d 'The file with its password'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l cache -x -d 'Memory for decoded data'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l threads -x -d 'Threads that decode'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l window -x -d 'Largest history of a compressed archive'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l backing -x -a 'dir any' -d 'Which backing files to open'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l endpoint -x -d 'The server of s3 archives'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l cafile -r -F -d 'Certificate authorities to trust'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l timeout -x -d 'When to give up a server'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l spool -x -a '(__fish_complete_directories)' -d 'Folder for what is fetched, and its size'
complete -c vmafs -n 'not __vmafs_verb_in mount cache' -l view -x -a 'tree images' -d 'As what a tar is shown'
