#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# QEMU whose console is a socket with a log, as libvirt makes it, instead of a file. To be given as `--qemu`.
args=()
for word in "$@"; do
  if [[ $word =~ ^file,id=serial0,path=(.*),append=on$ ]]; then
    file=${BASH_REMATCH[1]}
    word=socket,id=serial0,path=${file%/*}/console.sock,server=on,wait=off,logfile=$file,logappend=on
  fi
  args+=("$word")
done
exec qemu-system-x86_64 "${args[@]}"
