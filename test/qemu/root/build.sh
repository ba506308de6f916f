#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a root file system of another Debian suite with that suite's QEMU in build/roots/SUITE, for tests
# against a second QEMU version. Takes a few minutes and 0.5 GB the first time; a root that is there is left
# alone. Packages come from the mirror that this machine's apt uses.
#
# usage: build.sh [SUITE]     (default: trixie)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../../.." && pwd)
suite=${1:-trixie}
root=$repo/build/roots/$suite
log=$repo/build/roots/$suite.log

say() { echo "root $suite: $*"; }
fail() {
  echo "root $suite: $*" >&2
  exit 1
}

# The main archive, as apt knows it: any suite is served from there.
mirror() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' '$1 == "bookworm" && $2 == "main" { print $3; exit }'
}

[ "$(id -u)" = 0 ] || fail "not root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: run 'npm run setup'"
mkdir -p "$repo/build/roots"
exec 9>"$root.lock"
flock -w 1800 9 || fail "another build of it did not end within 30 minutes"
if [ -x "$root/usr/bin/qemu-system-x86_64" ]; then exit 0; fi

from=$(mirror)
[ -n "$from" ] || fail "apt knows no mirror of Debian bookworm: look at /etc/apt/sources.list."
part=$root.part
rm -rf --one-file-system "$part"
say "fetching and unpacking QEMU and what it needs (a few minutes)"
debootstrap --variant=minbase --include=qemu-system-x86 "$suite" "$part" "$from" >"$log" 2>&1 ||
  fail "debootstrap failed; the end of $log: $(tail -3 "$log")"
rm -rf "$part"/var/cache/apt/archives/*.deb "$part"/var/lib/apt/lists/*
# Where the wrapper mounts what QEMU shares with its sidecar; see qemu.sh.
mkdir -p "$part/run/lockstep" "$part/dev/shm" "$part/proc"
mv "$part" "$root"
say "done: $(chroot "$root" qemu-system-x86_64 --version | head -1), $(du -sh "$root" | cut -f1)"
