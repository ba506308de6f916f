// SPDX-License-Identifier: Apache-2.0
/** Processor, memory, clock and firmware of a machine that can be recorded, cloned and followed. */
import { bytesOf, MEBIBYTE } from './quantity.js';
import { absent, empty, isSet, needed, off, rule, type LooseSpec, type Rule } from './rule.js';

/** Both names of the chipset that the bundle's QEMU is tried with; its releases are sidecar/kubevirt/argv's business. */
const Q35 = /^(pc-)?q35(-|$)/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const vcpus = ({ domain }: LooseSpec): number =>
  (domain?.cpu?.cores ?? 1) * (domain?.cpu?.sockets ?? 1) * (domain?.cpu?.threads ?? 1);

const isInWholeMebibytes = (bytes: number): boolean => bytes >= MEBIBYTE && bytes % MEBIBYTE === 0;

export const MACHINE: readonly Rule[] = [
  rule(
    'spec.architecture',
    'guests are of amd64: leave architecture out',
    (value) => isSet(value) && value !== 'amd64',
  ),
  rule(
    'spec.domain.machine.type',
    'of all chipsets q35 can be followed: leave machine out, or set its type to q35',
    (value) => isSet(value) && !Q35.test(String(value)),
  ),

  rule(
    'spec.domain.cpu',
    'record and replay orders the events of one vCPU: set cores, sockets and threads to 1',
    (_, spec) => vcpus(spec) !== 1,
  ),
  absent(
    'spec.domain.cpu.model',
    'the guest sees the same processor on every node: leave model out, spec.cpuModel names it',
  ),
  empty(
    'spec.domain.cpu.features',
    'the guest sees the same processor on every node: leave features out, spec.cpuModel takes them (EPYC,-avx2)',
  ),
  off(
    'spec.domain.cpu.dedicatedCpuPlacement',
    'the sidecar and QEMU share the pod: leave dedicatedCpuPlacement out',
  ),
  off(
    'spec.domain.cpu.isolateEmulatorThread',
    'leave isolateEmulatorThread out, there are no dedicated CPUs',
  ),
  absent('spec.domain.cpu.numa', 'memory of NUMA nodes cannot be cloned: leave numa out'),
  absent('spec.domain.cpu.realtime', 'a guest under emulation has no real time: leave realtime out'),
  absent('spec.domain.ioThreads', 'I/O threads have an order of their own: leave ioThreads out'),
  absent('spec.domain.ioThreadsPolicy', 'I/O threads have an order of their own: leave ioThreadsPolicy out'),

  rule(
    'spec.domain.memory.guest',
    'say how much memory the guest has, in whole MiB: 512Mi for instance',
    (value, { domain }) => !isInWholeMebibytes(bytesOf(value ?? domain?.resources?.requests?.['memory'])),
  ),
  absent('spec.domain.memory.hugepages', 'huge pages cannot be cloned page by page: leave hugepages out'),
  absent('spec.domain.memory.maxGuest', 'memory cannot be added to a protected VM: leave maxGuest out'),
  absent(
    'spec.domain.resources.limits.memory',
    'emulation needs memory that KubeVirt does not count, and a limit would end both sides at once: leave limits.memory out',
  ),
  absent('spec.domain.launchSecurity', 'encrypted memory cannot be cloned: leave launchSecurity out'),

  absent(
    'spec.domain.clock.timezone',
    'the machine’s clock is UTC, as QEMU’s replay wants it: leave timezone out, and set it in the guest',
  ),
  rule(
    'spec.domain.clock.timer.hpet',
    'the HPET computes its timers anew in a clone: leave hpet out, or set present: false',
    (value) => isSet(value) && (value as { readonly present?: unknown }).present !== false,
  ),
  rule(
    'spec.domain.clock.timer.rtc.tickPolicy',
    'a clock that catches up computes its timers anew in a clone: leave tickPolicy out',
    (value) => isSet(value) && value !== 'delay',
  ),
  absent('spec.domain.features.hyperv', 'Hyper-V features need KVM, guests are emulated: leave hyperv out'),
  absent(
    'spec.domain.features.hypervPassthrough',
    'Hyper-V features need KVM, guests are emulated: leave hypervPassthrough out',
  ),

  needed(
    'spec.domain.firmware.kernelBoot.container.image',
    'the guest has nothing to boot from: name the image that holds its kernel, as disks are not supported yet',
  ),
  needed(
    'spec.domain.firmware.kernelBoot.container.kernelPath',
    'the guest has nothing to boot from: say where its kernel is in the image, /boot/vmlinuz for instance',
  ),
  rule(
    'spec.domain.firmware.uuid',
    'this is no UUID: write one (uuidgen makes it) or leave uuid out, it is made of the resource',
    (value) => isSet(value) && !UUID.test(String(value)),
  ),
  absent('spec.domain.firmware.bootloader.efi', 'EFI keeps its variables on a disk: use bios'),
  absent(
    'spec.domain.firmware.acpi',
    'ACPI tables come in volumes, which are not supported yet: leave acpi out',
  ),
];
