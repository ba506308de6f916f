// SPDX-License-Identifier: Apache-2.0
// Starts the counting client in its namespace and talks with it.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { LocalError } from '../local/errors.js';
import type { PairLayout } from '../local/layout.js';
import { placed, type Placement } from '../local/processes.js';
import { shareSession } from '../local/share.js';
import { counterReportSchema, type CounterReport, type Finished, type Window } from './reports.js';

const COUNTER = join(import.meta.dirname, 'counter.js');
const ANSWER_MS_MAX = 90_000;

type Waiter = (report: CounterReport) => void;

/** The guest's Redis, and the network from which it is asked. */
export interface Server {
  readonly host: string;
  readonly port: number;
  readonly from: Placement;
}

/** The guest of a local pair, seen from its client's namespace. */
export const serverOf = ({ guest, client }: PairLayout): Server => ({
  host: guest.ip,
  port: guest.redisPort,
  from: { netns: client.netns },
});

export class Client {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  /** Reports come in the order of the orders; `broken` goes to whoever waits, and to all after. */
  readonly #waiters: Waiter[] = [];
  #broken: CounterReport | undefined;

  constructor({ host, port, from }: Server, pauseMs: number) {
    const [file = '', ...args] = placed(
      [process.execPath, COUNTER, host, String(port), String(pauseMs)],
      from,
    );
    // Detached: a Ctrl-C at the terminal must not look like a broken connection.
    this.#process = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#process.pid !== undefined) shareSession(this.#process.pid, 'first');
    this.#process.on('exit', () => {
      this.#report({ kind: 'broken', words: 'the client has ended' });
    });
    this.#process.stdin.on('error', () => undefined); // its end is told by 'exit'
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#report(counterReportSchema.parse(JSON.parse(line)));
    });
  }

  /** What was seen since the last call. */
  async window(): Promise<Window> {
    const report = await this.#ask('window');
    if (report.kind === 'window') return report;
    throw brokenError(report);
  }

  /** Ends the client after a last GET. */
  async finish(): Promise<Finished> {
    const report = await this.#ask('finish');
    if (report.kind === 'finished') return report;
    throw brokenError(report);
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #ask(order: string): Promise<CounterReport> {
    if (this.#broken !== undefined) return Promise.resolve(this.#broken);
    return new Promise((done) => {
      const timer = setTimeout(() => {
        this.#report({ kind: 'broken', words: `the client did not answer for ${ANSWER_MS_MAX / 1000} s` });
      }, ANSWER_MS_MAX);
      this.#waiters.push((report) => {
        clearTimeout(timer);
        done(report);
      });
      this.#process.stdin.write(`${order}\n`);
    });
  }

  #report(report: CounterReport): void {
    if (report.kind === 'broken') this.#broken ??= report;
    const waiters = report.kind === 'broken' ? this.#waiters.splice(0) : this.#waiters.splice(0, 1);
    for (const waiter of waiters) waiter(this.#broken ?? report);
  }
}

const brokenError = (report: CounterReport): LocalError =>
  new LocalError('COMMAND_FAILED', report.kind === 'broken' ? report.words : `unexpected ${report.kind}`);
