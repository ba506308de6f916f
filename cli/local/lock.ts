// SPDX-License-Identifier: Apache-2.0
// Who may change what all of this machine shares: one process at a time. A lock is a name that only one process can
// listen on, in Linux's abstract namespace: no file stays, and it goes with its process, however that ends. Who connects
// is told who holds it.
import { once } from 'node:events';
import { createConnection, createServer, type Server } from 'node:net';
import { LocalError, systemCode } from './errors.js';
import type { PairLayout } from './layout.js';

const ANSWER_MS_MAX = 1000;
const ANSWER_CHARS_MAX = 200;
/** A holder that ends while it is asked has left the name free: then it is tried again. */
const TRIES = 5;

export interface Claim {
  /** One name, one lock, on the whole machine (within one network namespace). */
  readonly name: string;
  /** What it is about, as a sentence begins: "pair 'local'". */
  readonly what: string;
  /** Who asks, told to those who come later: "'lockstep up'". */
  readonly who: string;
}

export interface Lock {
  release(): void;
}

/** What changes a pair as a whole: only one such verb at a time. */
export const pairClaim = ({ name }: Pick<PairLayout, 'name'>, who: string): Claim => ({
  name: `lockstep-pair-${name}`,
  what: `pair '${name}'`,
  who,
});

const address = (name: string): string => `\0${name}`;

/** Null: another process listens there. */
async function listen({ name, who }: Claim): Promise<Server | null> {
  const server = createServer((caller) => {
    caller.on('error', () => undefined); // one who asked and did not wait
    caller.end(`${who}, process ${process.pid}`);
  });
  server.listen(address(name));
  try {
    await once(server, 'listening');
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return null;
    throw error;
  }
  server.unref();
  return server;
}

/** The holder's own words; null: nobody holds it any more. A holder that is too busy to answer is 'another process'. */
function askHolder(name: string): Promise<string | null> {
  return new Promise((done) => {
    let words = '';
    const socket = createConnection(address(name));
    const end = (answer: string | null) => {
      socket.destroy();
      done(answer);
    };
    const unknown = 'another process';
    socket.setTimeout(ANSWER_MS_MAX, () => {
      end(unknown);
    });
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => (words = (words + text).slice(0, ANSWER_CHARS_MAX)));
    socket.on('end', () => {
      end(words === '' ? unknown : words);
    });
    socket.on('error', (error) => {
      end(systemCode(error) === 'ECONNREFUSED' ? null : unknown);
    });
  });
}

/** @throws LocalError STATE when another process holds the lock, in whose words. */
export async function takeLock(claim: Claim): Promise<Lock> {
  for (let left = TRIES; ; left--) {
    const server = await listen(claim);
    if (server !== null) return { release: () => void server.close() };
    const holder = await askHolder(claim.name);
    if (holder === null && left > 1) continue;
    throw new LocalError(
      'STATE',
      `${claim.what} is in the hands of ${holder ?? 'another process'}`,
      'Wait until it is done, or end it (Ctrl-C).',
    );
  }
}

/** @throws LocalError STATE when another process holds the lock. */
export async function withLock<T>(claim: Claim, work: () => Promise<T>): Promise<T> {
  const lock = await takeLock(claim);
  try {
    return await work();
  } finally {
    lock.release();
  }
}
