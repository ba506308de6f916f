// SPDX-License-Identifier: Apache-2.0
/**
 * One sidecar, assembled. What must stand before QEMU starts (ring, sockets, tap, channel, lease, control) is opened
 * first; the protocol starts when QEMU has opened its log, because only then the engine's identity is known.
 */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Logger } from 'winston';
import { AddonError, Ring, Tap } from '../../native/addon/index.js';
import type { Config } from '../config.js';
import { GuestAddresses } from '../io/arp.js';
import { Engine } from '../io/engine.js';
import { RedisLease, type LeaseOptions } from '../io/lease/redis.js';
import { Netdev } from '../io/netdev.js';
import { OutputQueue, outputHash } from '../io/outputs.js';
import { Qmp, QmpError } from '../io/qmp/client.js';
import { json, serveHttp, text, type Routes } from '../observe/http.js';
import { makeLogger } from '../observe/log.js';
import { Metrics } from '../observe/metrics.js';
import type { Effect } from '../protocol/effects.js';
import type { ProtocolEvent } from '../protocol/events.js';
import { isOnPurpose } from '../protocol/reasons.js';
import { Sidecar } from '../protocol/sidecar.js';
import type { Status } from '../protocol/status.js';
import { Clones } from './clones.js';
import { EngineEnd } from './engine-end.js';
import { effectHandlers } from './handlers.js';
import { Ingress } from './ingress.js';
import { Journal } from './journal.js';
import { Links } from './links.js';
import { Runtime } from './runtime.js';

/** QEMU is started right after the sidecar says that it is ready. */
const QEMU_START_MS_MAX = 60_000;
/** What was sent last may still go out; then the process ends whatever happens. */
const SHUTDOWN_MS_MAX = 1_000;
const EXIT_ORDERLY = 0;
const EXIT_FAILED = 1;

export class SidecarHost {
  private readonly logger: Logger;
  private readonly metrics: Metrics;
  private readonly journal: Journal;
  private readonly ring: Ring;
  private readonly engine: Engine;
  private readonly tap: Tap;
  private readonly ingress: Ingress;
  private readonly addresses: GuestAddresses;
  private readonly outputs: OutputQueue;
  private readonly lease: RedisLease;
  private readonly links: Links;
  private readonly engineEnd: EngineEnd;
  private netdev: Netdev | null = null;
  private readonly servers: Server[] = [];
  private core: Sidecar | null = null;
  private runtime: Runtime | null = null;
  private clones: Clones | null = null;
  private ticker: NodeJS.Timeout | null = null;
  /** What came between QEMU's start and the protocol's: outputs are numbered without gaps. */
  private readonly early: ProtocolEvent[] = [];
  private ending = false;

  private constructor(
    private readonly config: Config,
    /** Takes the process's exit code, once. */
    private readonly exit: (code: number) => void,
  ) {
    const { vm, host, nonce, limits } = config;
    this.logger = makeLogger({ vm, host, nonce }, config.log, () => ({
      epoch: this.status?.epoch ?? 0,
      role: this.status?.role ?? config.start.role,
    }));
    this.metrics = new Metrics(
      { vm, host },
      {
        numbers: () => this.core?.numbers(performance.now()) ?? null,
        status: () => this.status,
        ring: () => {
          const { ringWaits, heldMs } = this.ring.snapshot();
          return { waits: ringWaits, heldMs };
        },
        droppedIngress: () => this.netdev?.droppedPackets ?? 0,
      },
    );
    this.journal = new Journal((reason) => {
      this.metrics.reports.inc({ reason });
      if (reason === 'divergence') this.metrics.divergences.inc();
    });
    this.ring = Ring.create(config.ring.file, {
      ringBytes: config.ring.bytes,
      start: config.start.role === 'primary' ? 'record' : 'replay',
      beatTimeoutMs: limits.deadAfterMs,
      quiesceMsMax: config.ring.quiesceMsMax,
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
    this.addresses = new GuestAddresses(config.guestMac);
    this.tap = Tap.open(config.tap, { mtu: null });
    this.ingress = new Ingress({
      tap: this.tap,
      deliver: (packets) => this.netdev?.send(packets) ?? 0,
      forward: (first, packets) => {
        this.links.forward(first, packets);
      },
      onError: this.fail,
    });
    this.outputs = new OutputQueue((packet, ackedAfterMs) => {
      this.transmit(packet, ackedAfterMs);
    });
    this.lease = new RedisLease(leaseOptions(config));
    this.lease.on('up', () => this.logger.info('the lease store answers', { reason: 'leaseUp' }));
    this.lease.on('down', (detail) =>
      this.logger.warn(`the lease store is away: ${detail}`, { reason: 'leaseDown' }),
    );
    this.lease.on('trouble', (reason, detail) => this.logger.warn(`lease: ${detail}`, { reason }));
    this.links = new Links({
      identity: { vm, nonce, tls: readTls(config.tls) },
      listen: config.listen,
      peer: config.start.role === 'backup' ? config.start.peer : null,
      ring: this.ring,
      dialTimeoutMs: limits.deadAfterMs,
      post: this.post,
      onRefused: (error, from) => {
        this.logger.warn(`connection from ${from} refused: ${error.message}`, { reason: error.code });
      },
      onLogBytes: (bytes) => {
        this.metrics.logBytes.inc(bytes);
      },
      packetsBelow: (lsn) => this.engine.packetsBelow(lsn),
      onPacketsLogged: (packets) => {
        this.ingress.inLog(packets);
      },
      onPackets: (first, packets) => {
        this.ingress.fromPrimary(first, packets);
      },
    });
  }

  /** Everything that QEMU needs stands when this resolves. */
  static async start(config: Config, exit: (code: number) => void): Promise<SidecarHost> {
    const host = new SidecarHost(config, exit);
    await host.open();
    host.follow().catch(host.fail);
    return host;
  }

  private get status(): Status | null {
    return this.core?.status ?? null;
  }

  private readonly post = (event: ProtocolEvent): void => {
    if (event.type === 'live') {
      this.journal.live(event.lsn);
      this.metrics.failovers.inc();
    }
    if (this.runtime !== null) this.runtime.post(event);
    else if (event.type === 'output') this.early.push(event);
  };

  /** Something without which this side cannot go on. The peer takes over. */
  private readonly fail = (error: unknown): void => {
    const detail = error instanceof Error ? error.message : String(error);
    if (this.runtime === null) this.end({ type: 'end', reason: 'broken', detail });
    else this.runtime.post({ type: 'engineFailed', detail });
  };

  private async open(): Promise<void> {
    const { config } = this;
    this.netdev = await Netdev.listen(config.netSocket, {
      onPacket: (packet, index) => {
        this.output(packet, index);
      },
      onError: (error) => {
        this.engineEnd.nicBroken(error);
      },
    });
    await this.links.listen();
    if (config.metrics !== undefined) {
      this.servers.push(await serveHttp(config.metrics, this.readRoutes()));
    }
    this.ticker = setInterval(() => {
      this.tick();
    }, config.limits.tickMs);
    this.servers.push(
      await serveHttp({ path: config.control.socket }, { ...this.readRoutes(), ...this.commandRoutes() }),
    );
  }

  /** From QEMU's start on. */
  private async follow(): Promise<void> {
    const { config } = this;
    const qmp = await Qmp.connect(config.qmpSocket, QEMU_START_MS_MAX);
    qmp.on('event', (name, data) => {
      this.engineEnd.event(name, data);
    });
    qmp.on('close', (error) => {
      this.engineEnd.monitorClosed(error);
    });
    // QEMU opens its log before its monitor answers.
    if (!this.engine.ready) throw new QmpError('QMP_CLOSED', 'QEMU runs without the shim: see LD_PRELOAD');
    this.startProtocol(qmp);
  }

  private startProtocol(qmp: Qmp): void {
    const { config, links, post } = this;
    const { start, limits } = config;
    this.clones = new Clones({
      qmp,
      links,
      socketPath: config.cloneSocket,
      post,
      onMigrationOver: () => {
        this.engine.observe();
      },
      onSent: (tookMs) => {
        this.metrics.cloneSeconds.observe(tookMs / 1000);
        if (!this.ring.closed)
          this.metrics.clonePauseSeconds.observe(this.ring.snapshot().clonePauseUs / 1e6);
      },
    });
    this.core = new Sidecar({
      vm: config.vm,
      nonce: config.nonce,
      identity: this.engine.identity(config.deviceHash),
      coldStart: start.role === 'primary' ? start.coldStart : null,
      ringBytes: config.ring.bytes,
      limits,
    });
    this.runtime = new Runtime({
      core: this.core,
      handlers: effectHandlers({
        ring: this.ring,
        links,
        clones: this.clones,
        lease: this.lease,
        outputs: this.outputs,
        ingress: this.ingress,
        addresses: this.addresses,
        journal: this.journal,
        logger: this.logger,
        transmit: (packet) => {
          this.putOnTap(packet);
        },
        post,
        onStatus: (status) => {
          this.metrics.statusChanged(status);
          this.logger.debug(`status ${JSON.stringify(status)}`);
        },
        fail: this.fail,
        end: this.end,
      }),
      now: () => performance.now(),
      crash: (error) => {
        this.logger.error(error instanceof Error ? (error.stack ?? error.message) : String(error), {
          reason: 'broken',
        });
        this.end({ type: 'end', reason: 'broken', detail: String(error) });
      },
    });
    if (start.role === 'primary') this.ingress.open();
    this.runtime.start();
    for (const event of this.early.splice(0)) this.runtime.post(event);
    this.links.admit();
    this.engine.start();
  }

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
  private output(packet: Buffer, index: number): void {
    const head = this.ring.state === 'replaying' ? this.ring.consumed : this.engine.head();
    this.engine.observeLive();
    this.addresses.learn(packet);
    this.outputs.add(index, head, packet);
    this.post({ type: 'output', index, bytes: packet.length, hash: outputHash(packet), head });
    this.engine.observe(); // ships the log that this output waits for
  }

  private transmit(packet: Buffer, ackedAfterMs: number | null): void {
    if (ackedAfterMs !== null) this.metrics.ackLatency.observe(ackedAfterMs / 1000);
    if (this.putOnTap(packet)) this.metrics.releasedOutputs.inc();
    else this.metrics.droppedOutputs.inc();
  }

  /** What the tap does not take (full, down, a length that no Ethernet has) is dropped, as a switch would: false. */
  private putOnTap(packet: Buffer): boolean {
    try {
      return this.tap.write(packet);
    } catch (error) {
      if (!(error instanceof AddonError)) throw error;
      this.logger.debug(error.message, { reason: error.code });
      return false;
    }
  }

  private readonly end = ({ reason, detail }: Extract<Effect, { type: 'end' }>): void => {
    if (this.ending) return;
    this.ending = true;
    const code = isOnPurpose(reason) ? EXIT_ORDERLY : EXIT_FAILED;
    setTimeout(() => {
      this.exit(code);
    }, SHUTDOWN_MS_MAX).unref();
    try {
      this.ring.kill();
      this.logger.log(code === EXIT_ORDERLY ? 'info' : 'error', `this side ends: ${detail}`, { reason });
    } catch {
      this.exit(EXIT_FAILED); // never a sidecar that only half ends, and whose beat keeps the guest alive
    }
    this.shutdown().then(
      () => {
        this.exit(code);
      },
      () => {
        this.exit(EXIT_FAILED);
      },
    );
  };

  private async shutdown(): Promise<void> {
    if (this.ticker !== null) clearInterval(this.ticker);
    this.clones?.shutdown();
    this.netdev?.close();
    this.tap.close();
    this.lease.close();
    for (const server of this.servers) server.close();
    await this.links.shutdown();
    this.ring.close();
  }

  private readRoutes(): Routes {
    return {
      'GET /status': () => json(this.statusBody()),
      'GET /metrics': async () => text(await this.metrics.registry.metrics()),
      'GET /healthz': () => text('ok\n'),
    };
  }

  private commandRoutes(): Routes {
    const command = (event: ProtocolEvent) => () => {
      if (this.runtime === null) return json({ error: 'not started yet: QEMU has not opened its log' }, 409);
      this.runtime.post(event);
      return json({ accepted: true }, 202);
    };
    return {
      'POST /test-failover': command({ type: 'commandFailover' }),
      'POST /stop': command({ type: 'commandStop' }),
    };
  }

  private statusBody(): unknown {
    const { config } = this;
    const starting: Partial<Status> = {
      role: config.start.role,
      phase: config.start.role === 'primary' ? 'founding' : 'joining',
      epoch: 0,
      nonce: config.nonce,
      peer: null,
      protection: { word: 'Not Protected', state: 'Starting', reason: 'initializing' },
      lease: null,
    };
    const { ringWaits, heldMs, icount, state, clonePauseUs } = this.ring.snapshot();
    return {
      ...(this.status ?? starting),
      vm: config.vm,
      host: config.host,
      numbers: this.core?.numbers(performance.now()) ?? null,
      engine: { state, ringWaits, heldMs, clonePauseUs, icount: icount.toString() },
      lastFailover: this.journal.lastFailover,
      journal: this.journal.entries,
    };
  }
}

const read = (file: string): string => readFileSync(file, 'utf8');

function readTls({ ca, cert, key }: Config['tls']): { ca: string; cert: string; key: string } {
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

function leaseOptions({ vm, store, limits }: Config): LeaseOptions {
  const { tls, ...rest } = store;
  return {
    vm,
    ...withoutUndefined(rest),
    callTimeoutMs: limits.leaseTimeoutMs,
    ...(tls === undefined
      ? {}
      : {
          tls: withoutUndefined({
            ca: read(tls.ca),
            cert: tls.cert === undefined ? undefined : read(tls.cert),
            key: tls.key === undefined ? undefined : read(tls.key),
            servername: tls.servername,
          }),
        }),
  };
}

/** What is not set is not there: with exact optional properties the two differ. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
