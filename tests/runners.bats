# SPDX-License-Identifier: GPL-2.0-or-later
# What runs the tests must not pass what failed.
load helpers

# A program that says SAYS and exits with STATUS.
program() {
        printf '#!/bin/sh\ncat <<END\n%s\nEND\nexit %s\n' "$2" "$3" >"$BATS_TEST_TMPDIR/$1"
        chmod +x "$BATS_TEST_TMPDIR/$1"
}

run_unit() {
        cd "$BATS_TEST_TMPDIR" || return
        run "$ROOT/tests/run-unit" "$@"
        echo "$output"
}

@test "run-unit adds up what passed" {
        program test_a '[  PASSED  ] 3 test(s).' 0
        program test_b '[  PASSED  ] 4 test(s).' 0
        run_unit ./test_a ./test_b
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "7 passed, 0 failed" ]
}

@test "run-unit puts a command in front" {
        program test_a '[  PASSED  ] 3 test(s).' 0
        printf '#!/bin/sh\necho "$@" >said; shift; "$@"; exit 99\n' >"$BATS_TEST_TMPDIR/judge"
        chmod +x "$BATS_TEST_TMPDIR/judge"
        run_unit --under './judge -q' ./test_a
        [ "$status" -eq 1 ]
        [ "$(cat "$BATS_TEST_TMPDIR/said")" = "-q ./test_a" ]
        [[ $output == *"test_a: ended with status 99"* ]]
}

@test "run-unit names what failed and goes on" {
        program test_a '[  PASSED  ] 1 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] adds_up' 1
        program test_b '[  PASSED  ] 4 test(s).' 0
        run_unit ./test_a ./test_b
        [ "$status" -eq 1 ]
        [ "${lines[-2]}" = "  test_a: adds_up" ]
        [ "${lines[-1]}" = "5 passed, 1 failed" ]
}

@test "run-unit reports in order what ends in another" {
        program test_a '[  PASSED  ] 1 test(s).' 0
        sed -i '1a until [ -e ended ]; do sleep 0.05; done' "$BATS_TEST_TMPDIR/test_a"
        program test_b '[  PASSED  ] 4 test(s).' 0
        sed -i '1a touch ended' "$BATS_TEST_TMPDIR/test_b"
        UNIT_JOBS=2 run_unit ./test_a ./test_b
        [ "$status" -eq 0 ]
        [ "${lines[0]}" = "== test_a" ]
        [ "${lines[2]}" = "== test_b" ]
        [ "${lines[-1]}" = "5 passed, 0 failed" ]
}

@test "run-unit counts a crash as a failure" {
        program test_a '[       OK ] first' 139
        run_unit ./test_a
        [ "$status" -eq 1 ]
        [ "${lines[-1]}" = "0 passed, 1 failed" ]
}

@test "run-unit counts a sanitizer's complaint after the tests as a failure" {
        program test_a '[  PASSED  ] 3 test(s).' 23
        run_unit ./test_a
        [ "$status" -eq 1 ]
        [ "${lines[-1]}" = "3 passed, 1 failed" ]
}

@test "run-unit counts a program without tests as a failure" {
        program test_a 'nothing' 0
        run_unit ./test_a
        [ "$status" -eq 1 ]
        [[ $output == *"test_a: ran no test"* ]]
}

@test "run-unit counts a program that hangs as a failure" {
        printf '#!/bin/sh\nexec sleep 60\n' >"$BATS_TEST_TMPDIR/test_a"
        chmod +x "$BATS_TEST_TMPDIR/test_a"
        UNIT_TIMEOUT=1 run_unit ./test_a
        [ "$status" -eq 1 ]
        [[ $output == *"did not end within 1 seconds"* ]]
}

@test "run-unit says what was skipped" {
        program test_a '[  PASSED  ] 3 test(s).
[  SKIPPED ] 2 test(s), listed below:' 0
        run_unit ./test_a
        [ "$status" -eq 0 ]
        [ "${lines[-1]}" = "3 passed, 0 failed, 2 skipped" ]
}

@test "run-e2e fails when a test leaves a mount behind" {
        # shellcheck disable=SC2016 # the inner test expands them
        printf '%s\n' '@test "leaves a mount" {' 'mkdir "$TMPDIR/left"' \
                '"$TOOLS/gatefs" "$BATS_TEST_FILENAME" "$TMPDIR/left" 3>&-' '}' \
                >"$BATS_TEST_TMPDIR/leaves.bats"
        TMPDIR=$BATS_TEST_TMPDIR E2E_PATIENCE=1 run "$ROOT/tests/run-e2e" "$BATS_TEST_TMPDIR/leaves.bats"
        echo "$output"
        [ "$status" -eq 1 ]
        [[ $output == *"a mount: "* ]]
        [[ $output == *"a process: "* ]]
}

@test "what a test leaves mounted is unmounted, and in use is a failure" {
        mount_gatefs "$DATA/good/tiny.vma"
        run unmount_all
        [ "$status" -eq 0 ]
        mount_gatefs "$DATA/good/tiny.vma"
        exec 7<"$GATED"
        E2E_PATIENCE=1 run unmount_all
        exec 7<&-
        [ "$status" -eq 1 ]
        [[ $output == *"still mounted after the test: $GATE_DIR"* ]]
        [ -z "$(mounts_below "$BATS_TEST_TMPDIR")" ]
}
