# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the tests of datastores: `load datastore` after the helpers.

# shellcheck disable=SC2034 # for the tests
FIRST=vm/100/2026-02-01T00:00:00Z
# shellcheck disable=SC2034 # for the tests
SECOND=vm/100/2026-02-02T00:00:00Z
# shellcheck disable=SC2034 # for the tests
CONTAINER=ct/101/2026-02-01T00:00:00Z

# Makes the datastore ds, and with --encrypt its key: make_store [--encrypt]
make_store() {
        IMAGE=image "$TOOLS/mkpbs" "$@" ds
}

# The file of the chunk that the index FILE names as number N: chunk_of FILE N
chunk_of() {
        local name

        name=$(xxd -s $((4096 + 32 * $2)) -l 32 -p -c 32 "$1")
        echo "ds/.chunks/${name:0:4}/$name"
}
