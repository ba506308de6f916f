// SPDX-License-Identifier: Apache-2.0
/** Devices whose every input is in the log, and whose state a clone takes over. */
import { absent, empty, isSet, off, rule, type Rule } from './rule.js';

const NO_DISKS = 'disks are not supported yet: boot the guest by domain.firmware.kernelBoot';

export const DEVICES: readonly Rule[] = [
  absent(
    'spec.domain.devices.rng',
    "random numbers of the host are in no log: leave rng out, the guest's kernel has its own source",
  ),
  absent('spec.domain.devices.tpm', 'what a TPM answers is in no log: leave tpm out'),
  absent('spec.domain.devices.watchdog', "the watchdog's timer cannot be followed: leave watchdog out"),
  absent('spec.domain.devices.sound', 'sound cannot be followed: leave sound out'),
  absent(
    'spec.domain.devices.clientPassthrough',
    'USB of a client is outside the log: leave clientPassthrough out',
  ),
  absent(
    'spec.domain.devices.downwardMetrics',
    "the host's metrics are in no log: leave downwardMetrics out",
  ),
  absent('spec.domain.devices.panicDevices', 'panic devices cannot be followed: leave panicDevices out'),
  rule(
    'spec.domain.devices.video.type',
    'of all video devices vga can be followed: leave video out',
    (value) => isSet(value) && value !== 'vga',
  ),
  empty('spec.domain.devices.inputs', 'USB input cannot be followed: leave inputs out'),
  empty('spec.domain.devices.gpus', 'GPUs cannot be followed: leave gpus out'),
  empty('spec.domain.devices.hostDevices', 'host devices cannot be followed: leave hostDevices out'),
  empty('spec.domain.devices.filesystems', 'virtiofs is outside the log: leave filesystems out'),
  empty('spec.domain.devices.disks', NO_DISKS),
  off(
    'spec.domain.devices.networkInterfaceMultiqueue',
    "a guest's network has one queue: leave networkInterfaceMultiqueue out",
  ),
  off(
    'spec.domain.devices.autoattachMemBalloon',
    'the balloon changes the guest from outside the log: leave autoattachMemBalloon out',
  ),
  off('spec.domain.devices.autoattachVSOCK', 'vsock is outside the log: leave autoattachVSOCK out'),
  off(
    'spec.domain.devices.autoattachInputDevice',
    'USB input cannot be followed: leave autoattachInputDevice out',
  ),
  off(
    'spec.domain.devices.logSerialConsole',
    'the container that keeps the log of a console can hold up the start of a side: leave logSerialConsole out',
  ),
  empty('spec.volumes', NO_DISKS),
  empty('spec.utilityVolumes', 'volumes are not supported yet: leave utilityVolumes out'),
  empty('spec.resourceClaims', 'devices of the host cannot be followed: leave resourceClaims out'),
  empty(
    'spec.accessCredentials',
    'keys and passwords come by an agent or on a disk, and neither is supported yet: put them into the image, leave accessCredentials out',
  ),
];
