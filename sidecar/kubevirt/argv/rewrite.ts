// SPDX-License-Identifier: Apache-2.0
/**
 * libvirt's command line into ours. It has two kinds of options: those of the machine, which must be the same on both
 * sides (machine.ts), and those that bind it to the host where it runs: descriptors, sockets, names, paths. A backup has
 * the primary's machine and the bindings of its own libvirt. Pure.
 */
import { createHash } from 'node:crypto';
import {
  engineArguments,
  networkArguments,
  shimEnvironment as shimSwitches,
  type Mode,
} from '../../qemu/arguments.js';
import { isOfMachine, machineOptions, SERIAL_PREFIX, type MachineOptions } from './machine.js';
import { ArgvError, formatOptions, parseKeys, parseOptions, textOf, type Option } from './options.js';

/** Of one start of QEMU. */
export interface Files {
  readonly dir: string;
  readonly qmpSocket: string;
  readonly netSocket: string;
  readonly ringFile: string;
  readonly cloneSocket: string;
  /** Folder of the firmware, where it is not the bundle's. */
  readonly firmware?: string;
}

/** Where the bundle is in a launcher pod (native/door). */
const FIRMWARE = '/opt/lockstep/share/qemu';

/** What binds QEMU to its host. */
const HOST_BOUND: ReadonlySet<string> = new Set([
  'name',
  'S',
  'object', // secrets only: the key of libvirt's own
  'chardev',
  'mon',
  'add-fd',
  'netdev',
  'vnc',
  'audiodev',
  'sandbox',
  'msg',
  'pidfile',
  'daemonize',
  'D',
  'd',
]);

const isSecret = ({ name, value }: Option): boolean =>
  name === 'object' && textOf(parseKeys(value ?? '', 'qom-type'), 'qom-type') === 'secret';

const isHostBound = (option: Option): boolean =>
  HOST_BOUND.has(option.name) && (option.name !== 'object' || isSecret(option));

interface Split {
  readonly machine: readonly Option[];
  readonly host: readonly Option[];
}

function split(argv: readonly string[]): Split {
  const options = parseOptions(argv);
  const unknown = options.find((option) => !isHostBound(option) && !isOfMachine(option));
  if (unknown !== undefined) {
    throw new ArgvError(
      'option',
      `QEMU option -${unknown.name} is not known to be safe: leave out what asks for it`,
    );
  }
  return {
    machine: options.filter((option) => !isHostBound(option)),
    host: options.filter(isHostBound),
  };
}

/** The network interface that libvirt attaches: its netdev's name. @throws ArgvError */
function netdevOf(host: readonly Option[]): string {
  const netdevs = host
    .filter(({ name }) => name === 'netdev')
    .map(({ value }) => parseKeys(value ?? '', 'type'));
  const [first] = netdevs;
  const id = first === undefined ? undefined : textOf(first, 'id');
  if (first === undefined || id === undefined || netdevs.length > 1) {
    throw new ArgvError('interfaces', `${netdevs.length} network interfaces: one is what is supported`);
  }
  if (textOf(first, 'type') !== 'tap' || textOf(first, 'fd') === undefined) {
    const type = textOf(first, 'type') ?? 'unknown';
    throw new ArgvError(
      'interfaces',
      `the interface is of type ${type}: masquerade, bridge or a tap binding are supported`,
    );
  }
  return id;
}

type Reference = readonly [kind: 'chardev' | 'netdev', id: string];

/** The bindings that an option of the machine leans on. */
function referencesOf({ name, value }: Option): Reference[] {
  if (name === 'serial') return [['chardev', (value ?? '').slice(SERIAL_PREFIX.length)]];
  if (name !== 'device') return [];
  const keys = parseKeys(value ?? '', 'driver');
  return (['chardev', 'netdev'] as const).flatMap((kind): Reference[] => {
    const id = textOf(keys, kind);
    return id === undefined ? [] : [[kind, id]];
  });
}

/** Names of what devices lean on must be there among the bindings: libvirt would look for them later. */
function checkReferences(machine: readonly Option[], host: readonly Option[]): void {
  const idsOf = (kind: string): Set<string | undefined> =>
    new Set(
      host
        .filter(({ name }) => name === kind)
        .map(({ value }) => textOf(parseKeys(value ?? '', 'type'), 'id')),
    );
  const there = { chardev: idsOf('chardev'), netdev: idsOf('netdev') };
  const missing = machine.flatMap(referencesOf).find(([kind, id]) => !there[kind].has(id));
  if (missing === undefined) return;
  const [kind, id] = missing;
  throw new ArgvError(
    'machineDiffers',
    `the primary's machine has a device at ${kind} ${id}, which libvirt did not make here: ` +
      'are both nodes of the same KubeVirt release?',
  );
}

function assemble(
  machine: readonly Option[],
  host: readonly Option[],
  mode: Mode,
  { qmpSocket, netSocket, firmware = FIRMWARE }: Files,
): string[] {
  const netdev = netdevOf(host);
  checkReferences(machine, host);
  return [
    ...formatOptions(host.filter(({ name }) => name !== 'netdev')),
    ...formatOptions(machine),
    '-L',
    firmware,
    ...networkArguments(netdev, netSocket),
    ...engineArguments(mode, qmpSocket),
  ];
}

/** QEMU's arguments, without the program, for the side that begins the log. @throws ArgvError */
export function primaryArgv(argv: readonly string[], files: Files, chosen: MachineOptions): string[] {
  const { machine, host } = split(argv);
  return assemble(machineOptions(machine, chosen), host, 'record', files);
}

/**
 * The same for a side that waits for a clone.
 * @param primary libvirt's command line of the side that began the log
 * @param own libvirt's command line here
 * @throws ArgvError
 */
export function backupArgv(
  primary: readonly string[],
  own: readonly string[],
  files: Files,
  chosen: MachineOptions,
): string[] {
  return assemble(machineOptions(split(primary).machine, chosen), split(own).host, 'replay', files);
}

/** Equal for two sides exactly when one's machine can follow the other's. @throws ArgvError */
export function deviceHash(argv: readonly string[], chosen: MachineOptions): string {
  const machine = formatOptions(machineOptions(split(argv).machine, chosen));
  return createHash('sha256').update(JSON.stringify(machine)).digest('hex');
}

/** The guest's NIC as libvirt made it. @throws ArgvError */
export function nicOf(argv: readonly string[]): { readonly mac: string } {
  for (const { name, value } of split(argv).machine) {
    const mac = name === 'device' ? textOf(parseKeys(value ?? '', 'driver'), 'mac') : undefined;
    if (mac !== undefined) return { mac };
  }
  throw new ArgvError('interfaces', 'no network interface: one is needed');
}

/** Switches the shim on that the door preloads. */
export const shimEnvironment = ({ ringFile, netSocket, cloneSocket }: Files): Record<string, string> =>
  shimSwitches({ ring: ringFile, netSocket, cloneSocket, diskSockets: [] });
