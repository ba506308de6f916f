// SPDX-License-Identifier: Apache-2.0
// Runs inside a network namespace and does with a tap what its parent tells it over the IPC channel.
import { openSync, readdirSync } from 'node:fs';
import { Tap } from '../index.js';
import type { TapCommand, TapReport } from './tap-commands.js';
import { answer } from './tap-peer.js';

let tap: Tap | null = null;
let responding = false;
let frames: Buffer[] = [];

function say(report: TapReport): void {
  process.send?.(report);
}

function open(): Tap {
  if (tap === null) throw new Error('the test opens a tap first');
  return tap;
}

function onFrames(batch: Buffer[]): void {
  frames.push(...batch);
  if (responding) for (const reply of batch.map(answer)) if (reply !== null) open().write(reply);
  say({ event: 'frames', count: batch.length });
}

function obey(command: TapCommand): unknown {
  switch (command.verb) {
    case 'open':
      tap = Tap.open(command.name, { mtu: command.mtu });
      return tap.name;
    case 'open-another':
      Tap.open(command.name, { mtu: null }).close();
      return null;
    case 'adopt':
      Tap.adopt(openSync(command.path, 'r+')).close();
      return null;
    case 'adopt-inherited':
      tap = Tap.adopt(command.fd);
      return tap.name;
    case 'start':
      open().start({
        onFrames,
        onError: (error) => {
          say({ event: 'error', code: error.code });
        },
      });
      return null;
    case 'respond':
      responding = command.on;
      return null;
    case 'pause':
      open().pause();
      return null;
    case 'resume':
      open().resume();
      return null;
    case 'write':
      return open().write(Buffer.from(command.hex, 'hex'));
    case 'take': {
      const taken = frames.map((frame) => frame.toString('hex'));
      frames = [];
      return taken;
    }
    case 'close':
      open().close();
      return null;
    case 'cycle':
      for (let i = 0; i < command.times; i++) {
        const again = Tap.open('cycle0', { mtu: 1500 });
        again.start({ onFrames: () => undefined, onError: () => undefined });
        again.close();
      }
      return readdirSync('/proc/self/fd').length + readdirSync('/proc/self/task').length;
  }
}

process.on('message', (command: TapCommand) => {
  try {
    say({ event: 'done', result: obey(command) });
  } catch (error) {
    say({
      event: 'failed',
      code: error instanceof Error && 'code' in error ? String(error.code) : String(error),
    });
  }
});
process.on('disconnect', () => process.exit(0));
