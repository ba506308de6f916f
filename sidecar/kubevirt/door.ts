// SPDX-License-Identifier: Apache-2.0
/**
 * The sidecar's side of the door (native/door, whose wire.h has the format): libvirt wants to start QEMU, and waits for
 * what this side says. One at a time.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FDS_MAX, recvFds } from '../../native/addon/index.js';
import { UnixListener } from '../io/unix-listener.js';
import type { StartAnswer, StartRequest } from './start.js';

export interface DoorOptions {
  readonly path: string;
  /** May take up to a minute. Rejected: refused, in the error's words. */
  readonly onRequest: (request: StartRequest) => Promise<StartAnswer>;
  /** Somebody came who is no door. */
  readonly onError: (error: Error) => void;
}

export class DoorError extends Error {
  readonly code = 'LOCKSTEP_DOOR';
}

const VERSION = 1;
const START = 0;
const REFUSED = 1;
const U32_BYTES = 4;
/** Version, numbers of arguments, variables and descriptors. */
const REQUEST_HEAD_BYTES = 4 * U32_BYTES;
const MESSAGE_BYTES_MAX = 1024 * 1024;
const STRINGS_MAX = 4096;
const PIECE_BYTES_MAX = 65536;
/** A sentence for people. */
const REFUSAL_CHARS_MAX = 4_000;
/** Who came says all at once, and takes the answer at once. */
const REQUEST_MS_MAX = 2_000;
const ANSWER_MS_MAX = 2_000;
/** Between two tries when no connection can be taken (no descriptors): what is missing comes back by itself. */
const ACCEPT_PAUSE_MS = 1_000;

/** What a request says: its strings, and which numbers its descriptors have in `argv`. @throws DoorError */
export function decodeRequest(body: Buffer): {
  readonly argv: string[];
  readonly env: Record<string, string>;
  readonly fds: number[];
} {
  if (body.length < REQUEST_HEAD_BYTES) throw new DoorError('the door garbles its question');
  const [version = 0, argc = 0, envc = 0, fdc = 0] = [0, 1, 2, 3].map((index) =>
    body.readUInt32BE(index * U32_BYTES),
  );
  if (version !== VERSION) throw new DoorError(`the door speaks version ${version} instead of ${VERSION}`);
  if (argc > STRINGS_MAX || envc > STRINGS_MAX) throw new DoorError('the door sends too many strings');
  const textEnd = body.length - fdc * U32_BYTES;
  if (fdc > FDS_MAX || textEnd < REQUEST_HEAD_BYTES)
    throw new DoorError('the door names more descriptors than it can send');
  const strings = body.subarray(REQUEST_HEAD_BYTES, textEnd).toString('utf8').split('\0');
  // Each string ends in a NUL, so that what comes behind the last one is empty.
  if (strings.pop() !== '' || strings.length !== argc + envc)
    throw new DoorError('the door garbles its strings');
  const fds = Array.from({ length: fdc }, (_, index) => body.readUInt32BE(textEnd + index * U32_BYTES));
  return { argv: strings.slice(0, argc), env: variables(strings.slice(argc)), fds };
}

function variables(lines: readonly string[]): Record<string, string> {
  const pairs = lines.map((line): [string, string] => {
    const at = line.indexOf('=');
    return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
  });
  return Object.fromEntries(pairs);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(U32_BYTES);
  bytes.writeUInt32BE(value);
  return bytes;
};

const strings = (all: readonly string[]): Buffer => Buffer.from(all.map((one) => `${one}\0`).join(''));

/** @throws DoorError for what no C string can hold, or the door would not take */
export function encodeAnswer(answer: StartAnswer): Buffer {
  const env =
    'refused' in answer ? [] : Object.entries(answer.env).map(([name, value]) => `${name}=${value}`);
  const all = 'refused' in answer ? [answer.refused] : [...answer.argv, ...env];
  if (all.some((one) => one.includes('\0'))) throw new DoorError('an argument with a NUL in it');
  const head = 'refused' in answer ? [u32(REFUSED)] : [u32(START), u32(answer.argv.length), u32(env.length)];
  const body = Buffer.concat([...head, strings(all)]);
  if (body.length > MESSAGE_BYTES_MAX || all.length > STRINGS_MAX)
    throw new DoorError(
      `an answer of ${all.length} strings and ${body.length} bytes is too long for the door`,
    );
  return Buffer.concat([u32(body.length), body]);
}

interface Received {
  readonly body: Buffer;
  readonly fds: readonly number[];
}

async function receive(connection: number): Promise<Received> {
  const pieces: Buffer[] = [];
  const fds: number[] = [];
  const deadline = performance.now() + REQUEST_MS_MAX;
  try {
    for (;;) {
      const all = Buffer.concat(pieces);
      const length = all.length < U32_BYTES ? null : all.readUInt32BE(0);
      if (length !== null && length > MESSAGE_BYTES_MAX) throw new DoorError('the door says too much');
      if (length !== null && all.length >= U32_BYTES + length)
        return { body: all.subarray(U32_BYTES, U32_BYTES + length), fds };
      const timeoutMs = Math.max(0, Math.round(deadline - performance.now()));
      const piece = await recvFds(connection, { bytesMax: PIECE_BYTES_MAX, timeoutMs });
      fds.push(...piece.fds);
      if (fds.length > FDS_MAX) throw new DoorError('the door sends too many descriptors');
      if (piece.data.length === 0) throw new DoorError('the door went away in the middle of its question');
      pieces.push(piece.data);
    }
  } catch (error) {
    for (const fd of fds) closeSync(fd);
    throw error;
  }
}

/** The tap among the descriptors; the protocol knows one network interface. @throws DoorError */
function tapOf(fds: readonly number[], named: readonly number[]): number | null {
  if (fds.length !== named.length) throw new DoorError('the door names other descriptors than it sends');
  if (fds.length > 1)
    throw new DoorError(`${fds.length} network interfaces: one is what is supported, leave out the others`);
  return fds[0] ?? null;
}

async function answerTo(received: Received, onRequest: DoorOptions['onRequest']): Promise<Buffer> {
  try {
    const { argv, env, fds } = decodeRequest(received.body);
    return encodeAnswer(await onRequest({ argv, env, tapFd: tapOf(received.fds, fds) }));
  } catch (error) {
    const words = (error as Error).message.replaceAll('\0', ' ').slice(0, REFUSAL_CHARS_MAX);
    return encodeAnswer({ refused: words });
  } finally {
    for (const fd of received.fds) closeSync(fd);
  }
}

/** Says it and hangs up; the socket has the descriptor from here on. Who does not listen keeps nobody waiting. */
function say(connection: number, answer: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = new Socket({ fd: connection, readable: false, writable: true });
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy());
    // Who does not take the answer does not start a guest.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.end(answer);
  });
}

async function serveOne(connection: number, { onRequest, onError }: DoorOptions): Promise<void> {
  let received: Received;
  try {
    received = await receive(connection);
  } catch (error) {
    closeSync(connection);
    onError(error as Error);
    return;
  }
  await say(connection, await answerTo(received, onRequest));
}

/** The next who comes, also after a while in which none could be taken; null: closed. */
async function next(listener: UnixListener, { onError }: DoorOptions): Promise<number | null> {
  for (;;) {
    try {
      return await listener.accept();
    } catch (error) {
      onError(error as Error);
      await sleep(ACCEPT_PAUSE_MS);
    }
  }
}

/** Listens; a socket left there by an earlier life is replaced. @throws AddonError */
export async function serveDoor(options: DoorOptions): Promise<{ close(): void }> {
  const listener = UnixListener.open(options.path);
  const serve = async (): Promise<void> => {
    for (let fd = await next(listener, options); fd !== null; fd = await next(listener, options))
      await serveOne(fd, options);
  };
  serve().catch(options.onError);
  return Promise.resolve(listener);
}
