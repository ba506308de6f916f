// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./fake_shim', import.meta.url));

/** QEMU's side of a ring, for tests: a process that does what it is told, one command after the other. */
export class FakeShim {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor(ringPath: string) {
    this.#child = spawn(PROGRAM, [ringPath], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line));
    // A test that ends in the middle of a command leaves a broken pipe behind.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Resolves with the answer, without its "ok"; see fake_shim.c for the commands. */
  async tell(command: string): Promise<string> {
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve));
    this.#child.stdin.write(`${command}\n`);
    const line = await answer;
    if (!line.startsWith('ok')) throw new Error(`fake shim, ${command}: ${line}`);
    return line.slice('ok '.length);
  }

  async set(field: string, value: number | bigint): Promise<void> {
    await this.tell(`set ${field} ${value}`);
  }

  async get(field: string): Promise<number> {
    return Number(await this.tell(`get ${field}`));
  }

  async produce(bytes: Uint8Array): Promise<number> {
    return Number(await this.tell(`produce ${Buffer.from(bytes).toString('hex')}`));
  }

  async read(lsn: number, bytes: number): Promise<Buffer> {
    return Buffer.from(await this.tell(`read ${lsn} ${bytes}`), 'hex');
  }

  /** As a host that loses power: nothing is said to anyone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** A folder of shared memory for one test. */
export class ScratchFolder {
  readonly path = mkdtempSync('/dev/shm/lockstep-test-');

  file(name: string): string {
    return join(this.path, name);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Resolves once `check` holds; looked at again whenever `changed` is called. */
export class Condition {
  #waiting: (() => void)[] = [];

  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async until(check: () => boolean): Promise<void> {
    while (!check()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** The code of the error that `call` throws. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  return 'no error';
}
