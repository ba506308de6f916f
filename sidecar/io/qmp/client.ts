// SPDX-License-Identifier: Apache-2.0
/**
 * QEMU's machine protocol (docs/interop/qmp-spec): one JSON object a line, over a unix socket.
 * One connection; commands are answered in order; every command has a time-out.
 */
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

export type QmpErrorCode =
  | 'QMP_UNREACHABLE' // nobody listens at the socket: has QEMU started?
  | 'QMP_TIMEOUT' // no answer in time: QEMU's main loop stands still
  | 'QMP_CLOSED' // the connection ended: QEMU is gone
  | 'QMP_ERROR' // QEMU refused the command, in its own words
  | 'QMP_MALFORMED'; // not QMP, or a line beyond the bound

export class QmpError extends Error {
  constructor(
    readonly code: QmpErrorCode,
    detail: string,
  ) {
    super(`${code}: ${detail}`);
    this.name = 'QmpError';
  }
}

/** Longest line taken; QEMU's longest answers (query-qmp-schema, not used here) are below 1 MiB. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
export const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_RETRY_MS = 10;

const messageSchema = z.union([
  z.looseObject({ QMP: z.unknown() }),
  z.looseObject({ event: z.string(), data: z.unknown().optional() }),
  z.looseObject({ id: z.number(), return: z.unknown() }),
  z.looseObject({ id: z.number(), error: z.object({ class: z.string(), desc: z.string() }) }),
]);
type Message = z.infer<typeof messageSchema>;

interface Waiting {
  readonly command: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpError) => void;
}

/** `event`: an event of QEMU. `close`: the connection is gone, with the reason; the last one. */
interface QmpEvents {
  event: [name: string, data: unknown];
  close: [error: QmpError];
}

export class Qmp extends EventEmitter<QmpEvents> {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #greeted: (() => void) | null = null;
  #closed: QmpError | null = null;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#take(bytes);
    });
    socket.on('error', (error) => {
      this.#end(new QmpError('QMP_CLOSED', error.message));
    });
    socket.on('close', () => {
      this.#end(new QmpError('QMP_CLOSED', 'QEMU closed its monitor'));
    });
  }

  /**
   * Connects, waiting for the socket to appear, and negotiates.
   * @throws QmpError QMP_UNREACHABLE, QMP_TIMEOUT, QMP_MALFORMED
   */
  static async connect(path: string, timeoutMs: number): Promise<Qmp> {
    const deadline = performance.now() + timeoutMs;
    const qmp = new Qmp(await socketAt(path, deadline));
    try {
      await qmp.#greeting(deadline - performance.now());
      await qmp.execute('qmp_capabilities', {}, Math.max(1, deadline - performance.now()));
    } catch (error) {
      qmp.close();
      throw error;
    }
    return qmp;
  }

  /** Runs one command and returns what QEMU answers. @throws QmpError */
  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs = COMMAND_TIMEOUT_MS,
  ): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new QmpError('QMP_TIMEOUT', `${command} was not answered within ${String(timeoutMs)} ms`));
      }, timeoutMs);
      this.#waiting.set(id, { command, timer, resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** The data of the next event of that name. @throws QmpError QMP_TIMEOUT, QMP_CLOSED */
  waitFor(name: string, timeoutMs: number): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.off('event', onEvent);
        this.off('close', onClose);
      };
      const onEvent = (event: string, data: unknown): void => {
        if (event !== name) return;
        finish();
        resolve(data);
      };
      const onClose = (error: QmpError): void => {
        finish();
        reject(error);
      };
      const timer = setTimeout(() => {
        finish();
        reject(new QmpError('QMP_TIMEOUT', `no event ${name} within ${String(timeoutMs)} ms`));
      }, timeoutMs);
      this.on('event', onEvent);
      this.on('close', onClose);
    });
  }

  close(): void {
    this.#end(new QmpError('QMP_CLOSED', 'closed on this side'));
  }

  #greeting(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: QmpError): void => {
        clearTimeout(timer);
        reject(error);
      };
      const timer = setTimeout(() => {
        this.off('close', fail);
        reject(new QmpError('QMP_TIMEOUT', 'no greeting: QEMU does not answer, or has another client'));
      }, timeoutMs);
      this.once('close', fail);
      this.#greeted = () => {
        clearTimeout(timer);
        this.off('close', fail);
        resolve();
      };
    });
  }

  #take(bytes: Buffer): void {
    let rest = bytes;
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const line = Buffer.concat([...this.#partial, rest.subarray(0, end)]);
      this.#partial = [];
      this.#partialBytes = 0;
      rest = rest.subarray(end + 1);
      this.#line(line);
      if (this.#closed !== null) return;
    }
    if (rest.length === 0) return;
    this.#partial.push(rest);
    this.#partialBytes += rest.length;
    if (this.#partialBytes > LINE_BYTES_MAX) {
      this.#end(new QmpError('QMP_MALFORMED', `a line of more than ${String(LINE_BYTES_MAX)} bytes`));
    }
  }

  #line(line: Buffer): void {
    if (line.toString().trim() === '') return;
    const message = parse(line);
    if (message === null) {
      const start = JSON.stringify(line.subarray(0, 80).toString());
      this.#end(new QmpError('QMP_MALFORMED', `not a message of QMP: ${start}`));
      return;
    }
    if ('QMP' in message) this.#greeted?.();
    else if ('event' in message) this.emit('event', message.event as string, message['data']);
    else this.#answer(message);
  }

  #answer(message: Message & { id: number }): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return; // answered after its time-out
    this.#waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if ('error' in message) {
      const { class: kind, desc } = message['error'] as { class: string; desc: string };
      waiting.reject(new QmpError('QMP_ERROR', `${waiting.command}: ${desc} (${kind})`));
      return;
    }
    waiting.resolve(message['return']);
  }

  #end(error: QmpError): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    this.#socket.destroy();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
    this.emit('close', error);
  }
}

function parse(line: Buffer): Message | null {
  let value: unknown;
  try {
    value = JSON.parse(line.toString());
  } catch {
    return null; // the caller makes the error, with the line's beginning
  }
  const parsed = messageSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

async function socketAt(path: string, deadline: number): Promise<Socket> {
  for (;;) {
    const made = await tryConnect(path);
    if (!(made instanceof Error)) return made;
    if (performance.now() > deadline) throw new QmpError('QMP_UNREACHABLE', made.message);
    await sleep(CONNECT_RETRY_MS);
  }
}

function tryConnect(path: string): Promise<Socket | Error> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', resolve);
    socket.once('connect', () => {
      socket.off('error', resolve);
      resolve(socket);
    });
  });
}
