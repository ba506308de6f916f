// SPDX-License-Identifier: Apache-2.0
/** QEMU's command line as options and values, and values as keys. Pure. */

/** One option; `value` is null for one that takes none. */
export interface Option {
  readonly name: string;
  readonly value: string | null;
}

/** A command line that cannot be followed; the message says what to change in the VM. */
export class ArgvError extends Error {
  constructor(
    /** One word, for programs. */
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'ArgvError';
  }
}

/** Those of libvirt's options that take no value. */
const FLAGS: ReadonlySet<string> = new Set([
  'S',
  'no-user-config',
  'nodefaults',
  'no-shutdown',
  'no-reboot',
  'nographic',
  'no-acpi',
  'no-hpet',
  'enable-kvm',
  'daemonize',
  'mem-prealloc',
]);

/** Without the program. @throws ArgvError for what does not read as options */
export function parseOptions(argv: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let at = 1; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (!word.startsWith('-'))
      throw new ArgvError('argument', `QEMU's command line has a '${word}' that is no option`);
    const name = word.replace(/^--?/, '');
    if (FLAGS.has(name)) {
      options.push({ name, value: null });
      continue;
    }
    at += 1;
    const value = argv[at];
    if (value === undefined)
      throw new ArgvError('argument', `QEMU's command line ends in the middle of -${name}`);
    options.push({ name, value });
  }
  return options;
}

export const formatOptions = (options: readonly Option[]): string[] =>
  options.flatMap(({ name, value }) => (value === null ? [`-${name}`] : [`-${name}`, value]));

/** A value's keys: of JSON whatever it holds, of `key=value,...` texts. In the order in which they stand there. */
export type Keys = Readonly<Record<string, unknown>>;

/**
 * `{"driver": ...}`, or `first,key=value,flag` with the key that the first word belongs to. A doubled comma stands for one.
 * @throws ArgvError
 */
export function parseKeys(value: string, firstKey: string): Keys {
  if (value.startsWith('{')) return parseJson(value);
  const parts = value.replaceAll(',,', '\0').split(',');
  const pairs = parts.map((part, index): [string, string] => {
    const text = part.replaceAll('\0', ',');
    const at = text.indexOf('=');
    if (at >= 0) return [text.slice(0, at), text.slice(at + 1)];
    return index === 0 ? [firstKey, text] : [text, 'on'];
  });
  return Object.fromEntries(pairs);
}

function parseJson(value: string): Keys {
  try {
    return JSON.parse(value) as Keys;
  } catch (error) {
    throw new ArgvError('argument', `QEMU's command line has JSON that is none: ${(error as Error).message}`);
  }
}

/** `first,key=value,...`; the inverse of parseKeys for texts. */
export function formatKeys(keys: Keys, firstKey: string): string {
  const escaped = (value: unknown): string => String(value).replaceAll(',', ',,');
  return Object.entries(keys)
    .map(([key, value], index) =>
      index === 0 && key === firstKey ? escaped(value) : `${key}=${escaped(value)}`,
    )
    .join(',');
}

/** As text if it is one or a number or a truth; undefined if it is not there. */
export function textOf(keys: Keys, key: string): string | undefined {
  const value = keys[key];
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

export function without(keys: Keys, ...names: readonly string[]): Keys {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => !names.includes(key)));
}
