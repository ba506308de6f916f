// SPDX-License-Identifier: Apache-2.0
// Is this QEMU one that the shim knows? Its release, the symbols it exports, and the log that it writes.
import { mkdtemp, open, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../local/errors.js';
import { REPO } from '../local/layout.js';
import { run } from '../local/run.js';
import { fine, lack, RUN_SETUP, type Finding } from './finding.js';

/** As native/shim/version.c has it. */
const KNOWN_SERIES = '10.0';
const LOG_VERSIONS_HEADER = join(REPO, 'native/ftlog/parse.h');
const SYMBOLS_HEADER = join(REPO, 'native/shim/symbols.h');
const ELF_MAGIC = Buffer.from('\x7fELF', 'latin1');
const CURE = `Install qemu-system-x86 ${KNOWN_SERIES} (Debian 12: bookworm-backports). ${RUN_SETUP}`;

async function checkRelease(binary: string): Promise<Finding> {
  const text = await run(binary, ['--version']);
  const version = /version (\d+\.\d+)\.(\d+)/.exec(text);
  const words = version === null ? (text.split('\n')[0] ?? '') : `${version[1] ?? ''}.${version[2] ?? ''}`;
  if (version?.[1] === KNOWN_SERIES) return fine('QEMU', words);
  return lack('QEMU', `${words}, which the shim does not know`, CURE);
}

/** The names in the shim's own tables: lines like F(type, name, (arguments)) and V(type, name). */
export function neededSymbols(header: string): string[] {
  const names = [...header.matchAll(/\b[FV]\((?!type\b)[^,()]+,\s*(\w+)/g)].map((match) => match[1]);
  return names.filter((name) => name !== undefined);
}

/** The words that a log may begin with, from lines like `#define FTLOG_LOG_VERSION_10_0 0xe0200cu`. */
export function knownLogVersions(header: string): number[] {
  const words = [...header.matchAll(/#define FTLOG_LOG_VERSION_\w+ (0x[0-9a-f]+)u/g)].map(
    (match) => match[1],
  );
  return words.map(Number);
}

/** The exported symbols of an ELF file, from `readelf --dyn-syms --wide`: value size type bind vis section name. */
function exportedSymbols(text: string): Set<string> {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  const defined = rows.filter((row) => row.length >= 8 && row[6] !== 'UND');
  return new Set(defined.map((row) => (row[7] ?? '').split('@')[0] ?? ''));
}

async function isElf(file: string): Promise<boolean> {
  const opened = await open(file);
  try {
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(ELF_MAGIC.length), 0, ELF_MAGIC.length, 0);
    return bytesRead === ELF_MAGIC.length && buffer.equals(ELF_MAGIC);
  } finally {
    await opened.close();
  }
}

async function checkSymbols(file: string): Promise<Finding> {
  if (!(await isElf(file)))
    return fine('QEMU symbols', 'not looked at: a script; the shim does when QEMU starts');
  const needed = neededSymbols(await readFile(SYMBOLS_HEADER, 'utf8'));
  const exported = exportedSymbols(
    await run('readelf', ['--dyn-syms', '--wide', file], { outputBytesMax: 64 << 20 }),
  );
  const missing = needed.filter((name) => !exported.has(name));
  if (missing.length === 0) return fine('QEMU symbols', `all ${needed.length} are exported`);
  return lack('QEMU symbols', `not exported: ${missing.join(', ')}`, CURE);
}

/** Lets a QEMU without a machine record for a moment, and reads the first word of what it wrote. */
async function checkLogVersion(binary: string): Promise<Finding> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-check-'));
  try {
    const log = join(dir, 'log');
    const machine = ['-machine', 'none', '-nodefaults', '-display', 'none'];
    const record = ['-icount', `shift=1,rr=record,rrfile=${log}`, '-qmp', 'stdio'];
    const input = '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n';
    await run(binary, [...machine, ...record], { input });
    const version = (await readFile(log)).readUInt32BE(0);
    const words = `0x${version.toString(16)}`;
    const known = knownLogVersions(await readFile(LOG_VERSIONS_HEADER, 'utf8'));
    return known.includes(version)
      ? fine('QEMU log', words)
      : lack('QEMU log', `${words}, which is not known`, CURE);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Its findings; one that can't be made is a lack too. */
export async function checkQemu(binary: string): Promise<Finding[]> {
  let file: string;
  try {
    file = await realpath((await run('which', [binary])).trim());
  } catch {
    return [lack('QEMU', `no ${binary}`, CURE)];
  }
  const looks: [string, Promise<Finding>][] = [
    ['QEMU', checkRelease(file)],
    ['QEMU symbols', checkSymbols(file)],
    ['QEMU log', checkLogVersion(file)],
  ];
  return Promise.all(
    looks.map(([name, look]) => look.catch((error: unknown) => lack(name, messageOf(error), CURE))),
  );
}
