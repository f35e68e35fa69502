# SPDX-License-Identifier: GPL-2.0-or-later
# From a command line, mount(8) or fstab to a mount: options, paths, mount points, exit statuses.
# shellcheck disable=SC2016,SC2154 # scripts for other shells; what run sets
load helpers
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        cp "$DATA/good/tiny.vma" a.vma
        mkdir mnt
}

# What `run` ran must be wrong usage or no archive: status 2, one line that says the words.
wrong_usage_says() {
        [ "$status" -eq 2 ] && one_line_says "$1" && is_gone mnt
}

shows_tiny() {
        [ "$(sha "$1/disk-drive-scsi0.raw")" = "$TINY_DISK" ] &&
                [ "$(sha "$1/qemu-server.conf")" = "$TINY_CONF" ]
}

# Runs a script in which mount(8) finds vmafs as if it were installed, and unmounts mnt after it.
# mount(8) drops PATH, and sh then looks into /usr/local/bin first.
when_installed() {
        mkdir bin
        cp "$VMAFS" bin/vmafs
        export -f shows_tiny sha mount_options
        export TINY_DISK TINY_CONF
        unshare -m bash -euc "trap 'umount -q mnt || true' EXIT
                mount --bind bin /usr/local/bin
                $1" 3>&-
}

mount_options() {
        findmnt -n -o OPTIONS "$1"
}

@test "--help and --version go to stdout, and nothing to stderr" {
        local option

        for option in --help -h --version -V; do
                run --separate-stderr "$VMAFS" $option
                [ "$status" -eq 0 ]
                [ -n "$output" ]
                [ -z "$stderr" ]
        done
        [[ $output == "vmafs "[0-9]* ]]
        run "$VMAFS" mount --help
        [ "$status" -eq 0 ]
        [[ $output == "usage: vmafs"* ]]
}

@test "no arguments, too few and too many are wrong usage" {
        local words

        for words in "" "a.vma" "mount" "mount a.vma" "a.vma mnt third" "info" "index" \
                "map a.vma" "map a.vma b c" "verify" "extract" "info --nonsense a.vma" \
                "map --output=xml a.vma disk-drive-scsi0.raw" "verify --json=x a.vma" \
                "verify --file=i a.vma a.vma" "index --file=i a.vma a.vma"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                echo "vmafs $words"
                wrong_usage_says "vmafs --help" || wrong_usage_says "human or json"
        done
}

@test "an unknown mount option is wrong usage, named" {
        local option

        for option in nonsense cache_forever=1 recover=maybe umask=01777 big_writes; do
                run --separate-stderr "$VMAFS" a.vma mnt -o "ro,$option"
                wrong_usage_says "${option%%=*}"
        done
        run --separate-stderr "$VMAFS" a.vma mnt --nonsense
        wrong_usage_says nonsense
}

@test "a mistyped verb is told as one, with the verb that is meant" {
        local words

        for words in "moutn a.vma mnt" "mont a.vma mnt" "inof a.vma" "verfy a.vma" "extrakt a.vma" \
                "idex a.vma" "mpa a.vma disk" "moutn a.vma mnt -o ro"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                echo "vmafs $words"
                wrong_usage_says "'${words%% *}' is no verb; did you mean "
        done
        run --separate-stderr "$VMAFS" moutn a.vma mnt
        one_line_says "did you mean mount?"
}

@test "a verb of another program gets a hint" {
        local pair

        for pair in "umount:fusermount3 -u MOUNTPOINT" "unmount:umount MOUNTPOINT" "list:vmafs info" \
                "ls:vmafs info" "check:vmafs verify" "restore:vmafs extract" "convert:qemu-img convert"; do
                run --separate-stderr "$VMAFS" "${pair%%:*}" a.vma
                echo "$pair"
                wrong_usage_says "'${pair%%:*}' is no verb: " && one_line_says "${pair#*:}"
        done
}

@test "an archive that is named much like a verb is an archive" {
        cp a.vma moutn
        cp a.vma list
        "$VMAFS" moutn mnt 3>&-
        shows_tiny mnt
        umount mnt
        "$VMAFS" list mnt 3>&-
        shows_tiny mnt
}

@test "what is like no verb is a file that is not there" {
        run --separate-stderr "$VMAFS" backup mnt
        wrong_usage_says "backup: cannot be opened: No such file or directory"
        run --separate-stderr "$VMAFS" moutn mnt -o rw,dev,suid
        wrong_usage_says "moutn: cannot be opened: No such file or directory"
        run --separate-stderr "$VMAFS" verify a.vma -o ro
        wrong_usage_says "verify takes no -o"
}

@test "an unknown option, one without its value and one with a value too many have their messages" {
        local words

        for words in "info --nonsense a.vma" "extract -x a.vma" "a.vma mnt -o nonsense" "a.vma mnt --x" \
                "cache --nonsense"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                echo "vmafs $words"
                wrong_usage_says "' is unknown; see vmafs --help"
        done
        for words in "info --cache" "extract -C" "index --file" "cache prune --unused" \
                "a.vma mnt -o recover" "a.vma mnt -o"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                echo "vmafs $words"
                wrong_usage_says "the option '${words##* -}' needs a value" ||
                        wrong_usage_says "the option '-${words##* -}' needs a value"
        done
        for words in "info --json=x a.vma" "a.vma mnt -o direct_io=1"; do
                # shellcheck disable=SC2086 # words
                run --separate-stderr "$VMAFS" $words
                echo "vmafs $words"
                wrong_usage_says "' takes no value"
        done
}

@test "-o rw is refused with the reason, but not from mount(8)" {
        run --separate-stderr "$VMAFS" a.vma mnt -o rw
        wrong_usage_says "-o rw: a mount is read-only"
        run --separate-stderr "$VMAFS" a.vma mnt -o noatime,rw -o umask=022
        wrong_usage_says "-o rw: a mount is read-only"
        "$VMAFS" a.vma mnt -o rw,nosuid,nodev 3>&-
        shows_tiny mnt
}

@test "mount -t fuse.vmafs with nosuid and nodev, or for users, mounts" {
        need_root
        when_installed 'mount -t fuse.vmafs -o nosuid,nodev "$PWD/a.vma" mnt
                shows_tiny mnt
                umount mnt
                mount -t fuse.vmafs -o rw,user "$PWD/a.vma" mnt
                shows_tiny mnt'
}

@test "no threads at all are refused, with what is meant without a number" {
        run --separate-stderr "$VMAFS" a.vma mnt -o threads=0
        wrong_usage_says "-o threads is a number from 1 to 1024; without it"
        run --separate-stderr "$VMAFS" verify --threads=0 a.vma
        wrong_usage_says "--threads is a number from 1 to 1024"
}

@test "mount options may stand before, between and after the paths" {
        "$VMAFS" -o ro a.vma -s mnt 3>&-
        shows_tiny mnt
        umount mnt
        "$VMAFS" mount a.vma mnt -oro,noatime 3>&-
        shows_tiny mnt
}

@test "the mount is read-only, nosuid and nodev whatever the options say" {
        "$VMAFS" a.vma mnt -o rw,suid,dev 3>&-
        [[ ,$(mount_options mnt), == *,ro,* ]]
        [[ ,$(mount_options mnt), == *,nosuid,* ]]
        [[ ,$(mount_options mnt), == *,nodev,* ]]
        [[ ,$(mount_options mnt), == *,default_permissions,* ]]
}

@test "the mount is shown with the archive's path as its source and fuse.vmafs as its type" {
        "$VMAFS" a.vma mnt 3>&-
        [ "$(findmnt -n -o SOURCE,FSTYPE mnt)" = "$PWD/a.vma fuse.vmafs" ]
}

@test "relative paths work, also after the daemon has left the directory" {
        mkdir sub
        (cd sub && "$VMAFS" ../a.vma ../mnt 3>&-)
        shows_tiny mnt
}

@test "archives and mount points with commas, spaces, backslashes and newlines" {
        local name

        for name in 'a,b' 'a b' 'a\b' 'a\,b' $'a\nb' "it's" 'ä"ö'; do
                cp a.vma "$name"
                mkdir "$name.mnt"
                "$VMAFS" "$name" "$name.mnt" 3>&-
                shows_tiny "$name.mnt"
        done
        [ "$(findmnt -n -o SOURCE "a,b.mnt")" = "$PWD/a,b" ]
        wait_for 60 test -r "a b.mnt/qemu-server.conf"
}

@test "an archive that is named like a verb is given as ./info" {
        cp a.vma info
        "$VMAFS" ./info mnt 3>&-
        shows_tiny mnt
}

@test "with -o, a verb's name in the first place is an archive, as mount(8) needs it" {
        cp a.vma info
        "$VMAFS" info mnt -o ro 3>&-
        shows_tiny mnt
}

@test "a path after -- may begin with a dash" {
        cp a.vma ./-a.vma
        "$VMAFS" -o ro -- -a.vma mnt 3>&-
        shows_tiny mnt
}

@test "-f stays in the foreground and ends with the mount" {
        start_vmafs a.vma
        shows_tiny "$MNT"
        [ "$(ps -o ppid= -p "$DAEMON" | tr -d ' ')" -eq $BASHPID ]
        umount "$MNT"
        wait "$DAEMON"
}

@test "-d prints requests, in the foreground" {
        start_vmafs a.vma -d
        shows_tiny "$MNT"
        umount "$MNT"
        wait "$DAEMON"
        grep -q 'READ\|unique:' "$LOG"
}

# The process that serves DIR: the only one of ours that has its path in its command line.
daemon_of() {
        local dir

        for dir in /proc/[0-9]*; do
                [ "$(readlink "$dir/exe" 2>/dev/null)" = "$(readlink -f "$VMAFS")" ] &&
                        grep -qzxF -- "$1" "$dir/cmdline" && echo "${dir#/proc/}"
        done
        return 0
}

@test "the daemon keeps neither the directory nor the terminal's descriptors" {
        local pid

        "$VMAFS" a.vma "$PWD/mnt" 3>&-
        pid=$(daemon_of "$PWD/mnt")
        [ "$(readlink "/proc/$pid/cwd")" = / ]
        [ "$(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | sort -u)" = /dev/null ]
        [ "$(ps -o sid= -p "$pid" | tr -d ' ')" -eq "$pid" ]
}

@test "a caller that reads the mount's output is not kept waiting by the daemon" {
        # Command substitution returns when every copy of the pipe is closed.
        [ -z "$(timeout 120 "$VMAFS" a.vma mnt 2>&1 3>&-)" ]
        shows_tiny mnt
}

@test "mount -t fuse.vmafs mounts" {
        need_root
        when_installed 'mount -t fuse.vmafs "$PWD/a.vma" mnt
                shows_tiny mnt
                [[ ,$(mount_options mnt), == *,ro,* ]]'
}

@test "mount(8) takes an archive with a comma in its name, and one named like a verb" {
        need_root
        cp a.vma 'a,b'
        cp a.vma info
        when_installed 'mount -t fuse.vmafs a,b mnt
                shows_tiny mnt
                umount mnt
                mount -t fuse.vmafs info mnt
                shows_tiny mnt'
}

# As mount(8) calls the helper of mount -t vmafs, wherever that is installed.
helper() {
        ln -sf "$VMAFS" mount.vmafs
        ./mount.vmafs "$PWD/a.vma" mnt "$@" 3>&-
}

@test "mount.vmafs takes what mount(8) passes to a helper" {
        helper -s -n -v -o rw,noatime,umask=022 -t vmafs
        shows_tiny mnt
        [ "$(stat -c %a mnt)" = 755 ]
        umount mnt
        helper -o ro
        shows_tiny mnt
}

@test "mount.vmafs -f only pretends, as mount -f does" {
        helper -f -o rw
        is_gone mnt
}

@test "mount.vmafs refuses another namespace, and a third name" {
        ln -s "$VMAFS" mount.vmafs
        run --separate-stderr ./mount.vmafs a.vma mnt -N 1 -o rw
        [ "$status" -eq 2 ] && one_line_says "-N"
        run --separate-stderr ./mount.vmafs a.vma mnt third -o rw
        [ "$status" -eq 2 ] && one_line_says "mount -t vmafs"
}

@test "mount(8)'s words and fstab's are taken" {
        need_root
        when_installed 'mount -t fuse.vmafs -o noatime,ro,nofail,x-systemd.automount \
                        -o noexec,_netdev,user,comment=x,umask=022 "$PWD/a.vma" mnt
                shows_tiny mnt
                [ "$(stat -c %a mnt)" = 755 ]
                [[ ,$(mount_options mnt), == *,noexec,* ]]'
}

@test "every word that mount(8) may pass on is taken" {
        "$VMAFS" a.vma mnt -o rw,dev,suid,noatime,relatime,norelatime,strictatime,lazytime,nodiratime 3>&-
        umount mnt
        "$VMAFS" a.vma mnt -o sync,async,dirsync,mand,nomand,silent,loud,iversion,auto,noauto 3>&-
        umount mnt
        "$VMAFS" a.vma mnt -o nosuid,nodev,exec,users,nouser,owner,group,defaults,x-a=b,X-b 3>&-
        shows_tiny mnt
}

@test "an fstab line mounts" {
        need_root
        cp a.vma 'with space.vma'
        printf '%s\\040%s %s fuse.vmafs ro,noauto,nofail,x-systemd.automount 0 0\n' \
                "$PWD/with" space.vma "$PWD/mnt" >fstab
        when_installed 'mount -T fstab "$PWD/mnt"
                shows_tiny mnt'
}

@test "mount(8) says why an archive cannot be mounted, and fails" {
        need_root
        run when_installed 'mount -t fuse.vmafs "$PWD/absent.vma" mnt'
        [ "$status" -ne 0 ]
        [[ $output == *"absent.vma: cannot be opened: No such file"* ]]
}

@test "a mount point that is missing, a file, or not a directory's child is wrong usage" {
        run --separate-stderr "$VMAFS" a.vma absent
        wrong_usage_says "absent: the mount point does not exist; make it with mkdir"
        run --separate-stderr "$VMAFS" a.vma a.vma
        wrong_usage_says "a.vma: cannot be mounted on: Not a directory"
        run --separate-stderr "$VMAFS" a.vma a.vma/below
        wrong_usage_says "a.vma/below: cannot be mounted on: Not a directory"
}

@test "a directory that is not empty is refused, but for nonempty" {
        touch mnt/x
        run --separate-stderr "$VMAFS" a.vma mnt
        wrong_usage_says "/mnt: is not empty; take an empty directory, or -o nonempty"
        "$VMAFS" a.vma mnt -o nonempty 3>&-
        shows_tiny mnt
}

@test "a directory on which something is mounted is refused" {
        "$VMAFS" a.vma mnt 3>&-
        run --separate-stderr "$VMAFS" a.vma mnt
        [ "$status" -eq 2 ]
        one_line_says "/mnt: something is mounted there already"
        shows_tiny mnt
}

@test "a stale mount is named as one, and goes with fusermount3 -u" {
        start_vmafs a.vma
        kill_for_good "$DAEMON"
        run ls "$MNT"
        [[ $output == *"Transport endpoint is not connected"* ]]
        run --separate-stderr "$VMAFS" a.vma "$MNT"
        [ "$status" -eq 2 ]
        one_line_says "is a stale mount; end it with fusermount3 -u"
        fusermount3 -u "$MNT"
        "$VMAFS" a.vma "$MNT" 3>&-
        shows_tiny "$MNT"
}

@test "no archive: the exit status is 2, and nothing is mounted" {
        run --separate-stderr "$VMAFS" absent.vma mnt
        wrong_usage_says "absent.vma: cannot be opened: No such file or directory"
}

@test "a damaged header: the exit status is 1, and nothing is mounted" {
        printf X | dd of=a.vma bs=1 seek=9 conv=notrunc status=none
        run --separate-stderr "$VMAFS" a.vma mnt
        [ "$status" -eq 1 ]
        one_line_says "a.vma: has a damaged VMA header: its MD5 sum is wrong, at byte 32"
        is_gone mnt
}

@test "without FUSE the command fails, says so last, and returns 1" {
        need_root
        run --separate-stderr unshare -m bash -c \
                'mount --bind /dev/null /dev/fuse && exec "$VMAFS" a.vma mnt'
        [ "$status" -eq 1 ]
        [[ ${stderr_lines[-1]} == "vmafs: "*"/mnt: cannot be mounted on"* ]]
        is_gone mnt
}
