// SPDX-License-Identifier: Apache-2.0
// The demonstration's client: INCR over one TCP connection, all the time, and a watchful eye on each reply.
// It runs as a process of its own inside the client's network namespace.
//
// usage: node counter.js HOST PORT PAUSE_MS
// Orders on standard input, a line each; answers on standard output, one JSON object a line:
//   window   {"kind":"window", ...}   what was seen since the last window
//   finish   {"kind":"finished", ...} after a last GET; then it exits with 0
// Whatever must not happen: {"kind":"broken","words":...}, and it exits with 1.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { encodeCommand, ReplyReader, type Reply } from './resp.js';
import type { CounterReport } from './reports.js';

const KEY = 'lockstep-demo';
/** Longer than any failover; after that the service counts as lost. */
const REPLY_MS_MAX = 60_000;
/** Waits of one window that are kept for its median. */
const WAITS_MAX = 200_000;

const tell = (report: CounterReport): void => {
  process.stdout.write(`${JSON.stringify(report)}\n`);
};

function broken(words: string): never {
  tell({ kind: 'broken', words });
  // Standard output is a pipe, which Node writes at once on Linux: nothing is lost by leaving now.
  process.exit(1);
}

class Counter {
  #acknowledged = 0;
  #sentAtMs = 0;
  #finishing = false;
  #worstMs = 0;
  #worstAtMs = 0;
  #waits: number[] = [];
  readonly #reader = new ReplyReader();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly pauseMs: number,
  ) {
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => this.#received(String(chunk)));
    socket.on('error', (error) => broken(`the connection broke: ${error.message}`));
    socket.on('close', () => broken('the connection was closed'));
    this.#send();
  }

  finish(): void {
    this.#finishing = true;
  }

  window(): void {
    const sorted = this.#waits.sort((a, b) => a - b);
    tell({
      kind: 'window',
      acknowledged: this.#acknowledged,
      replies: sorted.length,
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      // A reply that is being waited for counts with what it has cost already.
      worstMs: Math.max(this.#worstMs, this.#sentAtMs === 0 ? 0 : performance.now() - this.#sentAtMs),
      worstAtMs: this.#worstAtMs,
    });
    this.#waits = [];
    this.#worstMs = 0;
  }

  #send(): void {
    const command = this.#finishing ? ['GET', KEY] : ['INCR', KEY];
    this.#sentAtMs = performance.now();
    this.#timer = setTimeout(() => broken(`no reply for ${REPLY_MS_MAX / 1000} s`), REPLY_MS_MAX);
    this.socket.write(encodeCommand(command));
  }

  #received(chunk: string): void {
    for (const reply of this.#reader.push(chunk)) this.#replied(reply);
  }

  #replied(reply: Reply): void {
    clearTimeout(this.#timer);
    const waitMs = performance.now() - this.#sentAtMs;
    this.#sentAtMs = 0;
    if (reply.kind === 'text') this.#found(reply.value);
    else this.#counted(reply, waitMs);
  }

  #counted(reply: Reply, waitMs: number): void {
    if (reply.kind !== 'number') broken(`the reply to INCR is ${JSON.stringify(reply)}`);
    if (reply.value !== this.#acknowledged + 1) {
      broken(`after ${this.#acknowledged} came ${reply.value}: increments were lost or repeated`);
    }
    this.#acknowledged = reply.value;
    if (this.#waits.length < WAITS_MAX) this.#waits.push(waitMs);
    if (waitMs > this.#worstMs) [this.#worstMs, this.#worstAtMs] = [waitMs, Date.now()];
    setTimeout(() => this.#send(), this.pauseMs);
  }

  #found(value: string | null): void {
    tell({ kind: 'finished', acknowledged: this.#acknowledged, found: Number(value) });
    process.exit(0);
  }
}

function main(): void {
  const [host = '', port = '', pauseMs = ''] = process.argv.slice(2);
  const socket = connect({ host, port: Number(port) });
  const refused = (error: Error) => broken(`no connection: ${error.message}`);
  socket.once('error', refused);
  socket.once('connect', () => {
    socket.off('error', refused);
    const counter = new Counter(socket, Number(pauseMs));
    const orders = createInterface({ input: process.stdin });
    orders.on('line', (line) => {
      if (line === 'window') counter.window();
      if (line === 'finish') counter.finish();
    });
    orders.on('close', () => process.exit(1)); // whoever watched is gone
  });
}

main();
