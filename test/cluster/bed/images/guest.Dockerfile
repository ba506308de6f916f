# SPDX-License-Identifier: Apache-2.0
# The test guest, for a VMI's kernelBoot.
FROM scratch
COPY --chmod=644 vmlinuz initrd.cpio /boot/
