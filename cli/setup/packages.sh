# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages: which, and how they get here. Sourced by setup.sh (repo, say, fail).

# From the machine's own suite.
packages=(
  redis-server cpio iproute2 iputils-ping procps nftables tcpdump ethtool
  build-essential git clang clang-format clang-tidy libclang-rt-14-dev shellcheck debootstrap
  libnbd-bin
)
# From backports: the shim knows QEMU 10.0, and its tools come with it.
backports_packages=(qemu-system-x86 qemu-utils)
backports_version_min=1:10.0

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Prints the names of the packages of the machine's own suite that are not installed.
missing_packages() {
  local there
  there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
  local name
  for name in "${packages[@]}"; do
    grep -qx "installed $name" <<<"$there" || echo "$name"
  done
}

qemu_there() {
  local name
  for name in "${backports_packages[@]}"; do
    installed "$name" || return 1
    dpkg --compare-versions "$(dpkg-query -W -f '${Version}' "$name")" ge "$backports_version_min" || return 1
  done
}

apt_quiet() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"; }

# Runs apt_quiet with its output in a log, and says how far it is; on failure the log's end is shown.
apt_told() {
  local log=${repo:?}/build/setup-apt.log status
  apt_quiet "$@" 2>&1 | tee "$log" |
    awk '/^Unpacking / && ++u % 40 == 0 { print "setup:   " u " packages unpacked" }
         /^Setting up / && ++s % 40 == 0 { print "setup:   " s " packages set up" } { fflush() }'
  status=${PIPESTATUS[0]}
  [ "$status" = 0 ] || tail -15 "$log" >&2
  return "$status"
}

# Base addresses of the mirror that serves suite $1, from the machine's own apt configuration.
mirror_of() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' -v suite="$1" '$1 == suite && $2 == "main" { print $3; exit }'
}

add_backports() {
  [ -z "$(mirror_of bookworm-backports)" ] || return 0
  local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(mirror_of bookworm)
  [ -n "$mirror" ] || fail "apt knows no mirror of Debian bookworm: look at /etc/apt/sources.list."
  say "adding the suite bookworm-backports (of the mirror that apt uses already)"
  {
    echo "Types: deb"
    echo "URIs: $mirror"
    echo "Suites: bookworm-backports"
    echo "Components: main"
    [ ! -e "$keyring" ] || echo "Signed-By: $keyring"
  } >/etc/apt/sources.list.d/lockstep-backports.sources
  apt_quiet update || fail "the mirror does not serve bookworm-backports, or can't be reached."
}

# Debian starts a service when its package comes. Redis is wanted as a program, not on port 6379.
without_services() {
  local policy=/usr/sbin/policy-rc.d made=''
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  local status=0
  "$@" || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$status"
}

keep_redis_off() {
  [ -d /run/systemd/system ] || return 0
  systemctl -q disable --now redis-server.service || fail "redis-server.service can't be disabled."
}

setup_packages() {
  local missing redis_is_new=''
  missing=$(missing_packages | tr '\n' ' ')
  qemu_there || missing="$missing${backports_packages[*]}"
  [ -n "${missing// /}" ] || return 0
  say "Debian packages are missing: $missing"
  installed redis-server || redis_is_new=yes
  apt_quiet update || fail "package lists can't be fetched. Without a network, install these by hand: $missing"
  if ! qemu_there; then
    add_backports
    say "installing QEMU"
    without_services apt_told install -y --no-install-recommends -t bookworm-backports "${backports_packages[@]}" ||
      fail "QEMU can't be installed from bookworm-backports."
    qemu_there || fail "backports have no ${backports_packages[*]} $backports_version_min or later."
  fi
  missing=$(missing_packages)
  if [ -n "$missing" ]; then
    say "installing $(wc -l <<<"$missing") packages"
    # shellcheck disable=SC2086 # one word a package
    without_services apt_told install -y --no-install-recommends $missing || fail "apt-get install failed."
  fi
  [ -z "$redis_is_new" ] || keep_redis_off
}
