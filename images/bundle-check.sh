#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does the bundle run where there is nothing else? Tries it in a root folder that has only /opt/lockstep, as launcher
# pods have it. Run while the sidecar's image is built.
#   bundle-check.sh ROOT
set -euo pipefail

root=$1
bundle=/opt/lockstep
emulator=$bundle/bin/qemu-system-x86_64
quit='{"execute":"qmp_capabilities"}
{"execute":"quit"}'

fail() {
  echo "bundle-check.sh: $*" >&2
  exit 1
}

# inside PROGRAM...: with a time-out, as a QEMU that does not end must not outlive the build.
inside() { timeout -k 5 30 chroot "$root" "$@" 2>&1; }
# QEMU as the door starts it; --preload and the like come first.
qemu() { inside $bundle/lib/ld-linux-x86-64.so.2 --library-path $bundle/lib "$@"; }

said=$(inside $bundle/door -version) || fail "QEMU does not start behind the door: $said"
[[ $said =~ version\ 10\.0\. ]] || fail "the shim knows QEMU 10.0.x; this is: $said"

# What libvirt asks first.
probe=(-S -no-user-config -nodefaults -nographic -machine 'none,accel=tcg' -qmp stdio)
said=$(inside $bundle/door "${probe[@]}" <<<"$quit") || fail "libvirt's probe fails: $said"

# A whole machine with video, a boot ROM and VNC: it has to find its firmware and a key map.
machine=(-S -nodefaults -no-user-config -machine q35 -accel tcg -m 64M -qmp stdio
  -device VGA -device virtio-net-pci -vnc none)
said=$(qemu --preload $bundle/lockstep-shim.so $emulator -L $bundle/share/qemu "${machine[@]}" <<<"$quit") ||
  fail "a machine does not start: $said"
said=$(qemu $emulator "${machine[@]}" <<<"$quit") &&
  fail "a machine starts without -L: this check would not notice firmware that is missing"

# Without a sidecar no machine starts through the door.
said=$(LOCKSTEP_DOOR_MS=200 inside $bundle/door "${machine[@]}" <<<"$quit") &&
  fail "the door starts a machine without a sidecar's word"
[[ $said == *"the VM is not started"* ]] || fail "the door should have refused, but this was said: $said"

# Asked to record, the shim must speak up, as it has neither ring nor /dev/null here: it is loaded, and QEMU's log
# goes through it.
said=$(LOCKSTEP_RING=/no-ring qemu --preload $bundle/lockstep-shim.so $emulator -S -nodefaults \
  -machine none -display none -icount shift=1,rr=record,rrfile=lockstep.ftlog -qmp stdio <<<"$quit") &&
  fail "QEMU records without a ring: the shim is not in it"
[[ $said == *"lockstep: "* ]] || fail "the shim should have refused to record, but this was said: $said"

size=$(du -sh "$root" | cut -f1)
echo "bundle-check.sh: $size, QEMU starts by its own loader and finds its firmware, shim and door do their part"
