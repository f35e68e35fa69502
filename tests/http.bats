# SPDX-License-Identifier: GPL-2.0-or-later
# Archives on a server: what is read of them, and what becomes of a server that misbehaves. The
# server is tests/tools/faultserver.c; nginx is one that everybody has.
# shellcheck disable=SC2030,SC2031,SC2094,SC2154 # a test is a process; an address is not a file
load helpers
load server
bats_require_minimum_version 1.5.0

setup() {
        cd "$BATS_TEST_TMPDIR" || return
        mkdir files
        make_ragged_disk a.raw
        # Another one in each test, so that no other test's index is its.
        CTIME=$((1234567890 + BATS_TEST_NUMBER))
        mkvma -o files/a.vma --device a=a.raw --order=shuffle --ctime="$CTIME"
        be_nobody_else
}

teardown() {
        unmount_all
        end_servers
        [ ! -e nginx/pid ] || kill "$(cat nginx/pid)" 2>/dev/null || true
}

# How many requests there were after the first N lines of the log, and how many bytes were sent.
traffic_since() {
        tail -n +$(($1 + 1)) log | awk '{ n++; bytes += $4 } END { print n + 0, bytes + 0 }'
}

# `vmafs info` on the archive of MODE fails with STATUS and a line that has TEXT:
# refused STATUS MODE TEXT [OPTION ...]
refused() {
        run -"$1" --separate-stderr "$VMAFS" info "${@:4}" "$URL/$2/a.vma"
        one_line_says "$3"
}

# A disk of 24 MiB that compresses to half, and that is nowhere a block of zeros, and its archive.
make_big() {
        noise $((24 << 20)) "$BATS_TEST_NUMBER" |
                tr '\0-\377' "$(printf 'a-p%.0s' {1..16})" >big.raw
        mkvma -o files/big.vma --device a=big.raw --ctime="$CTIME"
}

# 4 KiB of the big disk, past the page cache, from block $1 on.
read_block() {
        dd if="$MNT/disk-a.raw" bs=4K skip="$1" count=1 iflag=direct status=none
}

block_is_right() {
        read_block "$1" 2>/dev/null | cmp -s - <(dd if=big.raw bs=4K skip="$1" count=1 status=none)
}

# What reading block $1 fails with.
block_fails_with() {
        local errors

        ! errors=$(read_block "$1" 2>&1 >/dev/null) && [[ $errors == *$2* ]]
}

# Has nginx open: the sockets of PORT and the one after it.
start_nginx() {
        for PORT in $(seq $((20000 + RANDOM % 5000)) 7 60000); do
                sed "s/@PORT@/$PORT/; s/@SECURE@/$((PORT + 1))/" nginx/conf.in >nginx/conf
                ! nginx -c "$PWD/nginx/conf" 2>nginx/errors 3>&- || return 0
        done
        return 1
}

@test "an archive on a server is mounted, and read as the file" {
        local codec

        zstd -q files/a.vma -o files/a.vma.zst
        serve
        for codec in "" .zst; do
                start_vmafs "$URL/ok/a.vma$codec"
                cmp a.raw "$MNT/disk-a.raw"
                wait_indexed
                [ "$(findmnt -no SOURCE "$MNT")" = "$URL/ok/a.vma$codec" ]
                [ "$(stat -c %Y "$MNT")" -eq "$CTIME" ]
                umount "$MNT"
                wait_for 60 has_ended "$DAEMON"
                [ ! -s "$LOG" ]
        done
}

@test "each verb takes an address" {
        mkdir out
        zstd -q files/a.vma -o files/a.vma.zst
        serve
        "$VMAFS" info --json "$URL/ok/a.vma.zst" | jq -e '.disks | length == 1'
        "$VMAFS" verify "$URL/ok/a.vma.zst"
        "$VMAFS" map "$URL/ok/a.vma.zst" disk-a.raw >map
        "$VMAFS" map files/a.vma.zst disk-a.raw | sed "s|files/|$URL/ok/|" | cmp - map
        "$VMAFS" extract -C out "$URL/ok/a.vma.zst"
        cmp a.raw out/disk-a.raw
        "$VMAFS" index --file x.vmafs "$URL/ok/a.vma.zst"
        "$VMAFS" index "$URL/ok/a.vma.zst"
        "$VMAFS" info "$URL/ok/a.vma.zst" | grep -q '^index path:'
        # Made from afar, it is that of the file.
        cp x.vmafs files/a.vma.zst.vmafs
        "$VMAFS" info files/a.vma.zst | grep -q '^index path: *files/a.vma.zst.vmafs$'
}

@test "nginx serves an archive, also by TLS, if its certificate is right" {
        mkdir nginx
        openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -addext subjectAltName=DNS:localhost \
                -keyout nginx/key -out nginx/cert 2>nginx/errors
        cat >nginx/conf.in <<END
pid $PWD/nginx/pid;
error_log $PWD/nginx/error;
events {}
http {
        access_log off;
        client_body_temp_path $PWD/nginx/1;
        proxy_temp_path $PWD/nginx/2;
        fastcgi_temp_path $PWD/nginx/3;
        uwsgi_temp_path $PWD/nginx/4;
        scgi_temp_path $PWD/nginx/5;
        server {
                listen 127.0.0.1:@PORT@;
                listen 127.0.0.1:@SECURE@ ssl;
                ssl_certificate $PWD/nginx/cert;
                ssl_certificate_key $PWD/nginx/key;
                location / { root $PWD/files; }
                location /whole/ { alias $PWD/files/; max_ranges 0; }
                location /http/ { return 302 http://localhost:@PORT@/a.vma; }
        }
}
END
        let_others_pass
        start_nginx
        "$VMAFS" extract -O "http://127.0.0.1:$PORT/a.vma" disk-a.raw | cmp - a.raw
        "$VMAFS" extract -O --cafile=nginx/cert "https://localhost:$((PORT + 1))/a.vma" disk-a.raw |
                cmp - a.raw
        CURL_CA_BUNDLE=nginx/cert "$VMAFS" info "https://localhost:$((PORT + 1))/a.vma"
        start_vmafs "https://localhost:$((PORT + 1))/a.vma" -o cafile=nginx/cert
        cmp a.raw "$MNT/disk-a.raw"
        run -1 --separate-stderr "$VMAFS" info "http://127.0.0.1:$PORT/whole/a.vma"
        one_line_says "does not serve parts of it; download the file first"
        # An authority that nobody trusts, and another name than the certificate's.
        run -1 --separate-stderr "$VMAFS" info "https://localhost:$((PORT + 1))/a.vma"
        one_line_says "cannot be trusted"
        run -1 --separate-stderr "$VMAFS" info --cafile=nginx/cert "https://127.0.0.1:$((PORT + 1))/a.vma"
        one_line_says "cannot be trusted"
        # From https nobody is sent to http.
        run -1 --separate-stderr "$VMAFS" info --cafile=nginx/cert "https://localhost:$((PORT + 1))/http/a.vma"
        one_line_says "where nobody should go"
}

@test "a server that cannot or will not give parts of an archive is refused at once" {
        serve
        refused 1 whole "does not serve parts of it; download the file first"
        refused 1 mute "neither an ETag nor a Last-Modified time"
        refused 1 range "sends other bytes than were asked for"
        refused 1 length "sends another number of bytes than it says"
        refused 1 encoded "sends it compressed"
        refused 1 unsized "does not say how long the object is"
        refused 2 404 "is not on the server (404 Told)"
        refused 2 403 "refuses to give it (403 Told)"
        refused 1 416 "does not give it (416 Told)"
        [ "$(requests 'a.vma ')" -eq 9 ]
}

@test "a server sends us on to nowhere but the web, and not for ever" {
        serve
        refused 1 to-file "sends us on to file:///etc/passwd, where nobody should go"
        refused 1 loop "sends us on more than 5 times"
        "$VMAFS" extract -O "$URL/to-http:--localhost:$PORT-ok/a.vma" disk-a.raw | cmp - a.raw
}

@test "what may pass is tried again, and what was received is not asked for again" {
        local mode

        for mode in 429 503 drop short; do
                rm -f port
                serve
                "$VMAFS" extract -O "$URL/${mode}x2/a.vma" disk-a.raw | cmp - a.raw
                # What the first attempts to open it have brought is another matter.
                [ "$(awk '$2 !~ /^0-/ { n += $4 } END { print n }' log)" -le "$(stat -c %s files/a.vma)" ]
        done
}

@test "a server that never answers, or never well, is given up after a while" {
        serve
        refused 1 hang "connection to the server fails" --timeout=1
        refused 1 503 "cannot give it now (503 Told)" --timeout=1
        # A body without an end is cut where it should end.
        "$VMAFS" extract -O "$URL/endless/a.vma" disk-a.raw | cmp - a.raw
        # A sanitizer takes memory of its own.
        if ! grep -qaE '__(asan|tsan)_init' "$VMAFS"; then
                "$TOOLS/peak" peak "$VMAFS" info "$URL/endless/a.vma"
                [ "$(cat peak)" -lt $((100 * 1024)) ]
        fi
}

@test "an archive that is replaced on the server is stale, and never a mixture" {
        local careless

        for careless in "" careless; do
                make_big
                rm -f port fault
                serve
                start_vmafs "$URL/ok/big.vma"
                wait_indexed
                block_is_right 0
                tr a-p b-pa <files/big.vma >files/new
                mv files/new files/big.vma
                [ -z "$careless" ] || echo careless >fault
                block_fails_with 3000 'Stale file handle'
                block_fails_with 0 'Stale file handle'
                ls "$MNT"
                grep -q 'was replaced on the server while it is in use' "$LOG"
        done
}

@test "while the server is gone, reads fail, and go on when it is back" {
        make_big
        serve
        start_vmafs "$URL/ok/big.vma" -o timeout=3
        wait_indexed
        echo drop >fault
        block_fails_with 3000 'Input/output error'
        ls "$MNT"
        rm fault
        wait_for 60 block_is_right 3000
        [ "$(grep -c 'the connection to the server fails' "$LOG")" -ge 1 ]
}

@test "what a server does not give is not damaged" {
        make_big
        zstd -q files/big.vma
        serve
        run -1 --separate-stderr "$VMAFS" verify --timeout=3 "$URL/late/big.vma.zst"
        one_line_says "the connection to the server fails"
        [[ $output != *lost* ]]
        start_vmafs "$URL/late/big.vma" -o timeout=3
        wait_for 60 grep -q 'indexing failed: the connection to the server fails' "$LOG"
        block_is_right 0
        block_fails_with 3000 'Input/output error'
        run ! grep -q 'lost' "$LOG"
}

@test "without the process that fetches, reads fail, and the mount ends as any other" {
        make_big
        serve
        start_vmafs "$URL/ok/big.vma"
        wait_indexed
        kill -9 "$(fetcher_of "$DAEMON")"
        block_fails_with 3000 'Input/output error'
        grep -q 'the process that fetches it has ended' "$LOG"
        umount "$MNT"
        wait_for 60 has_ended "$DAEMON"
}

@test "the process that fetches ends with the one that reads, however that ends" {
        local fetcher

        serve
        start_vmafs "$URL/ok/a.vma"
        fetcher=$(fetcher_of "$DAEMON")
        kill -9 "$DAEMON"
        wait_for 60 has_ended "$fetcher"
}

@test "a read of a far place takes few requests and bytes" {
        local lines n bytes

        make_big
        zstd -q --rm files/big.vma -o files/big.vma.zst
        "$VMAFS" index --file files/big.vma.zst.vmafs files/big.vma.zst
        serve
        start_vmafs "$URL/ok/big.vma.zst"
        wait_indexed
        lines=$(wc -l <log)
        [ "$lines" -le 5 ]
        block_is_right 5000
        read -r n bytes < <(traffic_since 0)
        echo "$n requests, $bytes bytes"
        [ "$n" -le 8 ] && [ "$n" -gt "$lines" ]
        [ "$bytes" -le $((6 << 20)) ]
}

@test "an index beside the archive is used, and another archive's is not" {
        zstd -q files/a.vma -o files/a.vma.zst
        "$VMAFS" index --file files/a.vma.zst.vmafs files/a.vma.zst
        serve
        "$VMAFS" info "$URL/ok/a.vma.zst" | grep -q "^index path: *$URL/ok/a.vma.zst.vmafs$"
        "$VMAFS" extract -O "$URL/ok/a.vma.zst" disk-a.raw | cmp - a.raw
        mkvma -o b.vma --device a=a.raw --ctime=1
        zstd -q b.vma -o b.vma.zst
        "$VMAFS" index --file files/a.vma.zst.vmafs b.vma.zst
        start_vmafs "$URL/ok/a.vma.zst"
        wait_indexed
        cmp a.raw "$MNT/disk-a.raw"
        wait_for 60 grep -q "its index $URL/ok/a.vma.zst.vmafs is not used: it belongs to another archive" "$LOG"
}

@test "an index that the server does not give is no damaged one" {
        make_big
        gzip -1 files/big.vma
        "$VMAFS" index --file files/big.vma.gz.vmafs files/big.vma.gz
        # More than comes with the first answer.
        [ "$(stat -c %s files/big.vma.gz.vmafs)" -gt 65536 ]
        serve
        start_vmafs "$URL/past-403/big.vma.gz"
        wait_indexed
        block_is_right 5000
        wait_for 60 grep -q "its index .*/big.vma.gz.vmafs is not used: the server does not give a part of it (403 Told)" "$LOG"
        run ! grep -q damaged "$LOG"
}

# The folder files has a disk with an image of each kind that is several files, and expect is the disk.
make_several() {
        make_big
        mv big.raw expect
        rm files/*.vma
        qemu-img convert -O vmdk -o subformat=twoGbMaxExtentFlat expect files/flat.vmdk
        qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse expect files/sparse.vmdk
        qemu-img convert -O qcow2 expect files/base.qcow2
        qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 files/top.qcow2
        qemu-img create -q -f qcow2 -b ./top.qcow2 -F qcow2 files/over.qcow2
}

@test "a VMDK in parts and an image with a backing file are read from a server" {
        local name

        make_several
        serve
        for name in flat.vmdk sparse.vmdk top.qcow2 over.qcow2; do
                "$VMAFS" extract -O --backing=dir "$URL/ok/$name" "disk-${name%.*}.raw" | cmp - expect
                "$VMAFS" map --output=json --backing=dir "$URL/ok/$name" "disk-${name%.*}.raw" |
                        diff <("$VMAFS" map --output=json --backing=dir "files/$name" "disk-${name%.*}.raw") -
                run -0 "$VMAFS" verify --backing=dir "$URL/ok/$name"
        done
        start_vmafs "$URL/ok/sparse.vmdk"
        cmp "$MNT/disk-sparse.raw" expect
        [ "$(pgrep -c -P "$(fetcher_of "$DAEMON")")" -eq 0 ]
        [ ! -s "$LOG" ]
}

@test "what an archive on a server names is fetched from its own folder alone, and only if the user says so" {
        make_several
        mkdir files/sub
        qemu-img create -q -f qcow2 -b ../base.qcow2 -F qcow2 files/sub/up.qcow2 24M
        qemu-img create -q -f qcow2 -u -b sub/low.qcow2 -F qcow2 files/down.qcow2 24M
        qemu-img convert -O qcow2 expect files/sub/low.qcow2
        sed -i 's,"flat-f001,"sub/flat-f001,' files/flat.vmdk
        serve
        run -2 --separate-stderr "$VMAFS" info "$URL/ok/top.qcow2"
        one_line_says "has the backing file base.qcow2; it is opened with backing=dir"
        [ "$(requests base)" -eq 0 ]
        run -2 --separate-stderr "$VMAFS" info --backing=any "$URL/ok/sub/up.qcow2"
        one_line_says "../base.qcow2, which is not below its own folder; nothing else is read from a server"
        run -2 --separate-stderr "$VMAFS" info --backing=any "$URL/ok/flat.vmdk"
        one_line_says "names the file sub/flat-f001.vmdk, which is not in its own folder"
        [ "$(requests 'base\|flat-f')" -eq 0 ]
        "$VMAFS" extract -O --backing=dir "$URL/ok/down.qcow2" disk-down.raw | cmp - expect
}

@test "a query belongs to the archive alone: what is beside it is fetched without" {
        local name

        make_several
        zstd -q files/base.qcow2 -o files/base.qcow2.zst
        "$VMAFS" index --file=files/base.qcow2.zst.vmafs files/base.qcow2.zst
        for name in sparse.vmdk flat.vmdk top.qcow2 base.qcow2.zst; do
                mv "files/$name" "files/$name?signature"
        done
        rm files/flat-f001.vmdk
        serve
        "$VMAFS" extract -O "$URL/ok/sparse.vmdk?signature" disk-sparse.raw | cmp - expect
        "$VMAFS" extract -O --backing=dir "$URL/ok/top.qcow2?signature" disk-top.raw | cmp - expect
        start_vmafs "$URL/ok/base.qcow2.zst?signature"
        cmp "$MNT/disk-base.raw" expect
        grep -q '^/ok/base.qcow2.zst.vmafs .* 206 ' log
        [ ! -s "$LOG" ]
        [ "$(grep signature log | cut -d ' ' -f 1 | sort -u | wc -l)" -eq 3 ]
        run -2 --separate-stderr "$VMAFS" info "$URL/ok/flat.vmdk?signature"
        one_line_says 'flat-f001.vmdk, which cannot be fetched: is not on the server (404 NoSuchKey)'
        # Whoever has a signature for the archive alone is not told that there is no index.
        start_vmafs "$URL/indexes-403/base.qcow2.zst?signature"
        cmp "$MNT/disk-base.raw" expect
        grep -q '^/indexes-403/base.qcow2.zst.vmafs .* 403 ' log
        [ ! -s "$LOG" ]
}

@test "a part of an archive that is missing, fails or is replaced on the server is named" {
        make_several
        serve
        start_vmafs "$URL/ok/sparse.vmdk" -o direct_io,timeout=1
        dd if="$MNT/disk-sparse.raw" of=/dev/null bs=4K count=1 status=none
        echo drop >fault
        run ! dd if="$MNT/disk-sparse.raw" of=/dev/null bs=1M skip=20 count=1
        grep -q 'sparse-s001.vmdk: the connection to the server fails' "$LOG"
        rm fault
        wait_for 60 cmp -s "$MNT/disk-sparse.raw" expect
        umount "$MNT"
        start_vmafs "$URL/ok/sparse.vmdk" -o direct_io
        dd if="$MNT/disk-sparse.raw" of=/dev/null bs=4K count=1 status=none
        cp files/sparse-s001.vmdk files/new
        mv files/new files/sparse-s001.vmdk
        run ! dd if="$MNT/disk-sparse.raw" of=/dev/null bs=1M skip=20 count=1
        umount "$MNT"
        rm files/sparse-s001.vmdk
        run -2 --separate-stderr "$VMAFS" info "$URL/ok/sparse.vmdk"
        one_line_says "names the file sparse-s001.vmdk, which cannot be fetched: is not on the server (404"
}

@test "a password comes from .netrc, goes to no other host, and never is in an address" {
        serve
        (umask 077 && echo "machine 127.0.0.1 login me password s3kr1t default login me password s3kr1t" >.netrc)
        "$VMAFS" info "$URL/ok/a.vma"
        [ "$(requests 'a.vma .*auth')" -ge 1 ]
        "$VMAFS" info "$URL/to-http:--localhost:$PORT-ok/a.vma"
        [ "$(requests '^/ok/a.vma .*-$')" -ge 1 ]
        run -2 --separate-stderr "$VMAFS" info "http://me:s3kr1t@127.0.0.1:$PORT/ok/a.vma"
        one_line_says "put it into ~/.netrc"
}

@test "an S3 object is read with a signature, and not without" {
        as_somebody
        cp files/a.vma 'files/a b+c%?.vma'
        serve "$PWD" --s3 AKIDEXAMPLE "$AWS_SECRET_ACCESS_KEY" eu-1
        "$VMAFS" extract -O --endpoint="$URL" s3://ok/a.vma disk-a.raw | cmp - a.raw
        "$VMAFS" extract -O --endpoint="$URL/" 's3://ok/a b+c%?.vma' disk-a.raw | cmp - a.raw
        AWS_ENDPOINT_URL=$URL AWS_SESSION_TOKEN=token/== "$VMAFS" info s3://ok/a.vma
        AWS_SECRET_ACCESS_KEY=wrong run -2 --separate-stderr "$VMAFS" info --endpoint="$URL" s3://ok/a.vma
        one_line_says "refuses to give it (403 SignatureDoesNotMatch)"
        unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        run -2 --separate-stderr "$VMAFS" info --endpoint="$URL" s3://ok/a.vma
        one_line_says "refuses to give it (403"
        [ "$(tail -n 1 log | cut -d' ' -f5)" = - ]
}

@test "S3 credentials are read from their file, by profile" {
        mkdir .aws
        printf '[default]\naws_access_key_id = A\naws_secret_access_key = B\n[work]\naws_access_key_id=AKID\naws_secret_access_key = secret/+\n' >.aws/credentials
        printf '[profile work]\nregion = eu-2\n' >.aws/config
        serve "$PWD" --s3 AKID secret/+ eu-2
        AWS_PROFILE=work "$VMAFS" info --endpoint="$URL" s3://ok/a.vma
        run -2 "$VMAFS" info --endpoint="$URL" s3://ok/a.vma
        AWS_PROFILE=play run -2 --separate-stderr "$VMAFS" info --endpoint="$URL" s3://ok/a.vma
        one_line_says "has no key for the profile play"
}

@test "no secret is in an environment, an argument list, a log or a core" {
        local pid fetcher

        as_somebody
        serve "$PWD" --s3 AKIDEXAMPLE "$AWS_SECRET_ACCESS_KEY" eu-1
        start_vmafs s3://ok/a.vma -o "endpoint=$URL"
        cmp a.raw "$MNT/disk-a.raw"
        fetcher=$(fetcher_of "$DAEMON")
        for pid in "$DAEMON" "$fetcher"; do
                [ "$(grep -ca bPxRfiCY "/proc/$pid/environ" "/proc/$pid/cmdline" | grep -c ':0$')" -eq 2 ]
        done
        grep -q 'Max core file size *0 *0' "/proc/$fetcher/limits"
        [ ! -s "$LOG" ]
        # A signature in an address is not shown.
        umount "$MNT"
        wait_for 60 has_ended "$DAEMON"
        run -2 --separate-stderr "$VMAFS" "$URL/403/a.vma?X-Amz-Signature=bPxRfiCY" "$MNT"
        one_line_says "$URL/403/a.vma: the server refuses to give it"
}

# ---- on disk ----

# Mounts the archive with a spool of 16 MiB, compares it with FILE, and unmounts it: spooled ADDRESS FILE
spooled() {
        start_vmafs "$1" -o "spool=$PWD/spool,16M"
        cmp "$2" "$MNT/disk-a.raw"
        umount "$MNT"
        wait_for 60 has_ended "$DAEMON"
        [ ! -s "$LOG" ]
}

@test "with a spool nothing is fetched twice, by a later mount or another verb" {
        local lines

        serve
        spooled "$URL/ok/a.vma" a.raw
        [ "$(stat -c %a spool) $(stat -c %a spool/* | sort -u)" = "700 600" ]
        lines=$(wc -l <log)
        [ "$lines" -ge 3 ]
        spooled "$URL/ok/a.vma" a.raw
        # One request asks for the archive's version, and one for its index.
        [ "$(traffic_since "$lines")" = "2 65536" ]
        "$VMAFS" extract -O --spool=spool,16M "$URL/ok/a.vma" disk-a.raw | cmp - a.raw
        [ "$(traffic_since "$lines")" = "4 131072" ]
}

@test "a spool has nothing of an archive that was replaced, and damage of it is fetched again" {
        local file lines

        serve
        spooled "$URL/ok/a.vma" a.raw
        for file in spool/*; do
                printf 'damage' | dd of="$file" bs=1 seek=$((4096 + 65536 * 2 + 77)) conv=notrunc status=none
        done
        lines=$(wc -l <log)
        spooled "$URL/ok/a.vma" a.raw
        [ "$(traffic_since "$lines" | cut -d' ' -f1)" -ge 3 ]
        tr '\0-\377' '\1-\377\0' <a.raw >b.raw
        mkvma -o files/a.vma --device a=b.raw --order=shuffle --ctime="$CTIME"
        spooled "$URL/ok/a.vma" b.raw
}

@test "nothing is stored of what was just changed, by the clock of the server" {
        serve
        spooled "$URL/behind/a.vma" a.raw
        [ -z "$(ls spool)" ]
        spooled "$URL/ok/a.vma" a.raw
        [ -n "$(ls spool)" ]
}

@test "two mounts share a spool, which never exceeds its size" {
        make_big
        serve
        start_vmafs "$URL/ok/big.vma" -o "spool=$PWD/spool,16M"
        "$VMAFS" extract -O --spool=spool,16M "$URL/ok/big.vma" disk-a.raw | cmp - big.raw &
        cmp big.raw "$MNT/disk-a.raw"
        wait $!
        [ "$(du -s --apparent-size --block-size=1 spool | cut -f1)" -le $(((16 << 20) + 8192)) ]
        [ "$(find spool -type f | wc -l)" -ge 12 ]
}

@test "a spool that others may write to, or that is no folder, is refused" {
        serve
        mkdir -m 777 open
        run -2 --separate-stderr "$VMAFS" info --spool=open,16M "$URL/ok/a.vma"
        one_line_says "its spool open must belong to root or to the user who runs vmafs"
        run -2 --separate-stderr "$VMAFS" "$URL/ok/a.vma" "$MNT" -o spool=none/none,16M
        one_line_says "its spool none/none cannot be created: No such file or directory"
        run -2 --separate-stderr "$VMAFS" "$URL/ok/a.vma" "$MNT" -o spool=spool,1M
        [[ $stderr == *"spool is a folder, a comma, and a size of at least 16M"* ]]
}
