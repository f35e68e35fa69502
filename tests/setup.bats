# SPDX-License-Identifier: GPL-2.0-or-later
# make setup and make setup-tests: on a host whose own packages conflict with those that the tests
# need, as Proxmox's qemu does, nothing is removed. apt-get and dpkg-query are the real ones, with a
# root of their own in which every step is simulated.
load helpers

# package NAME [FIELD...]: the control fields of one.
package() {
        printf 'Package: %s\nArchitecture: %s\nVersion: 1.0\nMaintainer: nobody\nDescription: none\n' \
                "$1" "$(dpkg --print-architecture)"
        [ $# -eq 1 ] || printf '%s\n' "${@:2}"
}

offer() {
        package "$@" "Filename: ./$1.deb" "Size: 1" "SHA256: $(printf '%064d' 0)"
        echo
}

installed() {
        package "$@" "Status: install ok installed"
        echo
}

# What tests/setup may ask for.
asked_for() {
        sed -n '/^build=(/,/^)/p; /^tests=(/,/^)/p; s/.*build+=(\(.*\)).*/\1/p' "$ROOT/tests/setup" |
                grep -v '[()]$' | tr -s ' \n' '\n'
}

# A host on which Proxmox's packages and no other are installed, and a mirror that has all others.
make_host() {
        local name

        HOST=$BATS_TEST_TMPDIR/host
        mkdir -p "$HOST"/{mirror,dpkg,lists/partial,archives/partial,bin}
        installed proxmox-ve "Depends: pve-qemu-kvm" >"$HOST/dpkg/status"
        installed pve-qemu-kvm "Conflicts: qemu-utils, qemu-system-common" \
                "Replaces: qemu-utils, qemu-system-common" >>"$HOST/dpkg/status"
        for name in $(asked_for); do
                offer "$name"
        done >"$HOST/mirror/Packages"
        echo "deb [trusted=yes] file:$HOST/mirror ./" >"$HOST/sources.list"
        cat >"$HOST/apt.conf" <<END
Dir::State::status "$HOST/dpkg/status";
Dir::State::lists "$HOST/lists";
Dir::State::extended_states "$HOST/extended_states";
Dir::Cache "$HOST";
Dir::Etc::sourcelist "$HOST/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "$HOST";
APT::Sandbox::User "";
APT::Get::Simulate "true";
END
        # Who is not root is, as far as this host is concerned.
        printf '#!/bin/sh\nexec "$@"\n' >"$HOST/bin/sudo"
        chmod +x "$HOST/bin/sudo"
}

# tests/setup as it is run on that host. update is not simulated: it only fills the host's lists.
setup_on_host() {
        PATH=$HOST/bin:$PATH APT_CONFIG=$HOST/apt.conf DPKG_ADMINDIR=$HOST/dpkg \
                run "$ROOT/tests/setup" "$@"
        echo "$output"
}

@test "setup-tests removes nothing from a host with Proxmox's own qemu" {
        make_host
        setup_on_host tests
        [ "$status" -eq 1 ]
        [[ $output != *"Remv "* ]]
        [[ $output == *"remove is disabled"* ]]
        [[ $output == *"tests/setup: these are not installed"*qemu-utils* ]]
}

@test "setup installs what building needs on that host, and says first what" {
        make_host
        setup_on_host build
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "tests/setup: to be installed, "*libfuse3-dev* ]]
        [[ $output == *"Inst libfuse3-dev "* ]]
        [[ $output != *"Remv "* ]]
        [[ $output != *qemu* ]]
}

@test "setup goes on when one of apt's lists cannot be had" {
        make_host
        echo "deb [trusted=yes] file:$HOST/nowhere ./" >>"$HOST/sources.list"
        setup_on_host build
        [ "$status" -eq 0 ]
        [[ $output == *"not all lists are up to date"* ]]
        [[ $output == *"Inst libfuse3-dev "* ]]
}

@test "setup asks apt for nothing when all of it is there" {
        local name

        make_host
        for name in $(asked_for); do
                installed "$name"
        done >>"$HOST/dpkg/status"
        printf '#!/bin/sh\nexit 1\n' >"$HOST/bin/apt-get"
        chmod +x "$HOST/bin/apt-get"
        setup_on_host tests
        [ "$status" -eq 0 ]
        [ -z "$output" ]
}
