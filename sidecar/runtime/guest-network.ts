// SPDX-License-Identifier: Apache-2.0
/**
 * The guest's packets between QEMU's NIC and the tap. In: tap → ingress → NIC. Out: NIC → the queue of held outputs, and
 * from there, when the protocol releases them → tap.
 */
import type { Logger } from 'winston';
import { AddonError, type Tap } from '../../native/addon/index.js';
import { announce, GuestAddresses } from '../io/arp.js';
import { GuestGroups } from '../io/multicast.js';
import { Netdev } from '../io/netdev.js';
import { OutputQueue } from '../io/outputs.js';
import type { Lsn } from '../protocol/types.js';
import { Ingress } from './ingress.js';

export interface GuestNetworkOptions {
  readonly tap: Tap;
  readonly netSocket: string;
  readonly guestMac: string;
  readonly logger: Logger;
  /** Gives packets that QEMU was given to the backup, if there is one. */
  readonly forward: (first: number, packets: readonly Uint8Array[]) => void;
  /** The guest sent a packet, the `index`th of this QEMU, from 1. */
  readonly onOutput: (packet: Buffer, index: number) => void;
  /** A packet was released: whether the tap took it, and how long it waited for its acknowledgement (null: it needed none). */
  readonly onReleased: (left: boolean, ackedAfterMs: number | null) => void;
  readonly onNicBroken: (error: Error) => void;
  readonly onTapBroken: (error: Error) => void;
}

export class GuestNetwork {
  readonly ingress: Ingress;
  readonly outputs: OutputQueue;
  private readonly addresses: GuestAddresses;
  private readonly groups = new GuestGroups();
  private netdev: Netdev | null = null;

  constructor(private readonly options: GuestNetworkOptions) {
    const { tap, forward, onTapBroken, onReleased } = options;
    this.addresses = new GuestAddresses(options.guestMac);
    this.ingress = new Ingress({
      tap,
      deliver: (packets) => this.netdev?.send(packets) ?? 0,
      forward,
      onError: onTapBroken,
    });
    this.outputs = new OutputQueue((packet, ackedAfterMs) => {
      onReleased(this.transmit(packet), ackedAfterMs);
    });
  }

  /** QEMU may connect its NIC. */
  async listen(): Promise<void> {
    const { netSocket, onOutput, onNicBroken } = this.options;
    this.netdev = await Netdev.listen(netSocket, { onPacket: onOutput, onError: onNicBroken });
  }

  /** Packets for the guest that were dropped because QEMU did not read. */
  get droppedIngress(): number {
    return this.netdev?.droppedPackets ?? 0;
  }

  /** Keeps an output until the protocol says what becomes of it. `head`: the log that explains it. */
  hold(packet: Buffer, index: number, head: Lsn): void {
    this.addresses.learn(packet);
    this.groups.learn(packet);
    this.outputs.add(index, head, packet);
  }

  /** Tells switches and neighbours that the guest is here now, and which groups it listens to. */
  announce(): void {
    announce([...this.addresses.announcements(), ...this.groups.reports()], (frame) => {
      this.transmit(frame);
    });
  }

  /** Puts a packet on the tap. What that does not take (full, down, a length that no Ethernet has) is dropped, as a switch would: false. */
  private transmit(packet: Buffer): boolean {
    try {
      return this.options.tap.write(packet);
    } catch (error) {
      if (!(error instanceof AddonError)) throw error;
      this.options.logger.debug(error.message, { reason: error.code });
      return false;
    }
  }

  close(): void {
    this.netdev?.close();
    this.options.tap.close();
  }
}
