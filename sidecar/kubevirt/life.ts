// SPDX-License-Identifier: Apache-2.0
/**
 * The life of a sidecar in a launcher pod. libvirt starts QEMU, and the start waits at the door for this sidecar's word:
 *
 *   waiting ──door──▶ preparing ──word──▶ starting ──log opened──▶ running ──▶ ended
 *      ▲                  │ refused           │ QEMU ended before
 *      └──────────────────┴───────────────────┘
 *
 * A start that came to nothing is told, and tried again when libvirt does. KubeVirt does not always: of a VM that boots a
 * kernel from a container it waits for that container for ever, which has ended with the first start. So a side that
 * nobody starts again for a while ends by itself, and the operator makes another.
 *
 * libvirt may start QEMU several times for one VM, so each start is an incarnation with a nonce of its own. One that has
 * begun the protocol was part of the VM's life: with it this process ends, and nothing is started here any more. What
 * follows is decided by the lease and by the operator.
 */
import type { ChannelTls } from '../io/channel/tls.js';
import type { Epitaph, SidecarStatus, Trouble, VmiStatus } from '../observe/status-schema.js';
import { beginning } from '../runtime/account.js';
import type { Assembly, AssemblyHandlers } from '../runtime/assembly.js';
import type { Ending } from '../runtime/ending.js';
import type { CommandResult } from './api.js';
import type { Command } from './client.js';
import type { Config, Pod } from './config.js';
import type { Start, StartAnswer, StartRequest } from './start.js';
import type { Machine } from './machine.js';
import { refusalOf, Refusal } from './trouble.js';

/** Starts of QEMU that came to nothing. More are not tried: what does not start five times is not worth a sixth. */
export const FAILED_STARTS_MAX = 5;

/** KubeVirt tries again after milliseconds, then twice as long each time. */
export const START_AGAIN_MS_MAX = 20_000;

/** One start of QEMU, ready for it. */
export interface Incarnation {
  readonly assembly: Pick<
    Assembly,
    'abandon' | 'command' | 'follow' | 'hasBegun' | 'metrics' | 'status' | 'useTls'
  >;
  readonly answer: Start;
}

export interface LifePorts {
  certificate(): VmiStatus['certificate'];
  /** A backup's: the machine of its primary, asked for until it is there, `signal` aborts or the time is over. */
  machineOfPeer(signal: AbortSignal): Promise<Machine>;
  /** Makes all that QEMU needs; removes it again when the start comes to nothing. @throws when it cannot start */
  open(request: StartRequest, machine: Machine, handlers: AssemblyHandlers): Promise<Incarnation>;
  /** Calls `fire` once after `delayMs`; the function returned calls it off. */
  after(delayMs: number, fire: () => void): () => void;
}

export interface LifeHandlers {
  /** What `status()` says has changed. */
  readonly onChange: () => void;
  /** A start of QEMU was refused, or came to nothing. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** Once: nothing will run here any more. */
  readonly onEnding: (epitaph: Epitaph) => void;
  /** Once, after `onEnding`: all is closed, the process may go. `orderly`: the VM is off, or was told to be. */
  readonly onEnd: (orderly: boolean) => void;
}

const COMMAND_EVENTS = {
  'test-failover': { type: 'commandFailover' },
  stop: { type: 'commandStop' },
  protect: { type: 'commandProtection', enabled: true },
  unprotect: { type: 'commandProtection', enabled: false },
} as const satisfies Record<Command, Parameters<Assembly['command']>[0]>;

const WHERE_ITS_WORDS_ARE = "What it said is in the VMI's conditions and in the log of the container compute";
const NOT_YET = 'not started yet: QEMU has not opened its log';

interface Started {
  readonly assembly: Incarnation['assembly'];
  readonly machine: Machine;
  /** All of it is closed. */
  readonly over: Promise<void>;
}

interface Grave {
  readonly epitaph: Epitaph;
  readonly onPurpose: boolean;
}

export class Life {
  private preparing: AbortController | null = null;
  private started: Started | null = null;
  private failedStarts = 0;
  private trouble: Trouble | null = null;
  private stopWaiting: () => void = () => undefined;
  private grave: Grave | null = null;
  /** SIGTERM came. */
  private mustGo = false;
  /** An assembly is not closed yet. */
  private isOpen = false;
  private hasFailed = false;
  private hasLeft = false;

  constructor(
    private readonly config: Pick<Config, 'vm' | 'vmi' | 'start' | 'cpuModel' | 'mac'>,
    private readonly pod: Pod,
    private readonly ports: LifePorts,
    private readonly handlers: LifeHandlers,
  ) {}

  /** libvirt starts QEMU. One call at a time; never rejects. */
  async answer(request: StartRequest): Promise<StartAnswer> {
    try {
      this.refuseIfOver();
      this.preparing = new AbortController();
      this.changed();
      return await this.start(request, this.preparing.signal);
    } catch (error) {
      if (this.grave !== null) return { refused: overWords(this.grave) };
      return { refused: this.tell(refusalOf(error)).message };
    } finally {
      this.preparing = null;
      this.changed();
      this.leave();
    }
  }

  status(): VmiStatus {
    const { started, grave, config } = this;
    const said = started?.assembly.status() ?? unborn(config.start);
    return {
      ...said,
      ...(grave === null ? {} : ended(grave.epitaph)),
      nonce: started === null ? null : said.nonce,
      vm: config.vm,
      vmi: config.vmi,
      host: this.pod.node,
      stage: this.stage,
      trouble: this.trouble,
      certificate: this.ports.certificate(),
    };
  }

  /** Null: nothing runs here that a backup could follow. */
  machine(): Machine | null {
    const { started } = this;
    if (started === null || this.stage !== 'running') return null;
    return started.assembly.status().role === 'primary' ? started.machine : null;
  }

  /** For Prometheus; empty as long as no QEMU was asked for. */
  async metrics(): Promise<string> {
    return (await this.started?.assembly.metrics()) ?? '';
  }

  command(command: Command): CommandResult {
    if (this.grave !== null) return `this side has ended: ${this.grave.epitaph.detail}`;
    if (this.started?.assembly.command(COMMAND_EVENTS[command]) === true) return null;
    if (command !== 'stop') return NOT_YET;
    this.endUnbegun('userAction', 'stopped by command', true);
    return null;
  }

  /**
   * The pod is to go (SIGTERM). A guest that runs must not run on without its sidecar, and its peer must not hear that
   * the VM was switched off: this side stays until QEMU is ended, which is a loss like any other. False: it stays.
   */
  terminate(): boolean {
    if (this.grave !== null) return true; // is leaving already
    this.mustGo = true;
    if (this.started !== null) return false;
    this.endUnbegun('neverRan', 'the pod was ended before QEMU ran', false);
    return true;
  }

  /** New connections are made with these keys. */
  useTls(tls: ChannelTls): void {
    this.started?.assembly.useTls(tls);
  }

  private get stage(): VmiStatus['stage'] {
    if (this.grave !== null) return 'ended';
    if (this.started?.assembly.hasBegun === true) return 'running';
    if (this.preparing !== null) return 'preparing';
    return this.started === null ? 'waiting' : 'starting';
  }

  // ---- start ----

  private async start(request: StartRequest, signal: AbortSignal): Promise<StartAnswer> {
    await this.endUnfinished();
    this.refuseIfOver();
    const machine = await this.machineFor(request, signal);
    const { assembly, answer } = await this.open(request, machine);
    if (signal.aborted) assembly.abandon('not wanted any more');
    this.refuseIfOver();
    assembly.follow();
    return answer;
  }

  private refuseIfOver(): void {
    if (this.grave !== null) throw new Refusal('ended', overWords(this.grave));
    if (this.started?.assembly.hasBegun === true)
      throw new Refusal('running', 'the VM runs here already: one QEMU in each pod');
    if (this.failedStarts >= FAILED_STARTS_MAX) {
      const last = this.trouble?.message ?? '';
      throw new Refusal('startsExhausted', `given up after ${FAILED_STARTS_MAX} starts. ${last}`);
    }
  }

  /** A QEMU that was let through and opened no log is gone when libvirt starts another. */
  private async endUnfinished(): Promise<void> {
    const { started } = this;
    if (started === null) return;
    started.assembly.abandon('libvirt starts it anew');
    await started.over;
  }

  /** A primary's machine is what libvirt asks for; a backup's is its primary's. */
  private machineFor(request: StartRequest, signal: AbortSignal): Promise<Machine> {
    const { start, cpuModel, mac } = this.config;
    if (start.role === 'backup') return this.ports.machineOfPeer(signal);
    return Promise.resolve({ argv: [...request.argv], cpuModel, mac });
  }

  private async open(request: StartRequest, machine: Machine): Promise<Incarnation> {
    let close: () => void = () => undefined;
    const over = new Promise<void>((resolve) => {
      close = resolve;
    });
    const incarnation = await this.ports.open(request, machine, {
      onStatus: () => {
        this.trouble = null;
        this.handlers.onChange();
      },
      onEnding: (ending) => {
        if (ending.hadBegun) this.endBegun(ending);
      },
      onEnd: (ending, failed) => {
        this.isOpen = false;
        if (failed) this.hasFailed = true;
        if (!ending.hadBegun) this.startFailed(ending);
        close();
        this.leave();
      },
    });
    this.isOpen = true;
    this.started = { assembly: incarnation.assembly, machine, over };
    return incarnation;
  }

  private startFailed({ detail }: Ending): void {
    this.started = null;
    this.failedStarts += 1;
    if (this.grave === null)
      this.tell({
        reason: 'qemuFailed',
        message: `QEMU ended before it ran: ${detail}. ${WHERE_ITS_WORDS_ARE}`,
      });
    this.changed();
    if (this.mustGo) this.terminate();
  }

  private tell(trouble: Trouble): Trouble {
    this.trouble = trouble;
    this.handlers.onTrouble(trouble);
    return trouble;
  }

  /** The stage is another one. Waiting again after a start that came to nothing has its time; every other stage has none. */
  private changed(): void {
    this.handlers.onChange();
    this.stopWaiting();
    const { trouble } = this;
    if (this.stage !== 'waiting' || trouble === null) return;
    this.stopWaiting = this.ports.after(START_AGAIN_MS_MAX, () => {
      this.endUnbegun(trouble.reason, trouble.message, false);
    });
  }

  // ---- end ----

  private endBegun({ reason, detail, onPurpose }: Ending): void {
    const status = this.started?.assembly.status();
    const epitaph = { reason, detail, nonce: status?.nonce ?? null, epoch: status?.epoch ?? 0 };
    this.bury({ epitaph, onPurpose });
  }

  private endUnbegun(reason: string, detail: string, onPurpose: boolean): void {
    this.bury({ epitaph: { reason, detail, nonce: null, epoch: 0 }, onPurpose });
    this.preparing?.abort();
    this.started?.assembly.abandon(detail);
    this.leave();
  }

  private bury(grave: Grave): void {
    this.grave = grave;
    this.handlers.onEnding(grave.epitaph);
    this.changed();
  }

  /** Says that the process may go, once nothing is under way any more. */
  private leave(): void {
    if (this.grave === null || this.hasLeft || this.isOpen || this.preparing !== null) return;
    this.hasLeft = true;
    this.handlers.onEnd(this.grave.onPurpose && !this.hasFailed);
  }
}

const overWords = ({ epitaph }: Grave): string =>
  `this side of the VM has ended (${epitaph.detail}): it needs a new pod`;

const unborn = (start: Config['start']): SidecarStatus => ({
  ...beginning({ nonce: '', start }),
  numbers: null,
});

/** What a core that has ended says as well. */
const ended = ({ reason }: Epitaph): Pick<SidecarStatus, 'role' | 'phase' | 'protection'> => ({
  role: 'ended',
  phase: 'ended',
  protection: { word: 'Not Protected', state: 'VM not Running', reason },
});
