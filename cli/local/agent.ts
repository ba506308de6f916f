// SPDX-License-Identifier: Apache-2.0
// A host's agent: the kubelet of the local pair. It is pid 1 of its host's pid namespace, so that its death
// by SIGKILL takes the whole host with it, like a power cut. It starts and ends incarnations when it is told
// to; it never starts one by itself.
//
// usage: node build/cli/local/agent.js PAIR HOST
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRequestSchema, type AgentStatus, type StartRequest } from './agent-api.js';
import { boundFile } from './bounded-file.js';
import { LocalError, messageOf, systemCode } from './errors.js';
import { appendEvent } from './events.js';
import { Incarnation, newNonce } from './incarnation.js';
import { hostOf, type HostLayout } from './layout.js';
import { CHANNEL_PORT, planIncarnation } from './plan.js';
import { writeOwnPidFile } from './processes.js';
import { serveUnix, type Handler } from './routes.js';
import { loadPair, type Pair } from './settings.js';
import { shareSession } from './share.js';

/** Folders of ended incarnations that are kept, for their logs. */
const KEPT_INCARNATIONS = 6;
const LOADING_POLL_MS = 50;
const OUTPUT_LOOK_MS = 1000;

export class Agent {
  #current: Incarnation | null = null;

  constructor(
    private readonly pair: Pair,
    private readonly host: HostLayout,
    private readonly pid: number,
  ) {}

  async start(request: StartRequest): Promise<AgentStatus> {
    if (this.#current !== null && !this.#current.ended) {
      throw new LocalError('HOST_BUSY', `host ${this.host.name} runs an incarnation already`);
    }
    const plan = planIncarnation(this.pair, this.host, newNonce(), request);
    const incarnation = new Incarnation(plan, (reason) => {
      this.#tell('IncarnationEnded', reason);
    });
    this.#current = incarnation;
    await this.#forgetOld(basename(plan.dir));
    this.#share(incarnation).catch((error: unknown) => {
      process.stderr.write(`agent: sharing processors: ${messageOf(error)}\n`);
    });
    keepOutputsSmall(incarnation).catch((error: unknown) => {
      process.stderr.write(`agent: keeping console and logs small: ${messageOf(error)}\n`);
    });
    await incarnation.start();
    this.#tell('IncarnationStarted', `${request.role}, nonce ${plan.nonce}`);
    return this.status();
  }

  async stop(): Promise<AgentStatus> {
    const current = this.#current;
    await current?.stop('stopped by command');
    if (this.#current === current) this.#current = null;
    return this.status();
  }

  async status(): Promise<AgentStatus> {
    const current = this.#current;
    const sidecar = current === null || current.ended ? null : await current.sidecarStatus();
    return {
      host: this.host.name,
      pid: this.pid,
      channel: { host: this.host.ip, port: CHANNEL_PORT },
      incarnation: current?.status() ?? null,
      sidecar,
    };
  }

  /**
   * A backup comes first only when it has loaded: nobody waits for the load, and many for the guest, which may run on the
   * same processors here.
   */
  async #share(incarnation: Incarnation): Promise<void> {
    if (incarnation.plan.role === 'backup') shareSession('self', 'ordinary');
    while (await incarnation.loads()) await sleep(LOADING_POLL_MS);
    if (this.#current === null || this.#current === incarnation) shareSession('self', 'first');
  }

  #tell(what: string, text: string): void {
    appendEvent(this.pair.layout.events, what, this.host.name, text);
  }

  /** Rings of all that ever ran here and is dead, and all but the newest folders. */
  async #forgetOld(keep: string): Promise<void> {
    await removeRings(this.host, keep);
    const folders = (await readdir(this.host.dir, { withFileTypes: true })).filter((one) =>
      one.isDirectory(),
    );
    const aged = await Promise.all(
      folders.map(async ({ name }) => ({ name, at: (await stat(join(this.host.dir, name))).mtimeMs })),
    );
    aged.sort((a, b) => b.at - a.at);
    for (const { name } of aged.slice(KEPT_INCARNATIONS)) {
      await rm(join(this.host.dir, name), { recursive: true });
    }
  }
}

/** For as long as something writes to it. */
async function keepOutputsSmall(incarnation: Incarnation): Promise<void> {
  while (!incarnation.ended) {
    for (const file of incarnation.outputs) await boundFile(file);
    await sleep(OUTPUT_LOOK_MS, undefined, { ref: false });
  }
}

/** Removes the host's ring files, but for those of incarnation `keep`. */
async function removeRings(host: HostLayout, keep: string | null): Promise<void> {
  const folder = dirname(host.ringPrefix);
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    if (file.startsWith(host.ringPrefix) && (keep === null || !name.includes(keep)))
      await rm(file, { force: true });
  }
}

async function main(): Promise<void> {
  const [pairName = '', hostName = ''] = process.argv.slice(2);
  const pair = await loadPair(pairName);
  const host = hostOf(pair.layout, hostName);
  await mkdir(host.dir, { recursive: true });
  await removeRings(host, null); // a host that was switched on has an empty memory
  const { pid } = await writeOwnPidFile(host.agentPid);
  const agent = new Agent(pair, host, pid);
  const handlers: Record<string, Handler> = {
    'GET /status': () => agent.status(),
    'POST /start': (body) => agent.start(startRequestSchema.parse(body)),
    'POST /stop': () => agent.stop(),
  };
  await serveUnix(host.agentSocket, handlers);
  const shutDown = () => {
    agent.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`agent: ${messageOf(error)}\n`);
        process.exit(1);
      },
    );
  };
  // Pid 1 has no default actions: what shall end it must be said.
  process.on('SIGTERM', shutDown);
  process.on('SIGINT', shutDown);
}

main().catch((error: unknown) => {
  process.stderr.write(`agent: ${messageOf(error)} ${systemCode(error) ?? ''}\n`);
  process.exit(1);
});
