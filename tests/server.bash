# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the tests of what is on a server, which is tests/tools/faultserver.c: `load helpers` before.

# In setup: no other user's index, credentials or proxy.
be_nobody_else() {
        export XDG_CACHE_HOME=$BATS_TEST_TMPDIR HOME=$BATS_TEST_TMPDIR
        unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION \
                AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 CURL_CA_BUNDLE SSL_CERT_FILE \
                http_proxy https_proxy all_proxy ALL_PROXY HTTPS_PROXY
        SERVERS=()
}

# In teardown.
end_servers() {
        [ "${#SERVERS[@]}" -eq 0 ] || kill "${SERVERS[@]}" 2>/dev/null || true
}

# Starts a server of this folder, or of DIR, and sets URL to where it is: serve [DIR [OPTION ...]]
serve() {
        local dir=${1:-$PWD}

        "$TOOLS/faultserver" "$dir" "${@:2}" 3>&- &
        SERVERS+=($!)
        wait_for 60 test -e "$dir/port"
        PORT=$(cat "$dir/port")
        # shellcheck disable=SC2034 # for the tests
        URL=http://127.0.0.1:$PORT
}

# How many requests there were for what PATTERN matches: requests PATTERN
requests() {
        grep -c "$1" log || true
}

fetcher_of() {
        pgrep -x -P "$1" fetcher
}

# Who asks in the tests of S3.
as_somebody() {
        export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalr/K7MDENG+bPxRfiCY AWS_REGION=eu-1
}
