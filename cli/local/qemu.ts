// SPDX-License-Identifier: Apache-2.0
// The command line of the VM's QEMU. Pure: the same machine gives the same devices at the same addresses,
// which both sides must have or a clone does not load.
import {
  diskArguments,
  engineArguments,
  networkArguments,
  shimEnvironment as shimSwitches,
  type Mode,
  type ShimFiles,
} from '../../sidecar/qemu/arguments.js';

/** `kubevirt`: the machine KubeVirt 1.7 makes by default. `small`: NIC and serial port only, boots faster. */
export type MachineModel = 'kubevirt' | 'small';

export type DiskBus = 'virtio-blk' | 'virtio-scsi';

/** A disk as the guest sees it. The first one is `disk0`. */
export interface MachineDisk {
  readonly bus: DiskBus;
  readonly bytes: number;
  /** The disk's sector: 512 or 4096. */
  readonly sectorBytes: number;
}

export const diskId = (index: number): string => `disk${String(index)}`;

/** What the guest sees; equal on both sides. */
export interface Machine {
  readonly model: MachineModel;
  readonly memoryMiB: number;
  readonly cpu: string;
  readonly mac: string;
  /** 8-4-4-4-12 hex. */
  readonly uuid: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Kernel command line. */
  readonly append: string;
  readonly disks: readonly MachineDisk[];
}

/** What this incarnation has for itself. */
export interface QemuPaths {
  readonly qmpSocket: string;
  readonly netSocket: string;
  readonly serialFile: string;
  readonly vncSocket: string;
  /** One for each of the machine's disks: where its image is served. */
  readonly diskSockets: readonly string[];
}

export interface QemuLaunch {
  readonly machine: Machine;
  readonly paths: QemuPaths;
  readonly mode: Mode;
  readonly qemuBinary: string;
}

/** libvirt gives the root bus's slots from 2 on to root ports; KubeVirt's default machine has nine of them. */
const ROOT_PORTS = 9;
const ROOT_PORT_SLOT = 2;
const PORTS_PER_SLOT = 8;

const rootPort = (index: number): string[] => {
  const slot = ROOT_PORT_SLOT + Math.floor(index / PORTS_PER_SLOT);
  const fn = index % PORTS_PER_SLOT;
  const device = {
    driver: 'pcie-root-port',
    port: 16 + index,
    chassis: index + 1,
    id: `pci.${index + 1}`,
    bus: 'pcie.0',
    ...(fn === 0 ? { multifunction: true } : {}),
    addr: `0x${slot.toString(16)}.0x${fn.toString(16)}`,
  };
  return ['-device', JSON.stringify(device)];
};

const onPort = (driver: string, port: number, more: Record<string, unknown> = {}): string[] => [
  '-device',
  JSON.stringify({ driver, ...more, bus: `pci.${port}`, addr: '0x0' }),
];

const NETDEV = 'net0';

/**
 * The clock of the guest comes from the log, so: no HPET (it recomputes on load), random numbers from a
 * built-in source (a host's random device is not replayed), no announcing by guest or QEMU (the sidecar does).
 */
const nic = (machine: Machine) => ({
  netdev: NETDEV,
  id: 'nic0',
  mac: machine.mac,
  romfile: '',
  guest_announce: false,
});

/**
 * No more requests at once than QEMU's NBD client has under way (16, MAX_NBD_REQUESTS): one that had to wait there would
 * be sent, and its data be read from the guest's memory, at a moment that differs between the sides.
 */
const QUEUE_SIZE = 16;

/**
 * Of a disk on either bus. Geometry is given, or QEMU would read the first sector to guess one, and a backup's image is
 * not whole at its start. Errors go to the guest, never stop the machine: a stop is in no log.
 */
const diskFacts = (disk: MachineDisk, index: number) => ({
  drive: diskId(index),
  id: `${diskId(index)}-dev`,
  serial: diskId(index),
  logical_block_size: disk.sectorBytes,
  physical_block_size: disk.sectorBytes,
  cyls: 16383,
  heads: 16,
  secs: 63,
  werror: 'report',
  rerror: 'report',
});

const SCSI_PORT = 2;
const FIRST_DISK_PORT = 6;

const smallDisk = (disk: MachineDisk, index: number): string[] => [
  '-device',
  JSON.stringify(
    disk.bus === 'virtio-blk'
      ? {
          driver: 'virtio-blk-pci',
          ...diskFacts(disk, index),
          'num-queues': 1,
          'queue-size': QUEUE_SIZE,
          bus: 'pcie.0',
          addr: `0x${(3 + index).toString(16)}`,
        }
      : { driver: 'scsi-hd', ...diskFacts(disk, index), bus: 'scsi0.0', lun: index },
  ),
];

const kubevirtDisk = (disk: MachineDisk, index: number): string[] =>
  disk.bus === 'virtio-blk'
    ? onPort('virtio-blk-pci-non-transitional', FIRST_DISK_PORT + index, {
        ...diskFacts(disk, index),
        'num-queues': 1,
        'queue-size': QUEUE_SIZE,
      })
    : smallDisk(disk, index);

const scsiQueue = { num_queues: 1, virtqueue_size: QUEUE_SIZE };

const hasScsi = (machine: Machine): boolean => machine.disks.some(({ bus }) => bus === 'virtio-scsi');

const smallDevices = ({ machine }: QemuLaunch): string[] => [
  '-smp',
  '1',
  '-vga',
  'none',
  '-device',
  JSON.stringify({ driver: 'virtio-net-pci', ...nic(machine), bus: 'pcie.0', addr: '0x2' }),
  ...(hasScsi(machine)
    ? [
        '-device',
        JSON.stringify({ driver: 'virtio-scsi-pci', id: 'scsi0', ...scsiQueue, bus: 'pcie.0', addr: '0x8' }),
      ]
    : []),
  ...machine.disks.flatMap(smallDisk),
];

const kubevirtDevices = ({ machine, paths }: QemuLaunch): string[] => [
  '-smp',
  '1,maxcpus=4,sockets=4,dies=1,cores=1,threads=1',
  ...Array.from({ length: ROOT_PORTS }, (_, index) => rootPort(index)).flat(),
  ...onPort('virtio-net-pci-non-transitional', 1, nic(machine)),
  ...onPort('virtio-scsi-pci-non-transitional', SCSI_PORT, {
    id: 'scsi0',
    ...(hasScsi(machine) ? scsiQueue : {}),
  }),
  ...onPort('virtio-serial-pci-non-transitional', 3, { id: 'virtio-serial0' }),
  // What comes by this channel is in no log, so nobody may be at its other end; the guest finds it, as in KubeVirt's machine.
  '-chardev',
  'null,id=channel0',
  '-device',
  JSON.stringify({
    driver: 'virtserialport',
    bus: 'virtio-serial0.0',
    nr: 1,
    chardev: 'channel0',
    id: 'channel0-port',
    name: 'org.qemu.guest_agent.0',
  }),
  '-vnc',
  `unix:${paths.vncSocket}`,
  '-device',
  JSON.stringify({ driver: 'VGA', id: 'video0', vgamem_mb: 16, bus: 'pcie.0', addr: '0x1' }),
  ...onPort('virtio-balloon-pci-non-transitional', 4, { id: 'balloon0', 'free-page-reporting': true }),
  '-object',
  JSON.stringify({ 'qom-type': 'rng-builtin', id: 'rng-source0' }),
  ...onPort('virtio-rng-pci-non-transitional', 5, { rng: 'rng-source0', id: 'rng0' }),
  ...machine.disks.flatMap(kubevirtDisk),
];

const DEVICES: Record<MachineModel, (launch: QemuLaunch) => string[]> = {
  kubevirt: kubevirtDevices,
  small: smallDevices,
};

/**
 * Program and arguments. Memory is taken in full before anything runs: a backup must not find out that there is none when
 * it goes live, and a clone must not wait, page by page, for memory to be found and cleared.
 */
export function qemuCommand(launch: QemuLaunch): string[] {
  const { machine, paths, mode } = launch;
  return [
    launch.qemuBinary,
    '-name',
    'guest=lockstep,debug-threads=on',
    '-nodefaults',
    '-no-user-config',
    '-accel',
    'tcg',
    '-machine',
    'q35,hpet=off,usb=off,vmport=off',
    '-cpu',
    machine.cpu,
    '-m',
    `${machine.memoryMiB}M`,
    '-mem-prealloc',
    '-uuid',
    machine.uuid,
    '-rtc',
    'base=utc',
    '-display',
    'none',
    // Appended to, so that its bound can be kept while QEMU writes (bounded-file.ts).
    '-chardev',
    `file,id=serial0,path=${paths.serialFile},append=on`,
    '-serial',
    'chardev:serial0',
    ...networkArguments(NETDEV, paths.netSocket),
    ...paths.diskSockets.flatMap((socket, index) => diskArguments(diskId(index), socket)),
    ...DEVICES[machine.model](launch),
    '-kernel',
    machine.kernel,
    '-initrd',
    machine.initrd,
    '-append',
    machine.append,
    ...engineArguments(mode, paths.qmpSocket),
  ];
}

export interface ShimPaths extends ShimFiles {
  readonly shim: string;
}

/** Switches the shim on, in this QEMU only. */
export const shimEnvironment = ({ shim, ...files }: ShimPaths): Record<string, string> => ({
  LD_PRELOAD: shim,
  ...shimSwitches(files),
});
