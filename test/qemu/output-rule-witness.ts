// SPDX-License-Identifier: Apache-2.0
// The witness of the output rule: it runs in the client's namespace, asks the guest for notes over one TCP
// connection all the time (several requests under way), and kills when it is told to: at the instant a chosen reply
// is seen. A note holds numbers that no two runs have in common; the guest remembers it, so that it can be asked later
// whether it still stands by what it said.
//
// usage: node output-rule-witness.js HOST PORT
// Orders on standard input, a line each; each is answered on standard output by a JSON line (WitnessReport):
//   kill AFTER PID...   after AFTER more replies, SIGKILL to these, in this order
//   verify              ask for the notes around the last kill again
//   finish              end
// Whatever must not happen: {"kind":"contradiction","words":...}, and it exits with 1.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { systemCode } from '../../cli/local/errors.js';
import type { WitnessReport } from './support/witness.js';

/** Requests under way: at a kill there are replies in every stage of their way. */
const PIPELINE = 6;
/** Between kills the guest shall have time to be cloned. */
const REST_MS = 5;
/** Longer than any failover. */
const REPLY_MS_MAX = 30_000;
/** Notes seen before a kill, and after it, that are asked for again by one `verify`. */
const BEFORE_KILL = 100;
const AFTER_KILL = 100;
/** More are not kept between two kills. */
const SEEN_MAX = 50_000;
const CHECK_MS = 1000;

const tell = (report: WitnessReport): void => {
  process.stdout.write(`${JSON.stringify(report)}\n`);
};

function contradiction(words: string): never {
  tell({ kind: 'contradiction', words });
  process.exit(1);
}

/** One of a host's processes may be gone already: its agent ends what is left of an incarnation when a part has died. */
function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}

interface Kill {
  after: number;
  readonly pids: readonly number[];
}

class Witness {
  /** What was seen, by number, in order: from a little before the last kill on. */
  readonly #seen = new Map<number, string>();
  #last = 0;
  #lastUs = 0n;
  /** What the replies under way answer: 'new', or the number of an old note. */
  readonly #expected: ('new' | number)[] = [];
  #pending = '';
  #kill: Kill | undefined;
  #verifying = 0;
  #heardAtMs = performance.now();
  #worstMs = 0;

  constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => this.#received(String(chunk)));
    socket.on('error', (error) => contradiction(`the connection broke: ${error.message}`));
    socket.on('close', () => contradiction('the connection was closed'));
    setInterval(() => {
      const waitMs = performance.now() - this.#heardAtMs;
      if (waitMs > REPLY_MS_MAX) contradiction(`no reply for ${REPLY_MS_MAX / 1000} s`);
    }, CHECK_MS).unref();
    for (let i = 0; i < PIPELINE; i++) this.#askNew();
  }

  killAfter(after: number, pids: readonly number[]): void {
    this.#worstMs = 0;
    this.#kill = { after, pids };
  }

  verify(): void {
    const numbers = [...this.#seen.keys()].slice(0, BEFORE_KILL + AFTER_KILL);
    this.#verifying = numbers.length;
    for (const number of numbers) this.#ask(number, `noted ${number}\n`);
  }

  #askNew(): void {
    this.#ask('new', 'note\n');
  }

  #ask(what: 'new' | number, line: string): void {
    this.#expected.push(what);
    this.socket.write(line);
  }

  #received(chunk: string): void {
    const nowMs = performance.now();
    this.#worstMs = Math.max(this.#worstMs, nowMs - this.#heardAtMs);
    this.#heardAtMs = nowMs;
    const lines = (this.#pending + chunk).split('\n');
    this.#pending = lines.pop() ?? '';
    for (const line of lines) this.#reply(line);
  }

  #reply(line: string): void {
    const what = this.#expected.shift();
    if (what === 'new') this.#made(line);
    else if (what === undefined) contradiction(`a reply that nobody asked for: ${line}`);
    else this.#again(what, line);
  }

  #made(line: string): void {
    this.#strike();
    const [, number = '', us = ''] = /^ok (\d+) [0-9a-f]{16} [0-9a-f]{16} (\d+)$/.exec(line) ?? [];
    if (Number(number) !== this.#last + 1) contradiction(`after note ${this.#last} came: ${line}`);
    if (BigInt(us) < this.#lastUs) contradiction(`the guest's time went back to ${us} us in: ${line}`);
    this.#last += 1;
    this.#lastUs = BigInt(us);
    this.#seen.set(this.#last, line);
    this.#forget(SEEN_MAX);
    if (this.#kill !== undefined) this.#askNew();
    else setTimeout(() => this.#askNew(), REST_MS);
  }

  /** Keeps the newest `keep`. */
  #forget(keep: number): void {
    for (const number of this.#seen.keys()) {
      if (this.#seen.size <= keep) break;
      this.#seen.delete(number);
    }
  }

  /** First of all, before the reply is even looked at: nothing may come between seeing and killing. */
  #strike(): void {
    if (this.#kill === undefined || --this.#kill.after > 0) return;
    for (const pid of this.#kill.pids) killNow(pid);
    this.#kill = undefined;
    this.#forget(BEFORE_KILL);
    tell({ kind: 'killed', seen: this.#last + 1 });
  }

  #again(number: number, line: string): void {
    const seen = this.#seen.get(number);
    if (seen !== line) contradiction(`seen before: ${seen ?? 'nothing'}; said now: ${line}`);
    this.#verifying -= 1;
    if (this.#verifying === 0) tell({ kind: 'verified', notes: this.#last, worstMs: this.#worstMs });
  }
}

function obey(witness: Witness, line: string): void {
  const [order, ...words] = line.split(' ');
  const [after = 1, ...pids] = words.map(Number);
  if (order === 'kill') witness.killAfter(after, pids);
  else if (order === 'verify') witness.verify();
  else if (order === 'finish') process.exit(0);
  else throw new Error(`no such order: ${line}`);
}

function main(): void {
  const [host = '', port = ''] = process.argv.slice(2);
  const socket = connect({ host, port: Number(port) });
  const refused = (error: Error) => contradiction(`no connection: ${error.message}`);
  socket.once('error', refused);
  socket.once('connect', () => {
    socket.off('error', refused);
    const witness = new Witness(socket);
    const orders = createInterface({ input: process.stdin });
    orders.on('line', (line) => obey(witness, line));
    orders.on('close', () => process.exit(1)); // whoever watched is gone
  });
}

main();
