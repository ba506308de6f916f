// SPDX-License-Identifier: Apache-2.0
// Watches what the sidecars let out: every packet that is put on a host's tap. That is the one place where "two live
// at once" would show, also while the host's cable is pulled.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { HostLayout, PairLayout } from '../../../cli/local/layout.js';
import { HOST_TAP } from '../../../cli/local/network.js';
import { placed } from '../../../cli/local/processes.js';
import { readPcap, type CapturedPacket } from './pcap.js';

const LISTENING_MS_MAX = 10_000;
const ENDED_MS_MAX = 5_000;
const CAPTURE_KIB = 16 * 1024;
/**
 * More than any frame of the guest. The kernel sets aside this much for each packet, whatever its size: by default
 * 256 KiB, and a burst of a hundred packets would overrun the whole buffer.
 */
const SNAP_BYTES = 2048;

class HostCapture {
  private missed = 0;

  private constructor(
    readonly host: HostLayout,
    private readonly file: string,
    private readonly process: ChildProcess,
  ) {}

  static async begin(pair: PairLayout, host: HostLayout): Promise<HostCapture> {
    const file = join(pair.dir, `wire-${host.name}.pcap`);
    const filter = `ether src ${pair.guest.mac}`;
    // Immediate mode: else the kernel hands packets over in blocks, and keeps the last one for itself.
    const options = [
      '--immediate-mode',
      '-i',
      HOST_TAP,
      '-Q',
      'in',
      '-n',
      '-B',
      String(CAPTURE_KIB),
      '-s',
      String(SNAP_BYTES),
      '-Z',
      'root',
      '--nano',
      '-U',
    ];
    const [command = '', ...args] = placed(['tcpdump', ...options, '-w', file, filter], {
      netns: host.netns,
    });
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const said = createInterface({ input: child.stderr });
    const signal = AbortSignal.timeout(LISTENING_MS_MAX);
    for (;;) {
      const [line] = (await once(said, 'line', { signal })) as [string];
      if (line.includes('listening on')) break;
    }
    const capture = new HostCapture(host, file, child);
    said.on('line', (text) => {
      capture.missed += Number(/^(\d+) packets? dropped by kernel/.exec(text)?.[1] ?? 0);
    });
    return capture;
  }

  async end(): Promise<readonly CapturedPacket[]> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, 'close', { signal: AbortSignal.timeout(ENDED_MS_MAX) });
      this.process.kill('SIGINT');
      await gone;
    }
    if (this.missed > 0)
      throw new Error(`the capture on host ${this.host.name} missed ${this.missed} packets`);
    const packets = readPcap(await readFile(this.file));
    await rm(this.file);
    return packets;
  }
}

export interface Verdict {
  /** Hosts in the order in which they spoke for the guest; the same host twice in a row is one turn. */
  readonly turns: readonly string[];
  readonly packets: number;
  /**
   * Packets of a host after its turn had passed to another, each equal to one that the other has sent: released by
   * right before, and late on their way. A network does the same to packets; the guest is not contradicted.
   */
  readonly late: number;
  /** Packets of a host after its turn had passed to another. Must be none. */
  readonly contradictions: readonly string[];
}

interface Spoken extends CapturedPacket {
  readonly host: string;
}

/** In one incarnation's life each host speaks in one stretch. `moves`: how often the guest was allowed to move. */
export function judge(
  captures: readonly { host: string; packets: readonly CapturedPacket[] }[],
  moves: number,
): Verdict {
  const all = captures
    .flatMap(({ host, packets }) => packets.map((packet): Spoken => ({ ...packet, host })))
    .sort((one, other) => (one.atNs < other.atNs ? -1 : one.atNs > other.atNs ? 1 : 0));
  const turns: string[] = [];
  const contradictions: string[] = [];
  const said = new Map<string, Set<string>>();
  let late = 0;
  for (const { host, bytes, atNs } of all) {
    const text = bytes.toString('latin1');
    const current = turns.at(-1);
    const changes = host !== current;
    if (changes && turns.length > moves) {
      if (current !== undefined && said.get(current)?.has(text) === true) late += 1;
      else
        contradictions.push(
          `${host} at ${atNs} while ${current ?? 'nobody'} spoke: ${bytes.toString('hex')}`,
        );
      continue;
    }
    if (changes) turns.push(host);
    const own = said.get(host) ?? new Set();
    said.set(host, own.add(text));
  }
  return { turns, packets: all.length, late, contradictions };
}

/** Captures on all hosts of a pair, from `begin` to `end`. */
export class Wire {
  private constructor(private readonly captures: readonly HostCapture[]) {}

  static async begin(pair: PairLayout): Promise<Wire> {
    return new Wire(await Promise.all(pair.hosts.map((host) => HostCapture.begin(pair, host))));
  }

  async end(moves: number): Promise<Verdict> {
    const captures = await Promise.all(
      this.captures.map(async (capture) => ({ host: capture.host.name, packets: await capture.end() })),
    );
    return judge(captures, moves);
  }
}
