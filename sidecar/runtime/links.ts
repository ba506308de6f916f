// SPDX-License-Identifier: Apache-2.0
/** Connections: numbers them for the protocol, and keeps log and clone streams where the protocol does not look. */
import type { TLSSocket } from 'node:tls';
import type { Ring } from '../../native/addon/index.js';
import type { Purpose } from '../io/channel/codec.js';
import { ChannelError } from '../io/channel/errors.js';
import { ChannelLink } from '../io/channel/link.js';
import {
  dial,
  listen,
  type ChannelIdentity,
  type ChannelListener,
  type ChannelTls,
  type OpenConnection,
} from '../io/channel/tls.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { Frame, LogFrame, WireFrame } from '../protocol/frames.js';
import type { LinkId, Lsn } from '../protocol/types.js';
import { CloneDesk } from './clone-desk.js';
import { UnderWay } from './under-way.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface LinksOptions {
  readonly identity: ChannelIdentity;
  readonly listen: Address;
  /** Whom a backup dials; null on a side that was started as primary. */
  readonly peer: Address | null;
  readonly ring: Pick<Ring, 'view' | 'produced' | 'append'>;
  readonly dialTimeoutMs: number;
  readonly post: (event: ProtocolEvent) => void;
  readonly onRefused: (error: ChannelError, from: string) => void;
  readonly onLogBytes: (bytes: number) => void;
  /** Packets for the guest that the log below a position of this side's holds. */
  readonly packetsBelow: (lsn: Lsn) => number;
  /** Backup: what of its packets the primary's log holds, and those it forwards. */
  readonly onPacketsLogged: (packets: number) => void;
  readonly onPackets: (first: number, packets: readonly Uint8Array[]) => void;
}

export class Links {
  private readonly links = new Map<LinkId, ChannelLink>();
  private readonly clones = new CloneDesk<TLSSocket>();
  private readonly disks = new CloneDesk<TLSSocket>();
  private lastId = 0;
  /** The newest connection that this side has dialled: the only one whose log may reach the ring. */
  private dialled: LinkId | null = null;
  /** The one by which log was shipped last. */
  private shipped: LinkId | null = null;
  /** On that one. */
  private readonly underWay = new UnderWay();
  private open = false;
  private listener: ChannelListener | null = null;
  private identity: ChannelIdentity;

  constructor(private readonly options: LinksOptions) {
    this.identity = options.identity;
  }

  async listen(): Promise<void> {
    const { listen: at, onRefused } = this.options;
    this.listener = await listen({
      identity: this.identity,
      ...at,
      onConnection: (connection) => {
        this.accept(connection);
      },
      onRefused,
    });
  }

  /** New connections, in and out, are made with these keys. @throws when they cannot be used; the old ones stay */
  useTls(tls: ChannelTls): void {
    this.listener?.useTls(tls);
    this.identity = { ...this.identity, tls };
  }

  /** Lets peers in: from the start of the protocol on. */
  admit(): void {
    this.open = true;
  }

  /** Ends in a `dialled` or a `dialFailed` event. */
  dial(): void {
    this.connect('log').then(
      (connection) => {
        const link = this.add(connection);
        this.dialled = link;
        this.options.post({ type: 'dialled', link });
      },
      (error: unknown) => {
        this.options.post({ type: 'dialFailed', detail: (error as Error).message });
      },
    );
  }

  send(link: LinkId, frame: Frame): void {
    this.links.get(link)?.send(frame);
  }

  /** Sends log straight from the ring's memory. `end`: an event ends at `to`. */
  ship(link: LinkId, from: Lsn, to: Lsn, end: boolean): void {
    const { ring, packetsBelow, onLogBytes } = this.options;
    if (link !== this.shipped) this.underWay.restart(from);
    this.shipped = link;
    this.links.get(link)?.sendLog({ lsn: from, bytes: ring.view(from, to), end, packets: packetsBelow(to) });
    this.underWay.shippedTo(to);
    onLogBytes(to - from);
  }

  /**
   * Sends packets of the guest's network to the backup that gets the log, if there is one. Best effort: those for which
   * log and beats would have to wait are left out.
   */
  forward(first: number, packets: readonly Uint8Array[]): void {
    const link = this.shipped === null ? undefined : this.links.get(this.shipped);
    if (link === undefined) return;
    this.underWay.forwarded(link.sendPackets(first, packets, this.underWay.roomForPackets));
  }

  close(link: LinkId): void {
    this.links.get(link)?.close();
    this.links.delete(link);
  }

  /** The clone connection that the peer of `link` opened, or opens now. @throws ChannelError; CloneError on `signal` */
  cloneFrom(link: LinkId, signal: AbortSignal): Promise<TLSSocket> {
    return this.takeFrom(this.clones, link, signal);
  }

  /** The connection for the disks' images, as `cloneFrom`. */
  disksFrom(link: LinkId, signal: AbortSignal): Promise<TLSSocket> {
    return this.takeFrom(this.disks, link, signal);
  }

  /** Opens one for the disks' images to the primary. @throws ChannelError */
  async disksTo(): Promise<TLSSocket> {
    return (await this.connect('disks')).socket;
  }

  /** Opens a clone connection to the primary. @throws ChannelError */
  async cloneTo(): Promise<TLSSocket> {
    return (await this.connect('clone')).socket;
  }

  /** Ends everything; what was sent still goes out if it can. */
  async shutdown(): Promise<void> {
    for (const link of this.links.keys()) this.close(link);
    this.clones.close();
    this.disks.close();
    await this.listener?.close();
  }

  private takeFrom(desk: CloneDesk<TLSSocket>, link: LinkId, signal: AbortSignal): Promise<TLSSocket> {
    const peer = this.links.get(link);
    if (peer === undefined)
      return Promise.reject(new ChannelError('CHANNEL_UNREACHABLE', 'the backup has left'));
    return desk.take(peer.peerNonce, signal);
  }

  private connect(purpose: Purpose): Promise<OpenConnection> {
    const { peer, dialTimeoutMs } = this.options;
    if (peer === null) {
      return Promise.reject(new ChannelError('CHANNEL_UNREACHABLE', 'this side has nobody to dial'));
    }
    return dial({ identity: this.identity, purpose, ...peer, timeoutMs: dialTimeoutMs });
  }

  private accept(connection: OpenConnection): void {
    if (!this.open) {
      connection.socket.destroy(); // nobody is there to answer yet: the peer dials again
      return;
    }
    const { purpose } = connection.preface;
    if (purpose !== 'log') {
      this.acceptFor(purpose === 'clone' ? this.clones : this.disks, connection);
      return;
    }
    const link = this.add(connection);
    this.options.post({ type: 'accepted', link });
  }

  /** Whoever wants a clone has a connection of purpose `log` that still stands: of anybody else nobody will take it. */
  private acceptFor(desk: CloneDesk<TLSSocket>, { preface, socket }: OpenConnection): void {
    const isKnown = [...this.links.values()].some(({ peerNonce }) => peerNonce === preface.nonce);
    if (isKnown) desk.put(preface.nonce, socket);
    else socket.destroy();
  }

  private add(connection: OpenConnection): LinkId {
    this.lastId += 1;
    const id = this.lastId;
    const link = new ChannelLink(connection, {
      onFrame: (frame) => {
        this.receive(id, frame);
      },
      onDown: ({ cause, detail }) => {
        this.links.delete(id);
        this.options.post({ type: 'linkDown', link: id, detail: `${cause}: ${detail}` });
      },
    });
    this.links.set(id, link);
    return id;
  }

  private receive(link: LinkId, frame: WireFrame): void {
    if (frame.type !== 'log' && frame.type !== 'packets') {
      if (frame.type === 'ack' && link === this.shipped) this.underWay.acknowledged(frame.received);
      this.options.post({ type: 'frame', link, frame });
      return;
    }
    if (link !== this.dialled) return; // log of an older connection, or of one that came by itself
    if (frame.type === 'log') this.receiveLog(link, frame);
    else this.options.onPackets(frame.first, frame.packets);
  }

  private receiveLog(link: LinkId, frame: LogFrame): void {
    try {
      this.append(frame);
    } catch (error) {
      this.options.post({ type: 'logCorrupt', link, detail: (error as Error).message });
      return;
    }
    this.options.onLogBytes(frame.bytes.length);
    this.options.onPacketsLogged(frame.packets);
    const lsn = frame.lsn + frame.bytes.length;
    this.options.post({ type: 'received', link, lsn, end: frame.end });
  }

  /** After a resume, what was received of a range that was cut comes once more. */
  private append({ lsn, bytes }: LogFrame): void {
    const { ring } = this.options;
    const known = ring.produced - lsn;
    if (known < 0) {
      throw new ChannelError(
        'CHANNEL_BAD_SEQUENCE',
        `log jumps from ${String(ring.produced)} to ${String(lsn)}`,
      );
    }
    if (known < bytes.length) ring.append(bytes.subarray(known));
  }
}
