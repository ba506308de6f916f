// SPDX-License-Identifier: Apache-2.0
/**
 * The machine that libvirt asks for, made such that it can be recorded and followed: the same devices at the same
 * addresses, without what no log holds. What cannot be made so is refused, in words that name what to change. Pure.
 */
import { ArgvError, formatKeys, parseKeys, textOf, without, type Keys, type Option } from './options.js';

export interface MachineOptions {
  /** QEMU's name of the processor that the guest sees. */
  readonly cpuModel: string;
  /** Address of the NIC, where it is not to be libvirt's. */
  readonly mac: string | null;
}

/** Releases of Debian's QEMU that the bundle's knows; any other name of a q35 (Enterprise Linux has its own) becomes ours. */
const KNOWN_MACHINE = /^pc-q35-([3-9]\.\d|10\.0)$/;
const ANY_Q35 = /^(pc-)?q35/;
const OUR_MACHINE = 'pc-q35-10.0';

type Rule = (keys: Keys, options: MachineOptions) => Option[];

const keepDevice: Rule = (keys) => [json('device', keys)];
const dropped: Rule = () => [];

/** What becomes of a device, by driver and without the endings of virtio's PCI forms. Others a clone cannot follow. */
const DEVICES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['pcie-root-port', keepDevice],
  ['pcie-pci-bridge', keepDevice],
  ['virtio-net', (keys, options) => [json('device', nic(keys, options))]],
  ['virtio-scsi', keepDevice],
  ['virtio-serial', keepDevice],
  ['virtio-rng', rng],
  // What it does changes the guest from outside the log.
  ['virtio-balloon', dropped],
  ['isa-serial', serial],
  ['virtserialport', channel],
  ['VGA', keepDevice],
]);

const CURES: ReadonlyMap<string, string> = new Map([
  ['vfio', 'host devices and SR-IOV cannot be followed: use a virtio interface'],
  ['tpm-crb', 'a TPM is outside the log: leave domain.devices.tpm out'],
  ['tpm-tis', 'a TPM is outside the log: leave domain.devices.tpm out'],
  ['vhost-vsock', 'vsock is outside the log: leave autoattachVSOCK out'],
  ['vhost-user-fs', 'virtiofs is outside the log: leave the filesystem out'],
  ['virtio-blk', 'disks are not supported yet: leave disks and volumes out'],
  ['scsi-hd', 'disks are not supported yet: leave disks and volumes out'],
  ['scsi-cd', 'disks are not supported yet: leave disks and volumes out'],
  ['ide-cd', 'disks are not supported yet: leave disks and volumes out'],
  ['usb-tablet', 'USB cannot be followed: leave domain.devices.inputs out'],
  ['qemu-xhci', 'USB cannot be followed: leave domain.devices.inputs and clientPassthrough out'],
  ['i6300esb', 'this watchdog cannot be followed: leave domain.devices.watchdog out'],
]);

const GUEST_AGENT = 'org.qemu.guest_agent.0';

/** Before the name of a character device that libvirt has made already. */
export const SERIAL_PREFIX = 'chardev:';

const driverOf = (driver: string): string => driver.replace(/-pci(-(non-)?transitional)?$/, '');

function device(value: string, options: MachineOptions): Option[] {
  const keys = parseKeys(value, 'driver');
  const driver = driverOf(textOf(keys, 'driver') ?? '');
  const rule = DEVICES.get(driver);
  if (rule !== undefined) return rule(keys, options);
  const cure = CURES.get(driver) ?? 'leave it out of the VM';
  throw new ArgvError('device', `device ${driver} cannot be protected: ${cure}`);
}

const json = (name: string, value: Keys): Option => ({ name, value: JSON.stringify(value) });

function rng(keys: Keys): Option[] {
  if (keys['max-bytes'] === undefined) return [json('device', keys)];
  throw new ArgvError('device', 'a virtio-rng with a rate limit cannot be followed: leave the limit out');
}

/**
 * The console. QEMU logs what people type only for character devices that `-serial` takes: behind `-device` it would
 * reach the guest on one side alone. The machine makes the same serial port at the same address of it.
 */
function serial(keys: Keys): Option[] {
  const chardev = textOf(keys, 'chardev');
  if (chardev === undefined || (textOf(keys, 'index') ?? '0') !== '0') {
    throw new ArgvError('device', 'a second serial port cannot be protected: one console is supported');
  }
  return [{ name: 'serial', value: `${SERIAL_PREFIX}${chardev}` }];
}

/** Whoever holds the other end of a channel is seen by the guest, and is in no log. The agent's is left out. */
function channel(keys: Keys): Option[] {
  const name = textOf(keys, 'name') ?? '';
  if (name === GUEST_AGENT) return [];
  throw new ArgvError(
    'device',
    `channel ${name} cannot be protected: leave out what asks for it (downwardMetrics)`,
  );
}

/** The sidecar announces the guest after a failover, at the right moment; one queue, because each has its own order. */
function nic(keys: Keys, { mac }: MachineOptions): Keys {
  const rest = without(keys, 'mq', 'vectors', 'guest_announce');
  return { ...rest, ...(mac === null ? {} : { mac }), guest_announce: false };
}

function object(value: string): Option[] {
  const keys = parseKeys(value, 'qom-type');
  const type = textOf(keys, 'qom-type') ?? '';
  const id = textOf(keys, 'id') ?? '';
  switch (type) {
    case 'rng-random': // what it gives is in no log
    case 'rng-builtin':
      return [json('object', { 'qom-type': 'rng-builtin', id })];
    case 'memory-backend-ram':
      return [json('object', { ...keys, prealloc: true })];
    case 'memory-backend-memfd':
    case 'memory-backend-file':
      throw new ArgvError(
        'memory',
        'memory that is shared or of huge pages cannot be cloned: leave hugepages, virtiofs and vhost-user out',
      );
    default:
      throw new ArgvError(
        'object',
        `QEMU object ${type} is not known to be safe: leave out what asks for it`,
      );
  }
}

function machine(value: string): Option {
  const keys = without(parseKeys(value, 'type'), 'accel', 'hpet', 'kernel_irqchip');
  const type = textOf(keys, 'type') ?? '';
  if (!ANY_Q35.test(type)) {
    throw new ArgvError('machine', `machine ${type} cannot be protected: set domain.machine.type to q35`);
  }
  if (Object.keys(keys).some((key) => key.startsWith('pflash'))) {
    throw new ArgvError(
      'firmware',
      'EFI with a variable store is a disk: leave domain.firmware.bootloader.efi out',
    );
  }
  // The HPET computes its timers anew on load: a clone would not follow.
  const made = { ...keys, type: KNOWN_MACHINE.test(type) ? type : OUR_MACHINE, hpet: 'off' };
  return { name: 'machine', value: formatKeys(made, 'type') };
}

function smp(value: string): Option {
  const cpus = textOf(parseKeys(value, 'cpus'), 'cpus');
  if (cpus !== '1') {
    throw new ArgvError(
      'cpus',
      `${cpus ?? 'several'} vCPUs: record and replay orders the events of one, set domain.cpu.cores to 1`,
    );
  }
  return { name: 'smp', value };
}

const refuse = (code: string, message: string) => (): never => {
  throw new ArgvError(code, message);
};

const NO_DISKS = refuse('disk', 'disks are not supported yet: leave disks and volumes out');
const keep =
  (name: string) =>
  (value: string): Option[] => [{ name, value }];

/** What each of libvirt's options of the machine becomes. */
const RULES: ReadonlyMap<string, (value: string, options: MachineOptions) => Option[]> = new Map(
  Object.entries({
    machine: (value) => [machine(value)],
    M: (value) => [machine(value)],
    // Ours are put in, also where libvirt leaves it to QEMU.
    accel: () => [],
    cpu: () => [],
    smp: (value) => [smp(value)],
    object: (value) => object(value),
    device: (value, options) => device(value, options),
    m: keep('m'),
    overcommit: keep('overcommit'),
    uuid: keep('uuid'),
    smbios: keep('smbios'),
    rtc: keep('rtc'),
    boot: keep('boot'),
    kernel: keep('kernel'),
    initrd: keep('initrd'),
    append: keep('append'),
    global: keep('global'),
    'watchdog-action': keep('watchdog-action'),
    vga: keep('vga'),
    display: keep('display'),
    'enable-kvm': () => [],
    'no-acpi': () => [{ name: 'no-acpi', value: null }],
    'no-hpet': () => [],
    'no-user-config': () => [{ name: 'no-user-config', value: null }],
    nodefaults: () => [{ name: 'nodefaults', value: null }],
    // QEMU ends with its guest, as on one machine; KubeVirt sees a domain that is shut off either way.
    'no-shutdown': () => [],
    // As the VM wishes it (rebootPolicy Terminate); else its guest starts anew in the same QEMU, on both sides.
    'no-reboot': () => [{ name: 'no-reboot', value: null }],
    'mem-prealloc': () => [],
    blockdev: NO_DISKS,
    drive: NO_DISKS,
    hda: NO_DISKS,
    cdrom: NO_DISKS,
    tpmdev: refuse('tpm', 'a TPM is outside the log: leave domain.devices.tpm out'),
    fsdev: refuse('filesystem', 'file systems of the host are outside the log: leave them out'),
    numa: refuse('numa', 'NUMA and memory hot-plug are not supported: leave them out'),
  }),
);

export const isOfMachine = ({ name }: Option): boolean => RULES.has(name);

/**
 * The machine's options as both sides start them; host-bound ones must not be among them.
 * @throws ArgvError
 */
export function machineOptions(options: readonly Option[], chosen: MachineOptions): Option[] {
  const made = options.flatMap(({ name, value }) => {
    const rule = RULES.get(name);
    if (rule === undefined) throw new ArgvError('option', `QEMU option -${name} is not known to be safe`);
    return rule(value ?? '', chosen);
  });
  const nics = made.filter(({ name, value }) => name === 'device' && value?.includes('"virtio-net') === true);
  if (nics.length !== 1) {
    throw new ArgvError('interfaces', `${nics.length} virtio network interfaces: one is what is supported`);
  }
  if (!made.some(({ name }) => name === 'machine')) {
    throw new ArgvError('machine', 'no machine: set domain.machine.type to q35');
  }
  return [{ name: 'accel', value: 'tcg' }, { name: 'cpu', value: chosen.cpuModel }, ...made];
}
