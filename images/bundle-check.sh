#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does the bundle run where there is nothing else? Tries it with the bundle as the root folder. Run while the
# sidecar's image is built.
#   bundle-check.sh FOLDER
set -euo pipefail

bundle=$1
emulator=(/lib/ld-linux-x86-64.so.2 --library-path /lib)
quit='{"execute":"qmp_capabilities"}
{"execute":"quit"}'

fail() {
  echo "bundle-check.sh: $*" >&2
  exit 1
}

# inside ARGUMENTS...: the loader in the bundle, with a time-out: a QEMU that does not end must not outlive the build.
inside() { timeout -k 5 30 chroot "$bundle" "${emulator[@]}" "$@" 2>&1; }

said=$(inside /bin/qemu-system-x86_64 -version) || fail "QEMU does not start: $said"
[[ $said =~ version\ 10\.0\. ]] || fail "the shim knows QEMU 10.0.x; this is: $said"

# What libvirt asks first.
said=$(inside --preload /lockstep-shim.so /bin/qemu-system-x86_64 -S -no-user-config -nodefaults -nographic \
  -machine none,accel=tcg -qmp stdio <<<"$quit") || fail "a probe fails: $said"

# A whole machine with video, a boot ROM and VNC: it has to find its firmware and a key map.
machine=(-S -nodefaults -no-user-config -machine q35 -accel tcg -m 64M -qmp stdio
  -device VGA -device virtio-net-pci -vnc none)
said=$(inside --preload /lockstep-shim.so /bin/qemu-system-x86_64 -L /share/qemu "${machine[@]}" <<<"$quit") ||
  fail "a machine does not start: $said"
said=$(inside /bin/qemu-system-x86_64 "${machine[@]}" <<<"$quit") &&
  fail "a machine starts without -L: this check would not notice firmware that is missing"

# Asked to record, the shim must speak up, as it has neither ring nor /dev/null here: it is loaded, and QEMU's log
# goes through it.
said=$(LOCKSTEP_RING=/no-ring inside --preload /lockstep-shim.so /bin/qemu-system-x86_64 -S -nodefaults \
  -machine none -display none -icount shift=1,rr=record,rrfile=lockstep.ftlog -qmp stdio <<<"$quit") &&
  fail "QEMU records without a ring: the shim is not in it"
[[ $said == *"lockstep: "* ]] || fail "the shim should have refused to record, but this was said: $said"

echo "bundle-check.sh: $(du -sh "$bundle" | cut -f1), QEMU starts by its own loader, finds its firmware, and the shim answers"
