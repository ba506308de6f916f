#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by npm after it has installed: builds what is native, or says in a sentence why that cannot be.
set -eu

missing=''
for tool in make gcc g++; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "lockstep: to build its native parts this needs:$missing." >&2
    echo "lockstep: on Debian or Ubuntu: apt-get install make gcc g++; then run npm ci again." >&2
    exit 1
fi
if [ ! -e /usr/include/linux/userfaultfd.h ]; then
    echo "lockstep: the kernel's headers for programs are missing: apt-get install libc6-dev linux-libc-dev." >&2
    exit 1
fi
exec make -s -C "$(dirname "$0")/.."
