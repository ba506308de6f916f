// SPDX-License-Identifier: Apache-2.0
/** The outputs that wait in this sidecar, between the engine's NIC and the tap. */
import { createHash } from 'node:crypto';
import type { ReleaseLimit } from '../protocol/effects.js';
import type { Hash, Lsn } from '../protocol/types.js';

/** The output rule was about to be broken. Nothing may leave after this: the process must end. */
export class OutputRuleError extends Error {
  readonly code = 'LOCKSTEP_OUTPUT_RULE';
}

interface HeldOutput {
  readonly index: number;
  readonly head: Lsn;
  readonly packet: Buffer;
  /** performance.now() */
  readonly since: number;
}

/** Bytes of the digest that two sides compare: 128 bits tell any two packets apart. */
const DIGEST_HEX_DIGITS = 32;

/** Digest of one output packet: the first 128 bits of SHA-1, in hex. Not a secret, only a comparison. */
export function outputHash(packet: Uint8Array): Hash {
  return createHash('sha1').update(packet).digest('hex').slice(0, DIGEST_HEX_DIGITS);
}

/**
 * A queue in order of index. The protocol decides what leaves; this is the second, independent look at the
 * output rule, at the last place before the tap. How many may wait is bounded by the protocol (`heldOutputsMax`),
 * which holds the guest before the bound is passed.
 */
export class OutputQueue {
  private readonly held: HeldOutput[] = [];
  private nextOut = 0;

  /**
   * @param transmit writes one packet to the network; is told how long it waited for its acknowledgement, or null: it left by
   * the right of the owner, without one.
   */
  constructor(private readonly transmit: (packet: Buffer, ackedAfterMs: number | null) => void) {}

  /** Packets waiting. */
  get length(): number {
    return this.held.length - this.nextOut;
  }

  /** Keeps a copy: a view would hold on to the whole buffer that the socket was read into. */
  add(index: number, head: Lsn, packet: Buffer): void {
    this.held.push({ index, head, packet: Buffer.from(packet), since: performance.now() });
  }

  /** Sends all with index <= `through`. Throws OutputRuleError before sending one that `limit` does not cover. */
  release(through: number, limit: ReleaseLimit): void {
    this.take(through, (output) => {
      if (limit.by === 'ack' && output.head > limit.acked) {
        throw new OutputRuleError(
          `output ${String(output.index)} needs log up to ${String(output.head)}, acknowledged is ${String(limit.acked)}`,
        );
      }
      this.transmit(output.packet, limit.by === 'ack' ? performance.now() - output.since : null);
    });
  }

  /** Forgets all with index <= `through`. */
  drop(through: number): void {
    this.take(through, () => undefined);
  }

  private take(through: number, use: (output: HeldOutput) => void): void {
    for (;;) {
      const output = this.held[this.nextOut];
      if (output === undefined || output.index > through) break;
      use(output);
      this.nextOut += 1;
    }
    this.compact();
  }

  /** Shifting an array one by one is quadratic: forget the sent part when it is most of it. */
  private compact(): void {
    if (this.nextOut * 2 < this.held.length) return;
    this.held.splice(0, this.nextOut);
    this.nextOut = 0;
  }
}
