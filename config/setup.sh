# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shell functions for config/quickstart, tests/run and perf/run: which Debian 12 packages each needs,
# how to install those that are missing and how to build. Sourced by bash with `root` set to the
# project's root and `program` to the caller's name; they know nothing of what is run afterwards. A
# fresh machine has none of these packages, not even Python, and maybe no sudo.

# What builds the project.
packages_build=(gcc libc6-dev meson ninja-build pkgconf python3
    libdpdk-dev libcmocka-dev libcyaml-dev libyaml-dev libevent-dev libmnl-dev libjansson-dev
    libcap-ng-dev libseccomp-dev libc-ares-dev libsrtp2-dev libssl-dev libwslay-dev)

# What config/lab runs: namespaces, backends, phones.
packages_lab=(python3 iproute2 ethtool util-linux openssl kamailio sip-tester)

# What the tests use besides: the other compiler, promtool, a NAT, ping, a look at the wire and at
# files of what was seen there, a DNS server, an echo, a count of instructions; phones: baresip,
# linphone's daemon, a browser; TLS for SIPp, which Debian builds without, and for backends.
packages_tests=(clang prometheus nftables iputils-ping tcpdump tshark kamailio-presence-modules knot
    baresip-core linphone-cli chromium stunnel4 valgrind kamailio-tls-modules)

# What perf/run measures against, and draws with.
packages_perf=(libosip2-dev libre-dev libsofia-sip-ua-dev dpdk-dev kamailio-tls-modules gnuplot-nox)

# What tests/run --fuzz builds with: the compiler, its fuzzing engine and sanitizers, and what turns
# their addresses into lines.
packages_fuzz=(clang libclang-rt-14-dev llvm)

# The interpreter that Debian's packages install into, whatever else stands first in PATH.
python=/usr/bin/python3

# setup_say WORD…: one line of progress.
setup_say() { printf '%s\n' "== $*"; }

# setup_fail WORD…: one line that says why nothing more is done.
setup_fail() { printf '%s\n' "${program:-$0}: $*" >&2; exit 1; }

# setup_need_root NAME: leaves with one clear line when not run as root.
setup_need_root() {
    [ "$(id -u)" = 0 ] || setup_fail "needs root (network namespaces, packages): sudo $1"
}

# setup_missing PACKAGE…: prints those that are not installed.
setup_missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done | sort -u
}

# Reads apt-get's output, keeps it in the file $1, and shows how far it is: a moving line on a
# terminal, every twentieth step elsewhere.
setup_show_apt() {
    awk -v log_file="$1" -v tty="$([ -t 1 ] && echo 1 || echo 0)" '
        { print >log_file; fflush(log_file) }
        /newly installed/ { total = $1 + $3 }
        /^Get:/ { step("fetching", $5, ++fetched) }
        /^Unpacking / { step("unpacking", $2, ++unpacked) }
        /^Setting up / { step("setting up", $3, ++done) }
        function step(what, package, count) {
            if (tty)
                printf "\r\033[K   %-10s %3d of %d  %s", what, count, total, package
            else if (count % 20 == 0)
                printf "   %-10s %3d of %d\n", what, count, total
            fflush()
        }
        END { if (tty) printf "\r\033[K" }'
}

# setup_apt LOG ARGUMENT…: apt-get without questions. Services of the packages (Kamailio brings
# one) are not started: the laboratory runs its own in its namespaces.
setup_apt() {
    local log=$1 policy=/usr/sbin/policy-rc.d made= status
    shift
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
    fi
    set -o pipefail
    DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null 2>&1 |
        setup_show_apt "$log"
    status=$?
    set +o pipefail
    [ -z "$made" ] || rm -f "$policy"
    return "$status"
}

# setup_install PACKAGE…: installs what is missing of them; leaves with apt-get's words when it
# cannot.
setup_install() {
    local missing log service services_new=()
    mapfile -t missing < <(setup_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || setup_fail "no apt-get here; needed: ${missing[*]}"
    log=$(mktemp)
    setup_say "installing ${missing[*]} (and what they need; a minute or two)"
    for service in kamailio knot; do
        case " ${missing[*]} " in *" $service "*) services_new+=("$service") ;; esac
    done
    if ! { setup_apt "$log" update && setup_apt "$log" install --no-install-recommends \
            "${missing[@]}"; }; then
        tail -n 15 "$log" >&2
        setup_fail "apt-get failed; its output: $log"
    fi
    rm -f "$log"
    if [ "${#services_new[@]}" -gt 0 ] && [ -d /run/systemd/system ]; then
        systemctl disable --quiet "${services_new[@]}" 2>/dev/null || true
    fi
    mapfile -t missing < <(setup_missing "$@")
    [ "${#missing[@]}" -eq 0 ] || setup_fail "still missing after apt-get: ${missing[*]}"
}

# What no package of Debian has: SIP.js, the phones of the browser (plain modules, without anything
# that it depends on). Without it their test is skipped.
sip_js=sip.js@0.21.2
sip_js_sum=abbf374bccf50fdd0f659e24dd70a83a0bad09553bd16fa4b6c94021053f66cb

# setup_sip_js DIRECTORY: puts its modules into sip.js/ of a build directory (under the root), once.
setup_sip_js() {
    local directory=$root/$1/sip.js work
    [ ! -e "$directory/index.js" ] || return 0
    command -v npm >/dev/null || setup_install npm
    work=$(mktemp -d)
    if (cd "$work" && npm pack --silent "$sip_js" >name &&
            echo "$sip_js_sum  $(cat name)" | sha256sum --check --quiet &&
            tar -xzf "$(cat name)" package/lib) >"$work/log" 2>&1; then
        rm -rf "$directory" && mv "$work/package/lib" "$directory"
    else
        tail -n 3 "$work/log"
        setup_say "no $sip_js: a browser's phones are not tested"
    fi
    rm -rf "$work"
}

# What setup_build makes; nothing: all.
setup_targets=()

# setup_build DIRECTORY COMPILER OPTION…: configures the build directory (under the root) once and
# compiles; returns non-zero after showing what the compiler said.
setup_build() {
    local directory=$root/$1 compiler=$2 log
    shift 2
    log=$(mktemp)
    setup_say "building ${directory##*/}/ with $compiler"
    if [ ! -e "$directory/build.ninja" ]; then
        # What is left of an interrupted configuration is of no use to meson.
        rm -rf "$directory"
        if ! CC=$compiler meson setup "$directory" "$root" "$@" >"$log" 2>&1; then
            cat "$log" >&2
            rm -rf "$directory" "$log"
            return 1
        fi
    fi
    if [ -t 1 ]; then
        NINJA_STATUS='   [%f of %t] ' ninja -C "$directory" "${setup_targets[@]}" && rm -f "$log" && return 0
    else
        ninja -C "$directory" "${setup_targets[@]}" >"$log" 2>&1 && tail -n 1 "$log" | cut -c1-100 &&
            rm -f "$log" && return 0
    fi
    grep -E 'FAILED|error|warning' -A 4 "$log" | head -n 80 >&2
    rm -f "$log"
    return 1
}
