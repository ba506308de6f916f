#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Puts a QEMU that needs nothing of the root it runs in into a folder: the emulator, its libraries, their loader
# and the firmware that it looks for under -L. Run while the sidecar's image is built; works on any Debian with
# qemu-system-x86 installed.
#   bundle.sh FOLDER
set -euo pipefail

bundle=$1
qemu=/usr/bin/qemu-system-x86_64
loader=/lib64/ld-linux-x86-64.so.2
# Where Debian's QEMU has its firmware: its own, SeaBIOS's and that of iPXE.
firmware_dirs=(/usr/share/qemu /usr/share/seabios /usr/lib/ipxe/qemu)
# What a q35 or pc machine may load: BIOS, video BIOS, -kernel's boot ROMs, virtio-net's boot ROM.
firmware=(
  bios.bin bios-256k.bin kvmvapic.bin linuxboot.bin linuxboot_dma.bin multiboot.bin multiboot_dma.bin pvh.bin
  vgabios.bin vgabios-stdvga.bin vgabios-virtio.bin vgabios-bochs-display.bin vgabios-ramfb.bin efi-virtio.rom
)

mkdir -p "$bundle"/{bin,lib,share/qemu}
cp -L "$qemu" "$bundle/bin/"
cp -L "$loader" "$bundle/lib/"
# ldd's lines are `name => path (address)`. The C library opens libgcc by name when a thread is cancelled: no line.
mapfile -t libraries < <(ldd "$qemu" | awk '$2 == "=>" { print $3 }')
[ "${#libraries[@]}" -gt 10 ] || { echo "bundle.sh: ldd tells no libraries of $qemu" >&2; exit 1; }
cp -L "${libraries[@]}" "$(ldconfig -p | awk '$1 == "libgcc_s.so.1" { print $NF; exit }')" "$bundle/lib/"

for name in "${firmware[@]}"; do
  for dir in "${firmware_dirs[@]}"; do
    [ -e "$dir/$name" ] && cp -L "$dir/$name" "$bundle/share/qemu/" && continue 2
  done
  echo "bundle.sh: no firmware $name in ${firmware_dirs[*]}" >&2
  exit 1
done
# VNC needs a key map, also when none is named.
cp -rL /usr/share/qemu/keymaps "$bundle/share/qemu/"
chmod -R a+rX,go-w "$bundle"
