#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the test guest from Debian packages: build/guest/{vmlinuz,initrd.cpio,version}.
# Downloads once (build/guest/debs); a second run with nothing changed does nothing, one with changes
# here needs no network. The same packages and sources give the same bytes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/build/guest
debs=$out/debs

# What the kernel has as modules of the machine's devices; those they need come along.
modules=(virtio_pci virtio_net virtio_blk sd_mod virtio_scsi virtio_console virtio_balloon virtio-rng)
packages=(
  busybox-static redis-tools redis-server
  libc6 libatomic1 liblzf1 libjemalloc2 libsystemd0 libssl3 libstdc++6 libgcc-s1
  libcap2 libgcrypt20 libgpg-error0 liblzma5 libzstd1 liblz4-1
)

say() { echo "guest: $*"; }
fail() {
  echo "guest: $*" >&2
  exit 1
}

sources_digest() { cat "$here/build.sh" "$here/init" "$here"/*.[ch] | sha256sum | cut -d' ' -f1; }

# The metapackage names the kernel that this suite currently has.
kernel_package() {
  apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*-cloud-amd64\)$/\1/p' | head -1
}

download() {
  rm -rf "$debs.part"
  mkdir -p "$debs.part"
  [ -n "$(kernel_package)" ] || apt-get update -qq || fail "package lists can't be fetched: no network?"
  local kernel
  kernel=$(kernel_package)
  [ -n "$kernel" ] || fail "the configured Debian mirror has no linux-image-cloud-amd64"
  say "downloading $kernel, Redis and $((${#packages[@]} - 2)) more packages"
  fetch() { (cd "$debs.part" && apt-get -qq -o APT::Sandbox::User=root download "$kernel" "${packages[@]}"); }
  # Lists that are older than the mirror name packages that are gone: once more with fresh ones.
  fetch || { apt-get update -qq && fetch; } || fail "packages can't be downloaded: no network?"
  rm -rf "$debs"
  mv "$debs.part" "$debs"
}

find_one() {
  local found
  found=$(find "$1" -name "$2" -print -quit)
  [ -n "$found" ] || fail "the packages hold no $2"
  echo "$found"
}

# Copies the libraries that the ELF file $1 needs, and what those need, from the unpacked packages.
copy_libraries() {
  local name file
  for name in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    [ -e "$root/lib/$name" ] && continue
    file=$(find_one "$unpacked" "$name")
    cp -L "$file" "$root/lib/$name"
    copy_libraries "$root/lib/$name"
  done
}

# Copies module $1 behind those it needs, and notes the order in which they can be inserted. File names
# have '-' where the modules' own names have '_'.
copy_module() {
  local file needed
  file=$(find_one "$unpacked/lib/modules" "${1//_/[-_]}.ko")
  [ -e "$root/modules/$(basename "$file")" ] && return
  for needed in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do copy_module "$needed"; done
  cp "$file" "$root/modules/"
  basename "$file" >>"$root/modules/order"
}

build_root() {
  local deb name
  for deb in "$debs"/*.deb; do dpkg -x "$deb" "$unpacked"; done
  mkdir -p "$root"/{bin,lib,lib64,modules}
  cp "$(find_one "$unpacked/bin" busybox)" "$root/bin/busybox"
  cp -L "$unpacked/usr/bin/redis-server" "$root/bin/redis-server"
  copy_libraries "$root/bin/redis-server"
  # The loader's path is fixed in every program; libraries are found in /lib by default.
  mv "$root/lib/ld-linux-x86-64.so.2" "$root/lib64/"
  for name in "${modules[@]}"; do copy_module "$name"; done
  cp "$here/init" "$root/init"
  cc -O2 -static -Wall -Wextra -Werror -o "$root/bin/guestd" "$here"/*.c
  strip "$root/bin/guestd"
  chmod 755 "$root/init" "$root"/bin/*
}

# Not compressed: the firmware hands it over at memory speed, a guest under emulation would unpack it slowly.
pack() {
  find "$root" -exec touch -h -d @0 {} +
  (cd "$root" && find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc) >"$out/initrd.cpio.part"
  mv "$out/initrd.cpio.part" "$out/initrd.cpio"
}

version() { (cd "$debs" && find . -name '*.deb' -printf '%f\n' | LC_ALL=C sort); }

mkdir -p "$out"
wanted=$(sources_digest)
if [ -f "$out/vmlinuz" ] && [ -f "$out/initrd.cpio" ] && [ "$(head -1 "$out/version" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
[ -d "$debs" ] || download
say "building"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unpacked=$work/unpacked
root=$work/root
mkdir "$unpacked"
build_root
pack
cp "$(find_one "$unpacked/boot" 'vmlinuz-*')" "$out/vmlinuz"
{ echo "$wanted"; version; } >"$out/version"
say "done: $(du -h "$out/initrd.cpio" | cut -f1) of initramfs, $(basename "$(find_one "$unpacked/boot" 'vmlinuz-*')")"
