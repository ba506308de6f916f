// SPDX-License-Identifier: Apache-2.0
import { AddonError, explain, type Meanings } from './errors.js';
import { native } from './native.js';

/** `error` is null when the machine is able; its message says what is missing and how to get it. */
export interface Probe {
  readonly error: AddonError | null;
}

export interface UserfaultfdProbe extends Probe {
  /** Guest memory shared or in huge pages (memfd) can be write-protected too (Linux 5.19). */
  readonly sharedMemory: boolean;
}

// UFFD_FEATURE_WP_HUGETLBFS_SHMEM of linux/userfaultfd.h.
const SHARED_MEMORY_FEATURE = 1n << 12n;

const UFFD: Meanings = {
  EPERM: [
    'UFFD_NOT_PERMITTED',
    'cloning needs userfaultfd: run as root, or set vm.unprivileged_userfaultfd=1 with sysctl',
  ],
  ENOSYS: ['UFFD_NOT_SUPPORTED', 'the kernel has no userfaultfd (CONFIG_USERFAULTFD), or seccomp hides it'],
  'UFFDIO_API:EINVAL': [
    'UFFD_NOT_SUPPORTED',
    "the kernel's userfaultfd cannot write-protect: Linux 5.7 or later is needed",
  ],
  'UFFDIO_REGISTER:EINVAL': [
    'UFFD_NOT_SUPPORTED',
    "the kernel's userfaultfd cannot write-protect: Linux 5.7 or later is needed",
  ],
};

const TUN: Meanings = {
  ENOENT: ['TAP_NO_DEVICE', '/dev/net/tun is missing: modprobe tun, or give the container the device'],
  ENODEV: ['TAP_NO_DEVICE', 'the kernel has no tun driver: modprobe tun'],
  ENXIO: ['TAP_NO_DEVICE', 'the kernel has no tun driver: modprobe tun'],
  EACCES: ['TAP_NOT_PERMITTED', 'this user may not open /dev/net/tun'],
  EPERM: ['TAP_NOT_PERMITTED', 'making a tap needs CAP_NET_ADMIN: run as root'],
};

function asAddonError(error: unknown, about: string, meanings: Meanings): AddonError {
  const explained = explain(error, about, meanings);
  if (explained instanceof AddonError) return explained;
  throw explained;
}

/** Write-protects a page by userfaultfd, as QEMU's background snapshot does with guest memory. */
export function probeUserfaultfd(): UserfaultfdProbe {
  try {
    const features = native.probeUserfaultfd();
    return { error: null, sharedMemory: (features & SHARED_MEMORY_FEATURE) !== 0n };
  } catch (error) {
    return { error: asAddonError(error, 'userfaultfd', UFFD), sharedMemory: false };
  }
}

/** Makes a throw-away tap. */
export function probeTun(): Probe {
  try {
    native.probeTun();
    return { error: null };
  } catch (error) {
    return { error: asAddonError(error, 'tap', TUN) };
  }
}
