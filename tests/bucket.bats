# SPDX-License-Identifier: GPL-2.0-or-later
# A folder of archives in an S3 bucket: what a mount shows of it, and what becomes of a server that
# lists it wrongly. The server is tests/tools/faultserver.c; it lists three names a page.
# shellcheck disable=SC2030,SC2031,SC2154 # a test is a process; what run sets
load helpers
load server
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        mkdir -p files/dump/sub/deep
        make_ragged_disk a.raw
        # Another one in each test, so that no other test's index is its.
        mkvma -o files/dump/a.vma --device a=a.raw --order=shuffle --ctime=$((12345 + BATS_TEST_NUMBER))
        zstd -q files/dump/a.vma -o files/dump/b.vma.zst
        cp files/dump/a.vma 'files/dump/sub/deep/c d+%.vma'
        echo finished >files/dump/a.log
        echo other >files/other.log
        be_nobody_else
        as_somebody
}

teardown() {
        unmount_all
        end_servers
}

serve_bucket() {
        serve "$PWD" --s3 AKIDEXAMPLE "$AWS_SECRET_ACCESS_KEY" eu-1
        export AWS_ENDPOINT_URL=$URL
}

# The mount of FOLDER fails with STATUS and a line that has TEXT: refused STATUS FOLDER TEXT [OPTION ...]
refused() {
        mkdir -p none
        run -"$1" --separate-stderr "$VMAFS" "$2" none "${@:4}"
        one_line_says "$3"
}

@test "a folder in a bucket is mounted as one on disk" {
        serve_bucket
        start_vmafs s3://ok/dump/
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
        [ "$(names_in "$MNT/sub/deep")" = 'c d+%.vma' ]
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        cmp a.raw "$MNT/b.vma.zst/disk-a.raw"
        cmp a.raw "$MNT/sub/deep/c d+%.vma/disk-a.raw"
        cmp files/dump/a.log "$MNT/a.log"
        [ "$(stat -c '%s %Y' "$MNT/a.log")" = "$(stat -c '%s %Y' files/dump/a.log)" ]
        [ "$(findmnt -no SOURCE "$MNT")" = s3://ok/dump/ ]
        [ "$(getfattr --only-values -n user.vmafs.format "$MNT/b.vma.zst")" = vma ]
        [ ! -s "$LOG" ]
}

# Bytes of archives that the server has sent.
sent_of_archives() {
        awk '$1 ~ /[.]vma/ { n += $4 } END { print n + 0 }' log
}

@test "with a spool nothing of a folder in a bucket is fetched twice" {
        local sent

        serve_bucket
        start_vmafs s3://ok/dump/ -o "spool=$PWD/spool,64M"
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        cmp a.raw "$MNT/b.vma.zst/disk-a.raw"
        cmp files/dump/a.log "$MNT/a.log"
        umount "$MNT"
        wait "$DAEMON"
        [ -n "$(ls spool)" ]
        sent=$(sent_of_archives)
        start_vmafs s3://ok/dump/ -o "spool=$PWD/spool,64M"
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        cmp a.raw "$MNT/b.vma.zst/disk-a.raw"
        "$VMAFS" extract --spool="$PWD/spool,64M" -O s3://ok/dump/ a.vma/a | cmp - a.raw
        "$VMAFS" verify --spool="$PWD/spool,64M" s3://ok/dump/
        # To learn its version takes the beginning of each, each time; the one in sub/ is a new one.
        [ $(($(sent_of_archives) - sent)) -lt $(($(stat -c %s files/dump/a.vma) + 8 * 65536)) ]
        [ "$(du -s --apparent-size --block-size=1 spool | cut -f1)" -le $(((64 << 20) + 8192)) ]
        # What replaces one is fetched.
        tr '\0-\377' '\1-\377\0' <a.raw >b.raw
        mkvma -o files/dump/a.vma --device a=b.raw --ctime=1
        "$VMAFS" extract --spool="$PWD/spool,64M" -O s3://ok/dump/ a.vma/a | cmp - b.raw
}

@test "a spool for a folder in a bucket is refused as for an archive, if it is not ours alone" {
        serve_bucket
        mkdir -m 777 open
        refused 2 s3://ok/dump/ "its spool $PWD/open must belong to root" -o "spool=$PWD/open,64M"
}

@test "a folder in a bucket is found without the slash, and an object is still one" {
        local lists

        cp files/dump/a.vma files/dump/sub/backup1
        serve_bucket
        "$VMAFS" info s3://ok/dump | grep -q 'a[.]vma'
        "$VMAFS" extract -O s3://ok/dump a.vma/disk-a.raw | cmp - a.raw
        "$VMAFS" extract -O s3://ok/dump/sub/backup1 disk-a.raw | cmp - a.raw
        "$VMAFS" verify s3://lists-403/dump/sub/backup1
        start_vmafs s3://ok/dump
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        cmp a.raw "$MNT/sub/deep/c d+%.vma/disk-a.raw"
        start_vmafs s3://ok/dump/sub/backup1
        cmp a.raw "$MNT/disk-a.raw"
        [ "$(findmnt -no SOURCE "$MNT")" = s3://ok/dump/sub/backup1 ]
        # A name like an archive's costs no list.
        lists=$(requests '?')
        "$VMAFS" info s3://ok/dump/a.vma >/dev/null
        [ "$(requests '?')" -eq "$lists" ]
        run -2 --separate-stderr "$VMAFS" info s3://ok/dump/none
        one_line_says 's3://ok/dump/none: is not on the server (404 NoSuchKey)'
        refused 2 s3://ok/dump/none 'is not on the server (404 NoSuchKey)'
        refused 1 s3://lists-503/dump/none 'cannot give it now (503 Told)' -o timeout=1
}

@test "all of a bucket is a folder, too" {
        local url

        serve_bucket
        for url in s3://ok s3://ok/; do
                start_vmafs "$url"
                [ "$(names_in "$MNT" | tr '\n' ' ')" = "dump other.log " ]
                cmp a.raw "$MNT/dump/a.vma/disk-a.raw"
        done
}

@test "what appears in a bucket, goes or is replaced does so in the mount, and never as a mixture" {
        serve_bucket
        start_vmafs s3://ok/dump/
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        exec {open}<"$MNT/b.vma.zst/disk-a.raw"
        tr '\0-\377' '\1-\377\0' <a.raw >b.raw
        mkvma -o files/new --device a=b.raw --ctime=1
        cp files/new files/dump/new.vma
        zstd -qf files/new -o files/dump/b.vma.zst
        rm files/dump/a.vma
        # Whoever has it open sees no mixture, also before it is listed again.
        dd bs=4K skip=1000 count=1 status=none <&"$open" >block 2>error ||
                grep -q 'Stale file handle\|Input/output error' error
        [ ! -s block ] || cmp block <(dd if=a.raw bs=4K skip=1000 count=1 status=none)
        exec {open}<&-
        wait_for 60 test -e "$MNT/new.vma"
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log b.vma.zst new.vma sub " ]
        cmp b.raw "$MNT/new.vma/disk-a.raw"
        cmp b.raw "$MNT/b.vma.zst/disk-a.raw"
}

@test "a bucket is not listed for each name that is looked up" {
        local lists

        serve_bucket
        start_vmafs s3://ok/dump/
        ls -l "$MNT" >/dev/null
        lists=$(requests '?')
        for _ in {1..50}; do
                stat "$MNT/a.vma" "$MNT/a.log" >/dev/null
                run ! stat "$MNT/none"
        done
        # Two pages each time, and never as often as names were looked up, however slow that was.
        [ "$(requests '?')" -le $((lists + 60)) ]
}

@test "an index beside an object in a bucket is used" {
        "$VMAFS" index --file files/dump/b.vma.zst.vmafs files/dump/b.vma.zst
        serve_bucket
        start_vmafs s3://ok/dump/
        cmp a.raw "$MNT/b.vma.zst/disk-a.raw"
        [ "$(getfattr --only-values -n user.vmafs.index "$MNT/b.vma.zst")" = complete ]
        grep -q '^/ok/dump/b.vma.zst.vmafs .* 206 ' log
        [ ! -s "$LOG" ]
}

@test "names that no folder can have are left out, and the others are made safe" {
        serve_bucket
        start_vmafs s3://list-odd/dump/sub/
        [ "$(names_in "$MNT" | cut -c 1-16 | tr '\n' ' ')" = \
                "%FF&< 0000000000000000 a%0Ab deep twice.vma twice.vma~2 " ]
        [ "$(names_in "$MNT" | wc -L)" -eq 255 ]
}

@test "a list that is wrong is refused, and ends" {
        local text='is not understood at byte'

        serve_bucket
        refused 1 s3://list-other/dump/ 'lists what was not asked for'
        refused 1 s3://list-deep/dump/ 'lists what was not asked for'
        refused 1 s3://list-loop/dump/ 'never ends'
        refused 1 s3://list-empty/dump/ 'never ends'
        refused 1 s3://list-huge/dump/ 'sends more than 8388608 bytes of it'
        refused 1 s3://list-cut/dump/ "$text"
        refused 1 s3://list-type/dump/ "$text"
        refused 1 s3://503/dump/ 'cannot give it now (503 Told)' -o timeout=1
        refused 2 s3://404/dump/ 'is not on the server (404 Told)'
        refused 2 s3://ok/none/ 'no object of which the name begins'
        AWS_SECRET_ACCESS_KEY=wrong refused 2 s3://ok/dump/ 'refuses to give it (403 SignatureDoesNotMatch)'
}

# Has the folder been listed once more, in vain?
listing_fails() {
        names_in "$MNT" >/dev/null
        grep -q 'the connection to the server fails' "$LOG"
}

@test "while a bucket cannot be listed, what was there is shown, and ls does not hang" {
        serve_bucket
        start_vmafs s3://ok/dump/ -o timeout=3
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        echo drop >fault
        wait_for 60 listing_fails
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
        run ! ls "$MNT/sub"
        run ! cat "$MNT/a.log"
        rm fault
        wait_for 60 cmp files/dump/a.log "$MNT/a.log"
        [ "$(names_in "$MNT/sub")" = deep ]
}

# Has a list been asked for that the server does not give?
list_hangs() {
        ls "$MNT" >/dev/null
        [ "$(requests '?.* 0 0 ')" -ge 1 ]
}

@test "a server that does not list a folder holds up nobody who knows what is in it" {
        serve_bucket
        start_vmafs s3://ok/dump/ -o timeout=600
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        echo lists-hang >fault
        wait_for 60 list_hangs
        # The server is waited for all the time, which would take ten minutes.
        run -1 timeout 120 stat "$MNT/none"
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
        timeout 120 cmp a.raw "$MNT/b.vma.zst/disk-a.raw"
        run ! grep -q 'cannot be listed' "$LOG"
        kill "$DAEMON"
        wait_for 120 has_ended "$DAEMON"
        wait "$DAEMON"
}

@test "a list that a server is slow to give is taken in once it is there" {
        serve_bucket
        start_vmafs s3://ok/dump/
        ls "$MNT" >/dev/null
        cp files/dump/a.log files/dump/new.log
        rm files/dump/a.log
        echo lists-slow >fault
        wait_for 60 test -e "$MNT/new.log"
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.vma b.vma.zst new.log sub " ]
}

# Does process $1 wait for an answer of the mount, or for another one that does?
waits_for_fuse() {
        grep -q '^\(fuse\|request_wait\|__fuse\)' "/proc/$1/wchan" ||
                [ "$(cut -d ' ' -f 3 "/proc/$1/stat")" = D ]
}

@test "whoever waits for a server's list of a folder can be killed" {
        local pid waiting=()

        serve_bucket
        start_vmafs s3://ok/dump/ -o timeout=600
        ls "$MNT" >/dev/null
        echo lists-hang >fault
        # One after another, so that each waits while others of the same folder do.
        for name in one two three; do
                stat "$MNT/sub/$name" 3>&- 2>/dev/null &
                waiting+=($!)
                wait_for 120 waits_for_fuse $!
        done
        ls "$MNT/sub" 3>&- &
        waiting+=($!)
        cmp "$MNT/a.log" files/dump/a.log
        for pid in "${waiting[2]}" "${waiting[3]}" "${waiting[1]}" "${waiting[0]}"; do
                kill "$pid"
                wait_for 120 has_ended "$pid" # long before the server is given up
        done
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
}

# Of the processes $@, how many wait or have been refused: all.
all_asked() {
        local pid

        for pid; do
                has_ended "$pid" || waits_for_fuse "$pid" || return 1
        done
}

refused_are() {
        [ "$(grep -c 'Resource temporarily unavailable' refused)" -eq "$1" ]
}

@test "however many wait for a server, the others are answered" {
        local waiting=() i

        serve_bucket
        # None is to give up while the last ones are started.
        start_vmafs s3://ok/dump/ -o timeout=600
        ls "$MNT" >/dev/null
        echo lists-hang >fault
        for i in {1..120}; do
                stat "$MNT/sub/$i" 3>&- 2>>refused &
                waiting+=($!)
        done
        wait_for 300 all_asked "${waiting[@]}"
        timeout 120 cat "$MNT/a.log" | cmp - files/dump/a.log
        wait_for 60 refused_are 56
        kill "${waiting[@]}" 2>/dev/null || true
        for i in "${waiting[@]}"; do
                wait_for 60 has_ended "$i"
        done
}

# Has the folder been listed once more, which the server refuses? refuses_again COUNT
refuses_again() {
        ls "$MNT/sub" >/dev/null || true
        [ "$(requests '?.* 403 ')" -gt "$1" ]
}

# Is the whole folder known not to be listed, with STATUS? root_says STATUS
root_says() {
        ls "$MNT" >/dev/null
        grep -q "s3://ok/dump/: cannot be listed: .*($1 Told)" "$LOG"
}

@test "why a folder in a bucket cannot be listed is logged, once until it can be" {
        local said='sub: cannot be listed: the server refuses to give it (403 Told)' count

        serve_bucket
        start_vmafs s3://ok/dump/
        ls "$MNT" >/dev/null
        echo lists-403 >fault
        run ! ls "$MNT/sub"
        for _ in 1 2 3; do
                count=$(requests '?.* 403 ')
                wait_for 60 refuses_again "$count"
        done
        [ "$(grep -cF "$said" "$LOG")" -eq 1 ]
        # One that was listed already says it, too, and goes on.
        wait_for 60 root_says 403
        [ "$(names_in "$MNT" | tr '\n' ' ')" = "a.log a.vma b.vma.zst sub " ]
        rm fault
        touch files/dump/new.log
        wait_for 60 ls "$MNT/sub" "$MNT/new.log"
        echo lists-404 >fault
        wait_for 60 root_says 404
        [ "$(grep -c 'cannot be listed' "$LOG")" -eq 3 ]
        run ! grep -q "$AWS_SECRET_ACCESS_KEY\|$AWS_ACCESS_KEY_ID" "$LOG"
}

@test "an empty object in a bucket is an empty file" {
        : >files/dump/empty.log
        : >files/dump/empty.vma
        serve_bucket
        start_vmafs s3://ok/dump/
        cp "$MNT/empty.log" copy
        [ -e copy ]
        [ ! -s copy ]
        [ -z "$(ls "$MNT/empty.vma")" ]
        getfattr --only-values -n user.vmafs.error "$MNT/empty.vma" | grep -q 'is empty'
}

@test "an archive in a bucket that cannot be opened is an empty folder that says why" {
        echo 'no archive' >files/dump/bad.vma
        serve_bucket
        start_vmafs s3://ok/dump/
        [ -z "$(ls "$MNT/bad.vma")" ]
        getfattr --only-values -n user.vmafs.error "$MNT/bad.vma" | grep -q 'is a text, not an archive'
        grep -q 'bad.vma: is a text, not an archive' "$LOG"
}

@test "the credentials of a bucket stay with the processes that fetch, which end with the mount" {
        local pid fetcher children

        serve_bucket
        start_vmafs s3://ok/dump/
        cmp a.raw "$MNT/a.vma/disk-a.raw"
        fetcher=$(fetcher_of "$DAEMON")
        children=$(pgrep -r R,S,D -P "$fetcher")
        [ -n "$children" ]
        for pid in "$DAEMON" "$fetcher" $children; do
                [ "$(grep -ca bPxRfiCY "/proc/$pid/environ" "/proc/$pid/cmdline" | grep -c ':0$')" -eq 2 ]
        done
        # The process that reads has no connection.
        [ "$(find "/proc/$DAEMON/fd" -lname 'socket:*' -printf x | wc -c)" -le 6 ]
        kill -9 "$DAEMON"
        wait_for 60 has_ended "$fetcher"
        for pid in $children; do
                wait_for 60 has_ended "$pid"
        done
}

@test "without the processes that fetch, a folder in a bucket fails, and its mount ends as any other" {
        local pid fetcher children

        serve_bucket
        start_vmafs s3://ok/dump/
        ls "$MNT/a.vma"
        fetcher=$(fetcher_of "$DAEMON")
        children=$(pgrep -r R,S,D -P "$fetcher")
        kill -9 "$fetcher"
        for pid in $children; do
                wait_for 60 has_ended "$pid"
        done
        run ! cat "$MNT/a.vma/disk-a.raw"
        run ! ls "$MNT/sub"
        grep -q 'sub: cannot be listed: the process that fetches it has ended' "$LOG"
        umount "$MNT"
        wait_for 60 has_ended "$DAEMON"
}

@test "info lists the archives of a folder in a bucket as those of one on disk" {
        "$VMAFS" index --file files/dump/b.vma.zst.vmafs files/dump/b.vma.zst
        echo 'no archive' >files/dump/sub/bad.vma
        "$VMAFS" info --json files/dump | jq '.archives' >wanted
        "$VMAFS" info files/dump >lines
        serve_bucket
        "$VMAFS" info --json s3://ok/dump/ | jq '.archives' | cmp - wanted
        "$VMAFS" info s3://ok/dump/ | cmp - lines
        "$VMAFS" info --json s3://ok/dump/ | jq -e '.format == "folder" and .archive == "s3://ok/dump/"'
        run -2 --separate-stderr "$VMAFS" info s3://ok/none/
        one_line_says 'no object of which the name begins'
        run -1 --separate-stderr "$VMAFS" info s3://list-loop/dump/
        one_line_says 'never ends'
}

# What VERB prints of files/dump, on disk and in the bucket, and its status: same STATUS VERB [OPTION ...] -- [NAME ...]
same() {
        local verb=() wanted=$1

        while shift && [ "$1" != -- ]; do
                verb+=("$1")
        done
        shift
        "$VMAFS" "${verb[@]}" files/dump/ "$@" >near.txt 2>&1 || [ $? -eq "$wanted" ]
        run "-$wanted" "$VMAFS" "${verb[@]}" s3://ok/dump/ "$@"
        diff <(sed 's,//,/,g' near.txt) \
                <(echo "$output" | sed 's,s3://ok/,files/,g; s,//,/,g; s, (404 NoSuchKey),,')
}

@test "index and verify of a folder in a bucket are those of one on disk" {
        serve_bucket
        run -0 "$VMAFS" index s3://ok/dump/
        [[ ${lines[1]} == "s3://ok/dump/b.vma.zst: indexed, "* ]]
        [ "${lines[-1]}" = 's3://ok/dump/: 3 archives' ]
        # The next one finds it.
        same 0 index --
        same 0 verify --
        same 0 verify --json --
        echo 'no archive' >files/dump/sub/bad.vma
        same 2 index --
        same 2 verify --
        same 2 verify --json --
        rm files/dump/sub/bad.vma
        printf x | dd of=files/dump/a.vma bs=1 seek=100000 conv=notrunc status=none
        printf x | dd of=files/dump/b.vma.zst bs=1 seek=10000 conv=notrunc status=none
        same 1 verify --
        same 1 verify --json --
        # One of them by itself.
        run -1 "$VMAFS" verify s3://ok/dump/b.vma.zst
        [[ $output == *DAMAGED* ]]
}

@test "map and extract take a file of an archive in a folder in a bucket, by its path" {
        local whole

        mkdir out
        serve_bucket
        same 0 map --output=json -- a.vma/disk-a.raw
        same 0 map -- 'sub/deep/c d+%.vma/disk-a.raw'
        for whole in s3://ok/dump/b.vma.zst/disk-a.raw 's3://ok/dump/ b.vma.zst/disk-a.raw' \
                's3://ok/dump/ /b.vma.zst//a' 's3://ok dump/b.vma.zst/a' 's3://ok/dump/b.vma.zst a'; do
                # shellcheck disable=SC2086 # words
                "$VMAFS" map --output=json $whole | diff <("$VMAFS" map --output=json files/dump/b.vma.zst a) -
                # shellcheck disable=SC2086 # words
                "$VMAFS" extract -C out $whole
                cmp out/disk-a.raw a.raw
                rm out/disk-a.raw
                # shellcheck disable=SC2086 # words
                "$VMAFS" extract -O $whole | cmp - a.raw
        done
        # All of an archive, and files of several.
        "$VMAFS" extract -C out s3://ok/dump/ b.vma.zst
        cmp out/disk-a.raw a.raw
        run -1 --separate-stderr "$VMAFS" extract -C out s3://ok/dump/ a.vma/disk-a.raw 'sub/deep/c d+%.vma'
        [[ $stderr == *'out/disk-a.raw: is there already'* ]]
        "$VMAFS" extract --force -C out s3://ok/dump/ a.vma/disk-a.raw 'sub/deep/c d+%.vma'
        cmp out/disk-a.raw a.raw
        run -2 --separate-stderr "$VMAFS" extract -O s3://ok/dump/ a.vma/a b.vma.zst/a
        one_line_says 'extract -O needs one file'
}

@test "what is no archive in a folder in a bucket is refused with a word, as on disk" {
        local verb

        serve_bucket
        for verb in map extract; do
                for what in s3://ok/dump/ 's3://ok/dump/ sub' 's3://ok dump/sub/deep'; do
                        # shellcheck disable=SC2086 # words
                        run -2 --separate-stderr "$VMAFS" "$verb" $what
                        one_line_says "is a directory, not an archive; vmafs info lists the archives in it"
                done
                run -2 --separate-stderr "$VMAFS" "$verb" s3://ok/dump/ none.vma/a
                one_line_says 's3://ok/dump/none.vma/a: is not on the server (404 NoSuchKey)'
                run -2 --separate-stderr "$VMAFS" "$verb" s3://ok/dump/none.vma/a
                one_line_says 's3://ok/dump/none.vma/a: is not on the server (404 NoSuchKey)'
                run -1 --separate-stderr "$VMAFS" "$verb" s3://503/dump/ a.vma/a --timeout=1
                one_line_says 'cannot give it now (503 Told)'
        done
        run -2 --separate-stderr "$VMAFS" map s3://ok/dump/ a.vma
        one_line_says 'map needs an archive and the name of a disk in it'
        for verb in info verify index; do
                run -2 --separate-stderr "$VMAFS" "$verb" s3://ok/dump/a.vma/disk-a.raw
                one_line_says "s3://ok/dump/a.vma/disk-a.raw: leads into an archive; give the archive alone"
        done
        run -2 --separate-stderr "$VMAFS" info --partitions s3://ok/dump/
        one_line_says 'is a folder of archives; info --partitions takes one of them'
        run -2 --separate-stderr "$VMAFS" verify --keyfile=k s3://ok/dump/
        one_line_says 's3://ok/dump/: is no datastore, and --keyfile is of no use'
}

@test "an archive of several objects in a bucket is read, by its own address and in a folder" {
        qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse a.raw files/dump/sub/parts.vmdk
        qemu-img convert -O qcow2 a.raw files/dump/base.qcow2
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 files/dump/top.qcow2
        serve_bucket
        "$VMAFS" extract -O s3://ok/dump/sub/parts.vmdk disk-parts.raw | cmp - a.raw
        "$VMAFS" extract -O s3://ok/dump/ sub/parts.vmdk/disk-parts.raw | cmp - a.raw
        "$VMAFS" extract -O --backing=dir s3://ok/dump/ top.qcow2/disk-top.raw | cmp - a.raw
        run -2 --separate-stderr "$VMAFS" extract -O s3://ok/dump/ top.qcow2/disk-top.raw
        one_line_says 'it is opened with backing=dir'
        "$VMAFS" info --json s3://ok/dump/ | jq -e '.archives[] | select(.path == "sub/parts.vmdk") | .error == null'
        start_vmafs s3://ok/dump/ -o backing=dir
        cmp a.raw "$MNT/sub/parts.vmdk/disk-parts.raw"
        cmp a.raw "$MNT/top.qcow2/disk-top.raw"
        [ ! -s "$LOG" ]
}

@test "folders of a bucket that cannot be listed, or are datastores, are left out of verify, and said so" {
        mkdir -p files/dump/store/.chunks files/dump/store/vm
        cp files/dump/a.vma files/dump/store/
        touch files/dump/store/.chunks/x
        serve_bucket
        run -1 --separate-stderr "$VMAFS" verify s3://ok/dump/
        one_line_says 's3://ok/dump/store: is left out: it is a datastore, give it by itself'
        [ "${lines[-1]}" = 's3://ok/dump/: 3 archives' ]
        "$VMAFS" verify --json s3://ok/dump/ >json || [ $? -eq 1 ]
        jq -e '(.archives | length == 3) and .unread == 1 and .sound == false' json
}

# Has PID so many children? has_processes PID COUNT
has_processes() {
        [ "$(pgrep -c -P "$1")" -ge "$2" ]
}

@test "no verb on a folder in a bucket has a secret or a connection where an archive is read" {
        local pid verb

        # So that it takes a while.
        head -c 24M /dev/urandom >big.raw
        mkvma -o files/dump/big.vma --device a=big.raw
        serve_bucket
        "$VMAFS" verify s3://ok/dump/ >/dev/null &
        verb=$!
        wait_for 60 has_processes "$verb" 2
        for pid in "$verb" $(pgrep -P "$verb"); do
                run ! grep -qa bPxRfiCY "/proc/$pid/environ" "/proc/$pid/cmdline"
        done
        wait "$verb"
}
