// SPDX-License-Identifier: Apache-2.0
// The same VM without any of this: plain QEMU, to compare with.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../cli/local/child.js';
import { GUEST_PORTS, pairLayout } from '../cli/local/layout.js';
import { DEFAULT_CHOICE, makeSettings } from '../cli/local/pair.js';
import { niced, QEMU_NICE } from '../cli/local/plan.js';
import { qemuCommand } from '../cli/local/qemu.js';
import { guestReady } from '../cli/local/vm.js';
import type { Cleanup } from './cleanup.js';
import { BenchError } from './errors.js';
import { Station } from './station/station.js';
import { until } from './wait.js';

const READY_MS_MAX = 120_000;
const LOOPBACK = '127.0.0.1';

/** `plain`: TCG as fast as it is. `icount`: with the instruction clock that record/replay needs, but no log. */
export type BareKind = 'plain' | 'icount';

interface Ports {
  readonly redis: number;
  readonly command: number;
}

/** The pair's own command line with log, filter and the sidecar's network taken out. */
export function bareCommand(
  command: readonly string[],
  kind: BareKind,
  guestIp: string,
  ports: Ports,
): string[] {
  const forward = (from: number, to: number) => `hostfwd=tcp:${LOOPBACK}:${from}-${guestIp}:${to}`;
  const net = `${guestIp.slice(0, guestIp.lastIndexOf('.'))}.0/24`;
  const replaced: Record<string, string[]> = {
    '-icount': kind === 'icount' ? ['-icount', 'shift=1'] : [],
    '-netdev': [
      '-netdev',
      `user,id=net0,restrict=on,net=${net},${forward(ports.redis, GUEST_PORTS.redis)},${forward(ports.command, GUEST_PORTS.command)}`,
    ],
  };
  const out: string[] = [];
  for (let at = 0; at < command.length; at += 1) {
    const [word = '', value = ''] = command.slice(at, at + 2);
    const instead = word === '-object' && value.startsWith('filter-replay') ? [] : replaced[word];
    out.push(...(instead ?? [word]));
    if (instead !== undefined) at += 1;
  }
  return out;
}

/** A port that nobody had a moment ago. */
function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, LOOPBACK, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

export interface BareVm {
  readonly station: Station;
  readonly down: () => Promise<void>;
}

/** Boots the VM, and returns when its guest serves. */
export async function bootBare(cleanup: Cleanup, kind: BareKind): Promise<BareVm> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-bench-'));
  const removeDir = cleanup.add(() => rm(dir, { recursive: true, force: true }));
  const ports = { redis: await freePort(), command: await freePort() };
  const layout = pairLayout('bare');
  const paths = {
    qmpSocket: join(dir, 'qmp'),
    netSocket: '',
    serialFile: join(dir, 'serial'),
    vncSocket: join(dir, 'vnc'),
    diskSockets: [],
  };
  const { machine, qemuBinary } = makeSettings(layout, DEFAULT_CHOICE);
  const whole = qemuCommand({ machine, paths, mode: 'record', qemuBinary });
  const command = niced(QEMU_NICE, bareCommand(whole, kind, layout.guest.ip, ports));
  const qemu = new Child(`qemu (${kind})`, command, {
    cwd: dir,
    logFile: join(dir, 'qemu.log'),
  });
  const killQemu = cleanup.add(async () => {
    qemu.kill();
    await qemu.exited;
  });
  await until(`the ${kind} guest`, READY_MS_MAX, async () => {
    if (qemu.exit !== undefined) throw new BenchError(qemu.exit.words);
    return (await guestReady(paths.serialFile)) ? true : null;
  });
  const station = new Station({ host: LOOPBACK, redisPort: ports.redis, commandPort: ports.command });
  const killStation = cleanup.add(() => station.kill());
  const down = async () => {
    await killStation();
    await killQemu();
    await removeDir();
  };
  return { station, down };
}
