// SPDX-License-Identifier: Apache-2.0
// Starts a station and talks with it.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { z } from 'zod';
import { placed } from '../../cli/local/processes.js';
import { shareSession } from '../../cli/local/share.js';
import { BenchError } from '../errors.js';
import { answerSchema, timedSchema, windowSchema, type Order, type Timed, type Window } from './messages.js';

const MAIN = join(import.meta.dirname, 'main.js');
const ANSWER_MS_MAX = 120_000;

export interface Target {
  readonly host: string;
  readonly redisPort: number;
  readonly commandPort: number;
  /** Where the station stands; nothing: on the machine itself. */
  readonly netns?: string;
}

interface Waiting {
  readonly done: (result: unknown) => void;
  readonly fail: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class Station {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #broken: BenchError | undefined;

  constructor({ host, redisPort, commandPort, netns }: Target) {
    const command = [process.execPath, MAIN, host, String(redisPort), String(commandPort)];
    const [file = '', ...args] = placed(command, netns === undefined ? {} : { netns });
    this.#process = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#process.pid !== undefined) shareSession(this.#process.pid, 'first');
    this.#process.on('error', (error) => this.#break(`the station could not be run: ${error.message}`));
    this.#process.on('exit', () => this.#break('the station has ended'));
    this.#process.stdin.on('error', () => undefined); // its end is told by 'exit'
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#answered(line));
  }

  async count(pauseMs: number): Promise<void> {
    await this.#ask({ op: 'count', pauseMs });
  }

  async rest(): Promise<void> {
    await this.#ask({ op: 'rest' });
  }

  window(): Promise<Window> {
    return this.#ask({ op: 'window' }, windowSchema);
  }

  /** One command of the test guest (test/guest/guestd.c). @throws BenchError unless its answer is "ok ...". */
  async command(line: string, timeoutMs = ANSWER_MS_MAX / 2): Promise<Timed> {
    const answer = await this.#ask({ op: 'command', line, timeoutMs }, timedSchema);
    if (answer.words[0] !== 'ok') throw new BenchError(`guest: ${line}: ${answer.words.join(' ')}`);
    return answer;
  }

  redis(words: readonly string[], timeoutMs = ANSWER_MS_MAX / 2): Promise<Timed> {
    return this.#ask({ op: 'redis', words: [...words], timeoutMs }, timedSchema);
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #ask(order: Order): Promise<unknown>;
  #ask<T>(order: Order, answer: z.ZodType<T>): Promise<T>;
  async #ask<T>(order: Order, answer?: z.ZodType<T>): Promise<T | undefined> {
    if (this.#broken !== undefined) throw this.#broken;
    const id = ++this.#lastId;
    const result = await new Promise((done, fail) => {
      const timer = setTimeout(() => this.#break(`the station did not answer '${order.op}'`), ANSWER_MS_MAX);
      this.#waiting.set(id, { done, fail, timer });
      this.#process.stdin.write(`${JSON.stringify({ id, order })}\n`);
    });
    return answer?.parse(result);
  }

  #answered(line: string): void {
    const { id, error, result } = answerSchema.parse(JSON.parse(line));
    if (id === 0) {
      this.#break(error ?? 'the station broke');
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    if (error === undefined) waiting?.done(result);
    else waiting?.fail(new BenchError(error));
  }

  /** For good: what waits fails, and all that is asked later. */
  #break(words: string): void {
    const error = (this.#broken ??= new BenchError(words));
    for (const { fail, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      fail(error);
    }
    this.#waiting.clear();
  }
}
