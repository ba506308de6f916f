// SPDX-License-Identifier: Apache-2.0
/** QEMU's monitor over a unix socket: commands with time-outs, events, bounded in all directions. */
import { EventEmitter } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { QmpError } from './errors.js';
import { LineSplitter } from './lines.js';
import { parseMessage, type QmpEvent, type QmpMessage, type QmpVersion } from './messages.js';

export { QmpError } from './errors.js';

/** Longest line taken; QEMU's longest answer (query-qmp-schema) is below 1 MiB. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;
export const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_RETRY_MS = 10;
/** Commands without an answer yet. */
const PENDING_MAX = 64;

interface Pending {
  readonly command: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpError) => void;
}

/** `close` comes once, with the reason; nothing comes after it. */
export interface QmpEvents {
  event: [name: string, data: QmpEvent['data']];
  close: [error: QmpError];
}

export class Qmp extends EventEmitter<QmpEvents> {
  readonly #socket: Socket;
  readonly #lines: LineSplitter;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed: QmpError | null = null;
  #version: QmpVersion | null = null;
  #onGreeting: (() => void) | null = null;

  private constructor(socket: Socket, lineBytesMax: number) {
    super();
    this.#socket = socket;
    this.#lines = new LineSplitter(lineBytesMax);
    // Each waitFor listens; they are as many as the commands under way.
    this.setMaxListeners(PENDING_MAX);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.once('error', (cause) => this.#close(new QmpError('QMP_CLOSED', cause.message, null, { cause })));
    socket.once('close', () => this.#close(new QmpError('QMP_CLOSED', 'QEMU has closed the connection')));
  }

  /**
   * Connects, waiting for the socket to appear, and negotiates.
   * @throws QmpError QMP_UNREACHABLE, QMP_TIMEOUT, QMP_MALFORMED, QMP_CLOSED
   */
  static async connect(path: string, timeoutMs: number, lineBytesMax = LINE_BYTES_MAX): Promise<Qmp> {
    const deadlineMs = performance.now() + timeoutMs;
    const leftMs = (): number => Math.max(1, deadlineMs - performance.now());
    const qmp = new Qmp(await socketAt(path, deadlineMs), lineBytesMax);
    try {
      await qmp.#greeted(leftMs());
      await qmp.execute('qmp_capabilities', {}, leftMs());
      return qmp;
    } catch (error) {
      qmp.close();
      throw error;
    }
  }

  get version(): QmpVersion {
    if (this.#version === null) throw new Error('a QMP client is handed out only after the greeting');
    return this.#version;
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** Resolves to the command's return value. @throws QmpError */
  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs = COMMAND_TIMEOUT_MS,
  ): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(
        new QmpError('QMP_TIMEOUT', `${command}: ${PENDING_MAX} commands wait for QEMU already`),
      );
    }
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new QmpError('QMP_TIMEOUT', `${command}: no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(id, { command, timer, resolve, reject });
      this.#socket.write(JSON.stringify({ execute: command, arguments: args, id }) + '\n');
    });
  }

  /**
   * The data of the next event of this name. Call it before what causes the event. With no time-out the caller knows of
   * another end. @throws QmpError
   */
  waitFor(name: string, timeoutMs: number | null): Promise<QmpEvent['data']> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.off('event', onEvent).off('close', onClose);
      };
      const onEvent = (event: string, data: QmpEvent['data']): void => {
        if (event !== name) return;
        done();
        resolve(data);
      };
      const onClose = (error: QmpError): void => {
        done();
        reject(error);
      };
      const late = (): void => {
        done();
        reject(new QmpError('QMP_TIMEOUT', `no event ${name} within ${timeoutMs ?? 0} ms`));
      };
      const timer = timeoutMs === null ? undefined : setTimeout(late, timeoutMs);
      this.on('event', onEvent).on('close', onClose);
    });
  }

  /** Ends the connection; what waits is rejected with QMP_CLOSED. Twice is fine. */
  close(): void {
    this.#close(new QmpError('QMP_CLOSED', 'closed by this side'));
  }

  #greeted(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new QmpError('QMP_TIMEOUT', `no greeting within ${timeoutMs} ms`));
      }, timeoutMs);
      this.once('close', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      this.#onGreeting = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #receive(chunk: Buffer): void {
    if (this.#closed !== null) return;
    try {
      for (const line of this.#lines.push(chunk)) this.#take(parseMessage(line));
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      this.#close(error);
    }
  }

  #take(message: QmpMessage): void {
    switch (message.kind) {
      case 'greeting':
        this.#version = message.version;
        this.#onGreeting?.();
        this.#onGreeting = null;
        return;
      case 'event':
        this.emit('event', message.event.name, message.event.data);
        return;
      case 'return':
        this.#settle(message.id)?.resolve(message.value);
        return;
      case 'error':
        this.#refuse(message.id, message.qemuClass, message.desc);
        return;
    }
  }

  #refuse(id: number | null, qemuClass: string, desc: string): void {
    // Without an id QEMU could not even read what was sent: nothing after it can be matched.
    if (id === null) throw new QmpError('QMP_MALFORMED', `QEMU could not read a command: ${desc}`);
    const pending = this.#settle(id);
    pending?.reject(new QmpError('QMP_ERROR', `${pending.command}: ${desc} (${qemuClass})`, qemuClass));
  }

  /** An answer that comes after its time-out has nobody waiting: null. */
  #settle(id: number): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }

  #close(error: QmpError): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    this.#socket.destroy();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { timer, reject } of waiting) {
      clearTimeout(timer);
      reject(error);
    }
    this.emit('close', error);
  }
}

/** QEMU binds its socket before it listens, and both a while after its start. */
async function socketAt(path: string, deadlineMs: number): Promise<Socket> {
  for (;;) {
    const made = await tryConnect(path);
    if (!(made instanceof Error)) return made;
    if (performance.now() > deadlineMs)
      throw new QmpError('QMP_UNREACHABLE', made.message, null, { cause: made });
    await sleep(CONNECT_RETRY_MS);
  }
}

function tryConnect(path: string): Promise<Socket | Error> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('error', resolve);
    socket.once('connect', () => {
      socket.off('error', resolve);
      resolve(socket);
    });
  });
}
