// SPDX-License-Identifier: Apache-2.0
/**
 * A stand-in for the sidecar in a launcher pod: what it says, what it is told, and the order in which a real one goes
 * through its phases, one phase a step. The lease store that it asks is the simulation's. It is NOT the protocol: that
 * one is tried by test/sim and on QEMU; here it moves so that the operator has something to look at.
 */
import type { Command } from '../../sidecar/kubevirt/client.js';
import type { Config } from '../../sidecar/kubevirt/config.js';
import type { Epitaph, Stage, Trouble, VmiStatus } from '../../sidecar/observe/status-schema.js';
import type { LeaseAnswer, LeaseRequest } from '../../sidecar/protocol/lease/messages.js';

/** What surrounds a sidecar. */
export interface Surroundings {
  /** The sidecar behind this address, if there is one and the network leads there. */
  peerAt(from: FakeSidecar, host: string): FakeSidecar | null;
  reaches(from: FakeSidecar, to: FakeSidecar): boolean;
  /** Who has said hello to this primary. */
  joinerOf(primary: FakeSidecar): FakeSidecar | null;
  /** Null: no answer. */
  ask(from: FakeSidecar, request: LeaseRequest): LeaseAnswer | null;
  now(): Date;
}

export interface Place {
  readonly podUid: string;
  readonly vmi: string;
  readonly node: string;
  readonly ip: string;
  /** On the network of the channel, where that has one of its own. */
  readonly loggingIp: string | null;
}

const GO_LIVE_MS = 42;
const OWNING: readonly VmiStatus['phase'][] = ['alone', 'cloning', 'catchingUp', 'arming', 'protected'];

export class FakeSidecar {
  stage: Stage = 'waiting';
  phase: VmiStatus['phase'];
  nonce: string | null = null;
  epoch = 0;
  peer: FakeSidecar | null = null;
  /** Its process is there. */
  alive = true;
  /** It is there and says nothing: frozen, or behind a network that drops. */
  mute = false;
  trouble: Trouble | null = null;
  /** It takes an order to stop, and runs on. */
  isStubborn = false;
  end: { readonly reason: string; readonly detail: string } | null = null;
  #role: 'primary' | 'backup';
  #wanted = true;
  #cause = 'initializing';
  #leaseTrouble: string | null = null;
  #lastFailover: { readonly at: string; readonly goLiveMs: number } | null = null;
  #qemus = 0;

  constructor(
    readonly place: Place,
    readonly config: Config,
    private readonly around: Surroundings,
  ) {
    this.#role = config.start.role;
    this.phase = this.#role === 'primary' ? 'founding' : 'joining';
  }

  get runs(): boolean {
    return this.alive && this.end === null;
  }

  /** It says that it runs the VM. */
  get owns(): boolean {
    return this.runs && this.stage === 'running' && OWNING.includes(this.phase);
  }

  get status(): VmiStatus {
    return {
      vm: this.config.vm,
      vmi: this.place.vmi,
      host: this.place.node,
      role: this.#role,
      phase: this.phase,
      epoch: this.epoch,
      nonce: this.nonce,
      peer: this.peer?.nonce ?? null,
      stage: this.stage,
      trouble: this.trouble,
      protection: this.#protection(),
      lease: this.#leaseTrouble,
      numbers: this.phase === 'protected' ? { lagMs: 3, heldOutputs: 0, pacePermille: 1_000 } : null,
      lastFailover: this.#lastFailover,
      certificate: { notAfter: '2100-01-01T00:00:00Z', trouble: null },
    };
  }

  get epitaph(): Epitaph {
    return { ...(this.end ?? { reason: 'broken', detail: 'killed' }), nonce: this.nonce, epoch: this.epoch };
  }

  command(command: Command): void {
    switch (command) {
      case 'stop':
        if (this.isStubborn) return;
        this.#leave('userAction');
        this.peer?.finish('userAction', 'its primary was stopped');
        return;
      case 'unprotect':
        this.#wanted = false;
        this.#dropPeer('userAction');
        return;
      case 'protect':
        this.#wanted = true;
        return;
      case 'test-failover':
        this.#leave('superseded');
    }
  }

  finish(reason: string, detail: string): void {
    this.end ??= { reason, detail };
  }

  /** QEMU has ended before the protocol began, and libvirt starts it anew: another nonce. */
  restartQemu(): void {
    this.stage = 'preparing';
    this.nonce = this.#newNonce();
  }

  step(): void {
    if (!this.runs) return;
    switch (this.stage) {
      case 'waiting':
        if (this.trouble === null && this.#hasMachine()) this.restartQemu();
        return;
      case 'preparing':
        this.stage = 'starting';
        return;
      case 'starting':
        this.stage = 'running';
        return;
      case 'running':
        this.#run();
        return;
      case 'ended':
    }
  }

  #newNonce(): string {
    this.#qemus += 1;
    return `${this.place.vmi}/${this.#qemus}`;
  }

  /** A backup gets its primary's machine before it lets QEMU start. */
  #hasMachine(): boolean {
    const { start } = this.config;
    if (start.role === 'primary') return true;
    const primary = this.around.peerAt(this, start.peer.host);
    if (primary?.stage !== 'running') return false;
    this.peer = primary;
    return true;
  }

  #run(): void {
    switch (this.phase) {
      case 'founding':
        this.#found();
        return;
      case 'alone':
        this.#seekBackup();
        return;
      case 'cloning':
        if (this.#peerIsLost()) this.#alone('lostConnection');
        else this.phase = 'arming';
        return;
      case 'arming':
        this.#arm();
        return;
      case 'joining':
      case 'loading':
      case 'following':
        if (this.#peerIsLost()) this.finish('neverArmed', 'the primary was lost before this side was armed');
        return;
      case 'protected':
      case 'armed':
        if (this.#peerIsLost()) this.phase = 'claiming';
        return;
      case 'claiming':
        this.#claim();
        return;
      case 'goingLive':
        this.#role = 'primary';
        this.#lastFailover = { at: this.around.now().toISOString(), goLiveMs: GO_LIVE_MS };
        this.#alone('lostConnection');
        return;
      case 'catchingUp':
      case 'handingOver':
      case 'ended':
    }
  }

  #ask(request: LeaseRequest): LeaseAnswer | null {
    const answer = this.around.ask(this, request);
    this.#leaseTrouble = answer === null ? 'unreachable' : null;
    return answer;
  }

  #found(): void {
    const { start } = this.config;
    if (start.role !== 'primary' || this.nonce === null) return;
    const answer = this.#ask(
      start.coldStart.kind === 'found'
        ? { op: 'found', store: `store of ${this.nonce}`, nonce: this.nonce }
        : { op: 'refound', expectEpoch: start.coldStart.expectEpoch, nonce: this.nonce },
    );
    if (answer?.result === 'ok' && 'epoch' in answer) {
      this.epoch = answer.epoch;
      this.#alone('initializing');
    } else if (answer?.result === 'refused')
      this.finish('leaseRefused', 'the lease names another as its owner');
  }

  #seekBackup(): void {
    const joiner = this.#wanted ? this.around.joinerOf(this) : null;
    if (joiner === null) return;
    joiner.phase = 'loading';
    this.peer = joiner;
    this.phase = 'cloning';
  }

  #arm(): void {
    const { peer, nonce } = this;
    if (peer === null || nonce === null || this.#peerIsLost()) {
      this.#alone('lostConnection');
      return;
    }
    const record = this.#ask({ op: 'peek' });
    if (record?.op !== 'peek' || record.result !== 'present') return;
    const { store, run } = record.record;
    const epoch = this.epoch + 1;
    const asked = { op: 'arm', store, run, epoch, primary: nonce, backup: peer.nonce ?? '' } as const;
    if (this.#ask(asked)?.result !== 'ok') return;
    this.epoch = peer.epoch = epoch;
    this.phase = 'protected';
    peer.phase = 'armed';
  }

  #claim(): void {
    const { nonce, epoch } = this;
    const record = this.#ask({ op: 'peek' });
    if (record?.op !== 'peek' || record.result !== 'present' || nonce === null) return;
    const answer = this.#ask({ op: 'claim', store: record.record.store, epoch, nonce });
    if (answer?.result === 'lost') this.finish('leaseLost', 'the other side has won');
    if (answer?.result !== 'won') return;
    this.#dropPeer('silence');
    if (this.#role === 'backup') this.phase = 'goingLive';
    else this.#alone('lostConnection');
  }

  #alone(cause: string): void {
    this.phase = 'alone';
    this.#cause = cause;
    this.peer = null;
  }

  #leave(reason: string): void {
    this.finish(reason, 'it was told to');
  }

  #dropPeer(reason: string): void {
    const { peer } = this;
    if (peer !== null && this.around.reaches(this, peer)) peer.finish(reason, 'its primary let it go');
    if (OWNING.includes(this.phase)) this.#alone('userAction');
  }

  #peerIsLost(): boolean {
    return this.peer === null || !this.peer.runs || !this.around.reaches(this, this.peer);
  }

  #protection(): VmiStatus['protection'] {
    const not = (state: string, reason: string): VmiStatus['protection'] => ({
      word: 'Not Protected',
      state,
      reason,
    });
    if (this.phase === 'protected' || this.phase === 'armed') return { word: 'Protected' };
    if (this.end !== null) return not('VM not Running', this.end.reason);
    if (this.phase !== 'alone') return not('Starting', 'initializing');
    return this.#wanted ? not('Need Secondary VM', this.#cause) : not('Disabled', 'userAction');
  }
}
