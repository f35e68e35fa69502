# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2016 # scripts for other shells
# Mounting as somebody who is not root, through fusermount3.
load helpers
bats_require_minimum_version 1.5.0

setup() {
        need_root
        cd "$BATS_TEST_TMPDIR" || return
        let_others_pass
        cp "$VMAFS" vmafs
        cp "$DATA/good/tiny.vma" a.vma
        chmod 755 vmafs
        chmod 644 a.vma
        install -d -o 65534 -g 65534 own own/mnt
        mkdir roots
}

# Runs a script as nobody, where everybody may open /dev/fuse, and then as root what is to be seen
# from outside: as_nobody SCRIPT [ROOT'S-SCRIPT]. The mount lives in a namespace of its own and is
# gone after it.
as_nobody() {
        unshare -m bash -euc '
                trap "umount -q own/mnt || umount -ql own/mnt || true" EXIT
                if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
                        mkdir dev
                        mount -t tmpfs -o mode=755,dev none dev
                        mknod -m 666 dev/fuse c 10 229
                        mount --bind dev/fuse /dev/fuse
                fi
                [ -z "${FUSE_CONF-}" ] || mount --bind "$FUSE_CONF" /etc/fuse.conf
                setpriv --reuid=65534 --regid=65534 --clear-groups \
                        bash -euc "umask 022; $1"
                eval "${2-}"' - "$@" 3>&-
}

@test "nobody mounts, reads and unmounts" {
        as_nobody '
                ./vmafs a.vma own/mnt
                [ "$(sha256sum <own/mnt/disk-drive-scsi0.raw | cut -c1-16)" = 6643d417e01a111d ]
                [ "$(sha256sum <own/mnt/qemu-server.conf | cut -c1-16)" = 29ca81c5d853bb97 ]
                [ "$(stat -c "%U %a" own/mnt/qemu-server.conf)" = "nobody 600" ]
                fusermount3 -u own/mnt
                ! mountpoint -q own/mnt'
}

@test "nobody's index that contradicts itself is marked, and made anew" {
        zstd -q a.vma -o a.zst
        chmod 644 a.zst
        "$VMAFS" index --file=own/i a.zst
        "$TOOLS/forge" own/i
        chown 65534:65534 own/i
        as_nobody '
                ./vmafs a.zst own/mnt -o index=own/i
                if cat own/mnt/disk-drive-scsi0.raw >/dev/null; then exit 1; fi
                fusermount3 -u own/mnt
                [ "$(stat -c %A own/i)" = -rw------T ]
                ./vmafs a.zst own/mnt -o index=own/i
                [ "$(sha256sum <own/mnt/disk-drive-scsi0.raw | cut -c1-16)" = 6643d417e01a111d ]
                for _ in {1..600}; do [ -k own/i ] || break; sleep 0.1; done
                [ "$(stat -c %A own/i)" = -rw------- ]
                fusermount3 -u own/mnt'
}

@test "nobody extracts into a folder of root's: one message, for all files" {
        printf 'memory: 64\n' >guest.conf
        make_data a.raw 102400
        mkvma -o several.vma --config guest.conf=guest.conf --config fw=guest.conf --device a=a.raw \
                --device b=a.raw
        chmod 644 several.vma
        run --separate-stderr as_nobody './vmafs extract -C roots several.vma'
        [ "$status" -eq 1 ]
        one_line_says "roots: cannot be written into: Permission denied"
        [ -z "$(names_in roots)" ]
}

@test "nobody extracts over what another user has left: that file is named, and the others are made" {
        printf 'memory: 64\n' >guest.conf
        make_data a.raw 102400
        mkvma -o several.vma --config guest.conf=guest.conf --config fw=guest.conf --device a=a.raw
        chmod 644 several.vma
        : >own/guest.conf.partial
        run --separate-stderr as_nobody './vmafs extract -C own several.vma'
        [ "$status" -eq 1 ]
        one_line_says "own/guest.conf.partial: cannot be created: Permission denied"
        cmp own/disk-a.raw a.raw
        cmp own/fw guest.conf
}

@test "SIGTERM ends nobody's mount" {
        as_nobody '
                ./vmafs a.vma own/mnt -f &
                for _ in {1..600}; do mountpoint -q own/mnt && break; sleep 0.1; done
                kill -TERM $!
                wait $!
                ! mountpoint -q own/mnt'
}

@test "nobody's mount is read-only, nosuid and nodev" {
        as_nobody '
                ./vmafs a.vma own/mnt -o rw,suid,dev
                grep " $PWD/own/mnt fuse.vmafs ro,nosuid,nodev" /proc/mounts
                fusermount3 -u own/mnt'
}

@test "root may not read nobody's mount without allow_other" {
        run as_nobody './vmafs a.vma own/mnt' 'cat own/mnt/qemu-server.conf'
        [ "$status" -ne 0 ]
        [[ $output == *"own/mnt/qemu-server.conf: Permission denied"* ]]
}

@test "allow_other without user_allow_other fails, and says what is missing" {
        : >fuse.conf
        FUSE_CONF=$PWD/fuse.conf run as_nobody './vmafs a.vma own/mnt -o allow_other'
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "vmafs: "*"/own/mnt: cannot be mounted on; allow_other needs user_allow_other in /etc/fuse.conf" ]]
}

@test "where allow_other is not what is missing, nothing is said of it" {
        echo user_allow_other >fuse.conf
        FUSE_CONF=$PWD/fuse.conf run as_nobody './vmafs a.vma roots -o allow_other'
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "vmafs: "*"/roots: cannot be mounted on" ]]
}

@test "with user_allow_other and allow_other, root reads nobody's mount" {
        echo user_allow_other >fuse.conf
        FUSE_CONF=$PWD/fuse.conf as_nobody './vmafs a.vma own/mnt -o allow_other' \
                '[ "$(sha256sum <own/mnt/qemu-server.conf | cut -c1-16)" = 29ca81c5d853bb97 ]'
}

@test "nobody cannot mount on root's directory" {
        run as_nobody './vmafs a.vma roots'
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "vmafs: "*"/roots: cannot be mounted on"* ]]
}

@test "nobody extracts and verifies without FUSE" {
        setpriv --reuid=65534 --regid=65534 --clear-groups ./vmafs verify a.vma
        setpriv --reuid=65534 --regid=65534 --clear-groups ./vmafs extract -C own a.vma
        [ "$(sha own/disk-drive-scsi0.raw)" = "$TINY_DISK" ]
}
