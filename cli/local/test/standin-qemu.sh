#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stands in for QEMU in tests of agent and controller: makes its monitor's socket file, and stays, but not with a
# processor that it does not know.
for word in "$@"; do
  case $word in
    unix:*/qmp.sock,*)
      socket=${word#unix:}
      : >"${socket%%,*}"
      ;;
  esac
done
case "$*" in
  *'-cpu nosuchcpu'*)
    echo "standin: unable to find CPU model 'nosuchcpu'" >&2
    exit 1
    ;;
esac
exec sleep 600
