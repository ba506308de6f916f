#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stands in for QEMU in tests of agent and controller: makes its monitor's socket file, and stays.
for word in "$@"; do
  case $word in
    unix:*/qmp.sock,*)
      socket=${word#unix:}
      : >"${socket%%,*}"
      ;;
  esac
done
exec sleep 600
