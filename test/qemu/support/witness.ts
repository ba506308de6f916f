// SPDX-License-Identifier: Apache-2.0
// Starts the witness of the output rule in the client's namespace, and talks with it.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { GUEST_PORTS, type PairLayout } from '../../../cli/local/layout.js';
import { placed } from '../../../cli/local/processes.js';

const PROGRAM = join(import.meta.dirname, '../output-rule-witness.js');
const ANSWER_MS_MAX = 90_000;

export const witnessReportSchema = z.discriminatedUnion('kind', [
  /** `seen`: number of the note at whose sight it struck. */
  z.object({ kind: z.literal('killed'), seen: z.int() }),
  /** All notes asked for are as they were; `notes` were made so far. `worstMs`: longest silence since the last kill. */
  z.object({ kind: z.literal('verified'), notes: z.int(), worstMs: z.number() }),
  z.object({ kind: z.literal('contradiction'), words: z.string() }),
]);
export type WitnessReport = z.infer<typeof witnessReportSchema>;

/** The guest said what it does not stand by, or the connection that must go on did not. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction';
  readonly code = 'CONTRADICTION';
}

type Waiter = (report: WitnessReport) => void;

export class Witness {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiters: Waiter[] = [];
  #over: WitnessReport | undefined;

  constructor(pair: PairLayout) {
    const command = [process.execPath, PROGRAM, pair.guest.ip, String(GUEST_PORTS.command)];
    const [file = '', ...args] = placed(command, { netns: pair.client.netns });
    this.#process = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.stdin.on('error', () => undefined); // its end is told by 'exit'
    this.#process.on('exit', () => {
      this.#report({ kind: 'contradiction', words: 'the witness has ended' });
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#report(witnessReportSchema.parse(JSON.parse(line)));
    });
  }

  /**
   * Kills when `after` more replies have been seen; returns the number of the note that was.
   * @throws Contradiction
   */
  async killAfter(after: number, pids: readonly number[]): Promise<number> {
    const report = await this.#ask(`kill ${after} ${pids.join(' ')}`);
    return report.kind === 'killed' ? report.seen : failed(report);
  }

  /** Asks the guest for its last notes again. @throws Contradiction */
  async verify(): Promise<{ notes: number; worstMs: number }> {
    const report = await this.#ask('verify');
    return report.kind === 'verified' ? report : failed(report);
  }

  end(): void {
    this.#process.kill('SIGKILL');
  }

  #ask(order: string): Promise<WitnessReport> {
    if (this.#over !== undefined) return Promise.resolve(this.#over);
    return new Promise((done) => {
      const timer = setTimeout(() => {
        this.#report({ kind: 'contradiction', words: `no answer for ${ANSWER_MS_MAX / 1000} s` });
      }, ANSWER_MS_MAX);
      this.#waiters.push((report) => {
        clearTimeout(timer);
        done(report);
      });
      this.#process.stdin.write(`${order}\n`);
    });
  }

  #report(report: WitnessReport): void {
    if (report.kind === 'contradiction') this.#over ??= report;
    const waiters = report.kind === 'contradiction' ? this.#waiters.splice(0) : this.#waiters.splice(0, 1);
    for (const waiter of waiters) waiter(report);
  }
}

function failed(report: WitnessReport): never {
  throw new Contradiction(report.kind === 'contradiction' ? report.words : `unexpected ${report.kind}`);
}
