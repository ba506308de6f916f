#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the QEMU of build/roots/SUITE as if it were installed here: to be given as `--qemu` in place of
# qemu-system-x86_64. What QEMU shares with its sidecar is where it is outside: /run/lockstep, /dev, /tmp, and
# this checkout's build folder. Mounts are made in a mount namespace of QEMU's own, so they end with it.
#
# usage: qemu.sh ARGUMENT...     (environment LOCKSTEP_QEMU_SUITE, default trixie)
set -eu
repo=$(CDPATH='' cd "$(dirname "$0")/../../.." && pwd)
root=$repo/build/roots/${LOCKSTEP_QEMU_SUITE:-trixie}

if [ "${1:-}" != --inside ]; then
  [ -x "$root/usr/bin/qemu-system-x86_64" ] || {
    echo "qemu.sh: there is no $root: run test/qemu/root/build.sh" >&2
    exit 1
  }
  exec unshare --mount --propagation private -- "$0" --inside "$@"
fi
shift
for place in /dev /proc /tmp /run/lockstep "$repo/build"; do
  [ -d "$place" ] || continue
  mkdir -p "$root$place"
  mount --rbind "$place" "$root$place"
done
here=$PWD
[ -d "$root$here" ] || here=/
exec chroot "$root" /usr/bin/env -C "$here" qemu-system-x86_64 "$@"
