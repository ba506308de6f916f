#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# QEMU whose virtio-rng renews its allowance every second instead of every 65.536 s. To be given as `--qemu`.
exec qemu-system-x86_64 -global virtio-rng-device.period=1000 "$@"
