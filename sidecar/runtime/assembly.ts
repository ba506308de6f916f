// SPDX-License-Identifier: Apache-2.0
/**
 * One sidecar for one QEMU: its parts, and how they are joined. What must stand before QEMU starts (ring, sockets,
 * channel) is opened first; the protocol starts when QEMU has opened its log, because only then the engine's identity is
 * known.
 *
 *   QEMU ── ring ──▶ engine ──events──▶ runtime(core) ──effects──▶ links, lease, clones, ring
 *     └──── NIC ───▶ network ──output──▶     └──release──▶ network ──▶ tap
 */
import { Ring } from '../../native/addon/index.js';
import type { ChannelTls } from '../io/channel/tls.js';
import { Engine } from '../io/engine.js';
import { outputHash } from '../io/outputs.js';
import { Qmp, QmpError } from '../io/qmp/client.js';
import type { SidecarStatus } from '../observe/status-schema.js';
import type { Effect } from '../protocol/effects.js';
import type { ProtocolEvent } from '../protocol/events.js';
import { isOnPurpose } from '../protocol/reasons.js';
import { Sidecar } from '../protocol/sidecar.js';
import { Account } from './account.js';
import { Clones } from './clones.js';
import { Disks } from './disks/disks.js';
import { endSide, type EndingHandlers } from './ending.js';
import { EngineEnd } from './engine-end.js';
import { GuestNetwork } from './guest-network.js';
import { effectHandlers } from './handlers.js';
import { Links } from './links.js';
import { Runtime } from './runtime.js';
import type { Site } from './site.js';

/** QEMU is started right after the sidecar says that it is ready. */
const QEMU_START_MS_MAX = 60_000;

type EndEffect = Extract<Effect, { type: 'end' }>;

export interface AssemblyHandlers extends EndingHandlers {
  /** What `status()` says has changed; its numbers change all the time. */
  readonly onStatus: () => void;
}

export class Assembly {
  private readonly ring: Ring;
  private readonly account: Account;
  private readonly engine: Engine;
  private readonly engineEnd: EngineEnd;
  private readonly network: GuestNetwork;
  private readonly links: Links;
  private readonly disks: Disks;
  private core: Sidecar | null = null;
  private runtime: Runtime | null = null;
  private clones: Clones | null = null;
  private qmp: Qmp | null = null;
  private ticker: NodeJS.Timeout | null = null;
  /** What came between QEMU's start and the protocol's: outputs are numbered without gaps. */
  private readonly early: ProtocolEvent[] = [];
  private ending = false;

  private constructor(
    private readonly site: Site,
    private readonly handlers: AssemblyHandlers,
  ) {
    this.ring = createRing(site);
    this.account = new Account(site, {
      status: () => this.core?.status ?? null,
      numbers: () => this.core?.numbers(performance.now()) ?? null,
      ring: () => (this.ring.closed ? null : this.ring.snapshot()),
      droppedIngress: () => this.network.droppedIngress,
      disks: () => this.disks.status(),
    });
    this.engine = new Engine(
      this.ring,
      this.post,
      (lsn, frames) => this.clones?.point(lsn, frames),
      () => this.clones?.isSending ?? false,
    );
    this.engineEnd = new EngineEnd({
      exited: () => {
        this.post({ type: 'engineExited' });
      },
      failed: this.fail,
    });
    this.network = this.joinNetwork();
    this.tellOfLease();
    this.links = this.joinLinks();
    this.disks = this.joinDisks();
  }

  /** Everything that QEMU needs stands when this resolves. The site's tap and lease are closed when it does not. */
  static async open(site: Site, handlers: AssemblyHandlers): Promise<Assembly> {
    const assembly = Assembly.join(site, handlers);
    try {
      await assembly.listen();
      return assembly;
    } catch (error) {
      await assembly.shutdown();
      throw error;
    }
  }

  private static join(site: Site, handlers: AssemblyHandlers): Assembly {
    try {
      return new Assembly(site, handlers);
    } catch (error) {
      site.tap.close();
      site.lease.close();
      for (const { image } of site.disks.list) image.close();
      throw error;
    }
  }

  /** To be called when QEMU is being started. Ends in the protocol's start or in `onEnd`. */
  follow(): void {
    this.startProtocol().catch(this.fail);
  }

  get hasBegun(): boolean {
    return this.runtime !== null;
  }

  status(): SidecarStatus {
    return this.account.status();
  }

  /** For Prometheus. */
  metrics(): Promise<string> {
    return this.account.metrics.registry.metrics();
  }

  /** Hands in what people want. False: the protocol has not begun, nothing can be done yet. */
  command(event: Extract<ProtocolEvent, { type: `command${string}` }>): boolean {
    if (this.runtime === null) return false;
    this.runtime.post(event);
    return true;
  }

  /**
   * Resets the machine, as its button does; the backup's is reset at the same place of the log. Null: it is done. Else why not.
   * @throws QmpError when QEMU does not answer
   */
  async resetGuest(): Promise<string | null> {
    if (this.qmp === null) return 'not started yet: QEMU has not opened its log';
    const { state } = this.ring;
    if (state !== 'recording' && state !== 'live') return 'the VM runs on the other side: ask that one';
    await this.qmp.execute('system_reset');
    return null;
  }

  /** New connections are made with these keys. @throws when they cannot be used; the old ones stay */
  useTls(tls: ChannelTls): void {
    this.links.useTls(tls);
  }

  /** Ends this side before the protocol begins: its QEMU is known to be gone. */
  abandon(detail: string): void {
    this.end({ type: 'end', reason: 'engineFailed', detail });
  }

  // ---- parts ----

  private joinNetwork(): GuestNetwork {
    const { tap, netSocket, guestMac } = this.site;
    return new GuestNetwork({
      tap,
      netSocket,
      guestMac,
      logger: this.account.logger,
      forward: (first, packets) => {
        this.links.forward(first, packets);
      },
      onOutput: this.output,
      onReleased: (left, ackedAfterMs) => {
        this.account.released(left, ackedAfterMs);
      },
      onNicBroken: (error) => {
        this.engineEnd.socketBroken(error);
      },
      onTapBroken: this.fail,
    });
  }

  private joinLinks(): Links {
    const { vm, nonce, tls, listen, start, limits } = this.site;
    const { logger, metrics } = this.account;
    return new Links({
      identity: { vm, nonce, tls },
      listen,
      peer: start.role === 'backup' ? start.peer : null,
      ring: this.ring,
      dialTimeoutMs: limits.deadAfterMs,
      post: this.post,
      onRefused: (error, from) => {
        logger.warn(`connection from ${from} refused: ${error.message}`, { reason: error.code });
      },
      onLogBytes: (bytes) => {
        metrics.logBytes.inc(bytes);
      },
      packetsBelow: (lsn) => this.engine.packetsBelow(lsn),
      onPacketsLogged: (packets) => {
        this.network.ingress.inLog(packets);
      },
      onPackets: (first, packets) => {
        this.network.ingress.fromPrimary(first, packets);
      },
    });
  }

  private joinDisks(): Disks {
    const { vm, nonce, disks } = this.site;
    return new Disks({
      vm,
      nonce,
      site: disks,
      post: this.post,
      logger: this.account.logger,
      head: () => (this.ring.state === 'replaying' ? this.ring.consumed : this.engine.head()),
      onRequest: () => {
        if (this.clones?.isSending === true) this.engine.observe();
      },
      qemuPid: () => this.ring.snapshot().qemuPid,
      onBroken: (error) => {
        this.engineEnd.socketBroken(error);
      },
      fail: this.fail,
      links: this.links,
    });
  }

  private joinClones(qmp: Qmp): Clones {
    return new Clones({
      qmp,
      links: this.links,
      socketPath: this.site.cloneSocket,
      post: this.post,
      onMigrationOver: () => {
        this.engine.observe();
      },
      onSent: (tookMs) => {
        this.account.cloneSent(tookMs);
      },
    });
  }

  private tellOfLease(): void {
    const { lease } = this.site;
    const { logger } = this.account;
    lease.on('up', () => logger.info('the lease store answers', { reason: 'leaseUp' }));
    lease.on('down', (detail) => logger.warn(`the lease store is away: ${detail}`, { reason: 'leaseDown' }));
    lease.on('trouble', (reason, detail) => logger.warn(`lease: ${detail}`, { reason }));
  }

  // ---- start ----

  private async listen(): Promise<void> {
    await this.network.listen();
    this.disks.listen();
    await this.links.listen();
    this.ticker = setInterval(() => {
      this.tick();
    }, this.site.limits.tickMs);
  }

  private async startProtocol(): Promise<void> {
    const qmp = await Qmp.connect(this.site.qmpSocket, QEMU_START_MS_MAX);
    qmp.on('event', (name, data) => {
      this.engineEnd.event(name, data);
      this.account.engineEvent(name);
    });
    qmp.on('close', (error) => {
      this.engineEnd.monitorClosed(error);
    });
    // QEMU opens its log before its monitor answers.
    if (!this.engine.ready) throw new QmpError('QMP_CLOSED', 'QEMU runs without the shim: see LD_PRELOAD');
    this.qmp = qmp;
    const clones = this.joinClones(qmp);
    this.clones = clones;
    this.core = this.makeCore();
    this.runtime = this.makeRuntime(this.core, clones);
    if (this.site.start.role === 'primary') this.network.ingress.open();
    this.runtime.start();
    for (const event of this.early.splice(0)) this.runtime.post(event);
    this.links.admit();
    this.engine.start();
  }

  private makeCore(): Sidecar {
    const { vm, nonce, start, deviceHash, ring, limits } = this.site;
    return new Sidecar({
      vm,
      nonce,
      identity: this.engine.identity(deviceHash),
      coldStart: start.role === 'primary' ? start.coldStart : null,
      ringBytes: ring.bytes,
      disks: this.site.disks.list.length,
      limits,
    });
  }

  private makeRuntime(core: Sidecar, clones: Clones): Runtime {
    const { ring, links, network, account, post } = this;
    return new Runtime({
      core,
      handlers: effectHandlers({
        ring,
        links,
        clones,
        disks: this.disks,
        lease: this.site.lease,
        outputs: network.outputs,
        ingress: network.ingress,
        journal: account.journal,
        logger: account.logger,
        announce: () => {
          network.announce();
        },
        post,
        onStatus: (status) => {
          account.statusChanged(status);
          this.handlers.onStatus();
        },
        fail: this.fail,
        end: this.end,
      }),
      now: () => performance.now(),
      crash: (error) => {
        const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
        account.logger.error(words, { reason: 'broken' });
        this.end({ type: 'end', reason: 'broken', detail: String(error) });
      },
    });
  }

  // ---- while it runs ----

  private readonly post = (event: ProtocolEvent): void => {
    if (event.type === 'live') this.account.wentLive(event.lsn);
    if (this.runtime !== null) this.runtime.post(event);
    else if (event.type === 'output') this.early.push(event);
    else if (event.type === 'diskDone')
      this.disks.answer(event.disk, event.id); // firmware reads before anybody can follow
    else if (event.type === 'engineFailed') this.fail(new Error(event.detail));
  };

  /** Something without which this side cannot go on. The peer takes over. */
  private readonly fail = (error: unknown): void => {
    const detail = error instanceof Error ? error.message : String(error);
    if (this.runtime === null) this.end({ type: 'end', reason: 'broken', detail });
    else this.runtime.post({ type: 'engineFailed', detail });
  };

  /**
   * After the poll phase: a timer that is overdue runs before what the peer has already sent is read, and would take a
   * short stall of this process for the peer's silence.
   */
  private tick(): void {
    setImmediate(() => {
      if (this.ending) return;
      this.ring.beat();
      this.engine.observe();
      this.engine.observeSlowly();
      this.post({ type: 'tick' });
    });
  }

  /** The guest sent a packet. The log's head is read now: it covers what explains the packet. */
  private readonly output = (packet: Buffer, index: number): void => {
    const head = this.ring.state === 'replaying' ? this.ring.consumed : this.engine.head();
    this.engine.observeLive();
    this.network.hold(packet, index, head);
    this.post({ type: 'output', index, bytes: packet.length, hash: outputHash(packet), head });
    this.engine.observe(); // ships the log that this output waits for
  };

  // ---- end ----

  private readonly end = ({ reason, detail }: EndEffect): void => {
    if (this.ending) return;
    this.ending = true;
    const onPurpose = isOnPurpose(reason);
    endSide(
      { reason, detail, onPurpose, hadBegun: this.hasBegun },
      {
        kill: () => {
          this.ring.kill();
          this.account.logger.log(onPurpose ? 'info' : 'error', `this side ends: ${detail}`, { reason });
        },
        shutdown: () => this.shutdown(),
      },
      this.handlers,
    );
  };

  private async shutdown(): Promise<void> {
    if (this.ticker !== null) clearInterval(this.ticker);
    this.clones?.shutdown();
    this.network.close();
    this.site.lease.close();
    await this.disks.close();
    await this.links.shutdown();
    this.ring.close();
  }
}

function createRing({ ring, start, limits }: Site): Ring {
  return Ring.create(ring.file, {
    ringBytes: ring.bytes,
    start: start.role === 'primary' ? 'record' : 'replay',
    beatTimeoutMs: limits.deadAfterMs,
    quiesceMsMax: ring.quiesceMsMax,
  });
}
