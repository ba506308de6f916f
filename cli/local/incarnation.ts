// SPDX-License-Identifier: Apache-2.0
// One incarnation of the VM on one host: a sidecar and the QEMU it serves, which live and die together.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { sidecarStatusSchema } from '../../sidecar/observe/status-schema.js';
import { DEFAULT_LIMITS } from '../../sidecar/protocol/limits.js';
import type { Phase } from '../../sidecar/protocol/status.js';
import type { IncarnationStatus, StartRequest } from './agent-api.js';
import { Child } from './child.js';
import { LocalError, messageOf, systemCode } from './errors.js';
import { lastWords, logOf } from './last-words.js';
import { callUnix } from './unix-http.js';

const SIDECAR_READY_MS_MAX = 20_000;
const QEMU_READY_MS_MAX = 20_000;
const POLL_MS = 10;
const STATUS_TIMEOUT_MS = 300;
const LOADING_PHASES: ReadonlySet<Phase> = new Set(['joining', 'loading']);
/** A sidecar whose QEMU is gone may still claim, so that its peer does not bring the VM back; then it is ended. */
const SIDECAR_GRACE_MS = DEFAULT_LIMITS.switchOffClaimMs + 2000;

/** Everything an incarnation is made of; built by plan.ts, so that this file only runs it. */
export interface IncarnationPlan {
  readonly nonce: string;
  readonly role: StartRequest['role'];
  readonly dir: string;
  readonly ringFile: string;
  readonly controlSocket: string;
  readonly qmpSocket: string;
  readonly serialFile: string;
  readonly configFile: string;
  /** Written to `configFile`. */
  readonly config: unknown;
  readonly sidecarCommand: readonly string[];
  readonly qemuCommand: readonly string[];
}

export const newNonce = (): string => randomBytes(16).toString('hex');

export class Incarnation {
  readonly startedAt = new Date().toISOString();
  #phase: 'starting' | 'running' | 'ended' = 'starting';
  #reason: string | null = null;
  #sidecar: Child | undefined;
  #qemu: Child | undefined;
  #sidecarPid: number | null = null;
  #qemuPid: number | null = null;

  /** `onEnd` is called once, with the reason, when sidecar and QEMU are both gone. */
  constructor(
    readonly plan: IncarnationPlan,
    private readonly onEnd: (reason: string) => void,
  ) {}

  /** What grows for as long as it runs: the guest's console, and what its processes say. */
  get outputs(): string[] {
    const { dir, serialFile } = this.plan;
    return [serialFile, logOf(dir, 'sidecar'), logOf(dir, 'qemu')];
  }

  get ended(): boolean {
    return this.#phase === 'ended';
  }

  /**
   * Starts the sidecar, waits until it is ready, starts QEMU, waits for its monitor.
   * @throws LocalError START_FAILED; nothing is left running then.
   */
  async start(): Promise<void> {
    const { plan } = this;
    try {
      await mkdir(plan.dir, { recursive: true });
      await writeFile(plan.configFile, JSON.stringify(plan.config, null, 2) + '\n', { mode: 0o600 });
      this.#sidecar = this.#launch('sidecar', plan.sidecarCommand);
      await this.#until('sidecar', SIDECAR_READY_MS_MAX, () => this.#sidecarAnswers());
      this.#sidecarPid = await machinePid(this.#sidecar.pid);
      this.#qemu = this.#launch('qemu', plan.qemuCommand);
      await this.#until('qemu', QEMU_READY_MS_MAX, () => exists(plan.dir, plan.qmpSocket));
      this.#qemuPid = await machinePid(this.#qemu.pid);
      await this.#requireNoEnd('qemu'); // its monitor may have been the last thing that it made
    } catch (error) {
      await this.#end(messageOf(error));
      throw new LocalError('START_FAILED', messageOf(error), `See the logs in ${plan.dir}.`, {
        cause: error,
      });
    }
    this.#phase = 'running';
  }

  /** Ends both at once; nothing is flushed. */
  async stop(reason: string): Promise<void> {
    await this.#end(reason);
  }

  status(): IncarnationStatus {
    const { plan } = this;
    return {
      nonce: plan.nonce,
      role: plan.role,
      phase: this.#phase,
      startedAt: this.startedAt,
      dir: plan.dir,
      controlSocket: plan.controlSocket,
      serialFile: plan.serialFile,
      ringFile: plan.ringFile,
      sidecarPid: this.#sidecar?.exit === undefined ? this.#sidecarPid : null,
      qemuPid: this.#qemu?.exit === undefined ? this.#qemuPid : null,
      reason: this.#reason,
    };
  }

  /** It is a backup that takes in a clone, or is about to: nobody is protected by it yet. No if it does not say. */
  async loads(): Promise<boolean> {
    if (this.plan.role !== 'backup' || this.ended) return false;
    const said = await this.sidecarStatus();
    if (said === null) return this.#phase === 'starting';
    const status = sidecarStatusSchema.safeParse(said);
    return status.success && LOADING_PHASES.has(status.data.phase);
  }

  /** What the sidecar says of itself; null when it says nothing in time. */
  async sidecarStatus(): Promise<unknown> {
    try {
      return await callUnix({
        socket: this.plan.controlSocket,
        method: 'GET',
        path: '/status',
        timeoutMs: STATUS_TIMEOUT_MS,
        answer: z.unknown(),
      });
    } catch {
      return null; // frozen, starting or gone: null is the answer
    }
  }

  #launch(name: 'sidecar' | 'qemu', command: readonly string[]): Child {
    const { dir } = this.plan;
    const child = new Child(name, command, { cwd: dir, logFile: logOf(dir, name) });
    this.#endAfter(child, name === 'qemu' ? SIDECAR_GRACE_MS : 0).catch((error: unknown) => {
      process.stderr.write(`agent: ending ${name}: ${messageOf(error)}\n`);
    });
    return child;
  }

  /** Fail closed: neither may go on without the other, and nothing is started again here. */
  async #endAfter(child: Child, graceMs: number): Promise<void> {
    const exit = await child.exited;
    this.#reason ??= exit.words;
    if (graceMs > 0) await Promise.race([this.#sidecar?.exited, sleep(graceMs)]);
    await this.#end(exit.words);
  }

  async #end(reason: string): Promise<void> {
    this.#reason ??= reason;
    const children = [this.#qemu, this.#sidecar].filter((child) => child !== undefined);
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exited));
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.onEnd(this.#reason);
  }

  async #sidecarAnswers(): Promise<boolean> {
    return (await this.sidecarStatus()) !== null;
  }

  /** @throws LocalError START_FAILED in the words of `name` when one of the two has ended */
  async #requireNoEnd(name: 'sidecar' | 'qemu'): Promise<void> {
    if (this.#reason === null) return;
    throw new LocalError('START_FAILED', `${this.#reason}: ${await lastWords(this.plan.dir, name)}`);
  }

  async #until(name: 'sidecar' | 'qemu', timeoutMs: number, ready: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await ready())) {
      await this.#requireNoEnd(name);
      if (performance.now() > deadline) {
        throw new LocalError('TIMEOUT', `${name} was not ready within ${timeoutMs} ms`);
      }
      await sleep(POLL_MS);
    }
  }
}

async function exists(dir: string, file: string): Promise<boolean> {
  return (await readdir(dir)).some((name) => join(dir, name) === file);
}

/**
 * The pid of one of our children as the machine sees it. In a pid namespace ours are numbered anew; /proc is
 * the machine's, and the last of the NSpid numbers there (proc(5)) is the child's number here.
 */
async function machinePid(pid: number | undefined): Promise<number | null> {
  if (pid === undefined) return null;
  const self = Number.parseInt(await readFile('/proc/self/stat', 'utf8'), 10);
  if (self === process.pid) return pid;
  const tasks = await readdir(`/proc/${self}/task`);
  for (const task of tasks) {
    const children = await readFile(`/proc/${self}/task/${task}/children`, 'utf8');
    for (const child of children.split(' ').filter((word) => word !== '')) {
      if ((await innerPid(child)) === pid) return Number(child);
    }
  }
  return null;
}

async function innerPid(child: string): Promise<number | null> {
  try {
    const status = await readFile(`/proc/${child}/status`, 'utf8');
    const numbers = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/);
    return Number(numbers?.at(-1));
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return null;
    throw error;
  }
}
