// SPDX-License-Identifier: Apache-2.0
// The pair's controller: observe, decide, act, a few times a second. It makes a new backup when the VM is
// alone and reboots hosts that lost their power. It never starts the VM: that takes a person. Its keeper (keeper.ts)
// starts it, with a channel between them, and again when it has crashed.
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../operator/mind/backoff.js';
import { PROTECTION_TABLE } from '../../operator/mind/protection.js';
import { decide } from '../../operator/mind/table.js';
import { agentStart, agentStop } from './agent-api.js';
import type { ControllerStatus } from './controller-api.js';
import { HOST_TABLE, protectionInput, type HostAction, type HostOrder } from './decide.js';
import { LocalError, messageOf } from './errors.js';
import { appendEvent, boundTimeline } from './events.js';
import { bootHost } from './hosts.js';
import { lastWords } from './last-words.js';
import { hostOf, type HostLayout } from './layout.js';
import { observePair, type HostView } from './observe.js';
import { startController } from './pair.js';
import { serveUnix } from './routes.js';
import { loadDesired, loadPair, type Desired, type Pair } from './settings.js';

const TICK_MS = 200;
const REBOOT_AFTER_MS = 1000;
const BACKUP_ORDERED = 'BackupOrdered';

const orderOf = (what: string | undefined): HostOrder => {
  if (what === undefined) return 'none';
  return what === BACKUP_ORDERED ? 'backup' : 'other';
};

export class Controller {
  readonly #backoff = new Backoff();
  /** Hosts to which an order is under way, and which. */
  readonly #busy = new Map<string, string>();
  readonly #deadSinceMs = new Map<string, number>();
  readonly #said = new Map<string, string>();
  #row = { reason: 'Begun', words: 'the controller has just begun' };
  #failure: ControllerStatus['failure'] = null;

  constructor(
    private readonly pair: Pair,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** For GET /status. */
  status(): ControllerStatus {
    return { ...this.#row, failure: this.#failure };
  }

  async tick(): Promise<void> {
    const { layout } = this.pair;
    await boundTimeline(layout.events);
    const desired = await loadDesired(layout);
    const views = await observePair(layout.hosts);
    for (const view of views) this.#tellHost(view);
    for (const view of views) this.#careFor(view, desired);
    this.#protect(views, desired);
  }

  #careFor(view: HostView, desired: Desired): void {
    const row = decide(HOST_TABLE, {
      kind: view.kind,
      busy: this.#busy.has(view.name),
      poweredOff: desired.poweredOff.includes(view.name),
      rebootDue: this.#deadForMs(view) >= REBOOT_AFTER_MS,
    });
    const host = hostOf(this.pair.layout, view.name);
    const act: Record<Exclude<HostAction, 'none'>, () => Promise<unknown>> = {
      boot: () => bootHost(this.pair.layout, host),
      clean: () => agentStop(host),
    };
    if (row.action === 'clean') this.#mourn(host, view);
    if (row.action !== 'none') this.#order(host, row.reason, act[row.action]);
  }

  #protect(views: readonly HostView[], desired: Desired): void {
    const nowMs = this.now();
    const epoch = Math.max(0, ...views.map(({ sidecar }) => sidecar?.epoch ?? 0));
    this.#backoff.epochSeen(epoch);
    const row = decide(
      PROTECTION_TABLE,
      protectionInput({
        hosts: views.map(({ name, kind }) => ({ kind, order: orderOf(this.#busy.get(name)) })),
        wanted: desired.protected,
        backingOff: this.#backoff.waits(nowMs),
      }),
    );
    this.#tell('pair', row.reason, null, row.words);
    this.#row = { reason: row.reason, words: row.words };
    if (row.reason === 'Protected') {
      this.#backoff.success();
      this.#failure = null;
    }
    if (row.action !== 'startBackup') return;
    const owner = views.find((view) => view.kind === 'alone');
    const spare = views.find((view) => view.kind === 'idle' && !this.#busy.has(view.name));
    if (!owner?.agent || spare === undefined) throw new Error('startBackup without owner or spare');
    const peer = owner.agent.channel;
    this.#backoff.attempt(nowMs, epoch);
    const host = hostOf(this.pair.layout, spare.name);
    this.#order(host, BACKUP_ORDERED, () => agentStart(host, { role: 'backup', peer }));
  }

  /** Carries out one order to one host, beside all else; what comes of it is seen by the next observation. */
  #order(host: HostLayout, what: string, act: () => Promise<unknown>): void {
    this.#busy.set(host.name, what);
    appendEvent(this.pair.layout.events, what, host.name, '');
    act()
      .catch((error: unknown) => {
        const cure = error instanceof LocalError && error.cure !== undefined ? ` ${error.cure}` : '';
        const text = `${messageOf(error)}${cure}`;
        if (what === BACKUP_ORDERED) this.#failed(host, text);
        appendEvent(this.pair.layout.events, 'OrderFailed', host.name, `${what}: ${text}`);
      })
      .finally(() => this.#busy.delete(host.name))
      .catch((error: unknown) => {
        crash(error);
      });
  }

  /** A backup that has ended, as it was not asked to, says why. */
  #mourn(host: HostLayout, { agent }: HostView): void {
    const ended = agent?.incarnation;
    if (ended?.role !== 'backup') return;
    lastWords(ended.dir, 'sidecar').then(
      (said) => {
        this.#failed(host, `${ended.reason ?? 'it ended'}: ${said}`);
      },
      (error: unknown) => {
        this.#failed(host, `${ended.reason ?? 'it ended'} (${messageOf(error)})`);
      },
    );
  }

  #failed(host: HostLayout, text: string): void {
    this.#failure = { at: new Date().toISOString(), host: host.name, text };
  }

  #deadForMs(view: HostView): number {
    if (view.kind !== 'dead') {
      this.#deadSinceMs.delete(view.name);
      return 0;
    }
    const since = this.#deadSinceMs.get(view.name) ?? this.now();
    this.#deadSinceMs.set(view.name, since);
    return this.now() - since;
  }

  #tellHost(view: HostView): void {
    const { sidecar, agent } = view;
    const text =
      sidecar !== null
        ? `${sidecar.role}, ${sidecar.phase}, epoch ${sidecar.epoch}`
        : (agent?.incarnation?.reason ?? '');
    this.#tell(`host ${view.name}`, `Host:${view.kind}`, view.name, text);
  }

  /** Only changes are told. */
  #tell(about: string, what: string, host: string | null, text: string): void {
    const line = `${what} ${text}`;
    if (this.#said.get(about) === line) return;
    this.#said.set(about, line);
    appendEvent(this.pair.layout.events, what, host, text);
  }
}

/** A pair that is there no more needs no controller: that end is in order. */
function crash(error: unknown): never {
  process.stderr.write(`controller: ${messageOf(error)}\n`);
  process.exit(error instanceof LocalError && error.code === 'NO_PAIR' ? 0 : 1);
}

/** The keeper has died: another one takes its place, with a controller of its own. */
async function replaceKeeper({ layout }: Pair): Promise<void> {
  await loadPair(layout.name); // it may have died because the pair was taken down
  appendEvent(layout.events, 'ControllerStarted', null, 'its keeper was gone');
  await startController(layout);
}

async function main(): Promise<void> {
  process.on('SIGTERM', () => process.exit(0));
  const pair = await loadPair(process.argv[2] ?? '');
  const controller = new Controller(pair);
  await serveUnix(pair.layout.controllerSocket, {
    'GET /status': () => Promise.resolve(controller.status()),
  }).catch((error: unknown) => {
    process.stderr.write(`controller: nobody can ask it: ${messageOf(error)}\n`);
  });
  while (process.connected) {
    await controller.tick();
    await sleep(TICK_MS);
  }
  await replaceKeeper(pair);
  process.exit(0);
}

main().catch(crash);
