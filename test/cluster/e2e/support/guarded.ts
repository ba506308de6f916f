// SPDX-License-Identifier: Apache-2.0
// A protected VM on the second network with a client that counts over one connection: what most tests begin with, and
// what must hold at their end whatever was done meanwhile.
import { expect } from 'chai';
import type { Client } from '../../../../cli/demo/client.js';
import { attachClient, clientOf, detachClient } from '../../bed/network.js';
import { counting, serves } from './clients.js';
import { DEAD_AFTER_MS, ownNetwork, TestVm, type Side, type VmChoice } from './vm.js';
import { theWorld } from './world.js';

const PROTECTED_MS_MAX = 120_000;
/** A node must be found dead, and a new backup be cloned, on two cores that all nodes share. */
const PROTECTED_AGAIN_MS_MAX = 240_000;
const REMOVED_MS_MAX = 120_000;
const CLIENT_ADDRESS = '10.99.0.202/24';

export interface Pair {
  readonly primary: Side;
  readonly backup: Side;
  readonly epoch: number;
}

export class GuardedVm {
  readonly vm: TestVm;
  /** Network namespace of the client. */
  readonly netns: string;
  #client: Client | undefined;
  #protectedAfterMs = 0;

  constructor(
    readonly name: string,
    readonly address: string,
    changes: Partial<VmChoice> = {},
  ) {
    this.netns = clientOf(name).namespace;
    this.vm = new TestVm({
      name,
      namespace: 'default',
      deadAfterMs: DEAD_AFTER_MS,
      guestImage: theWorld().guestImage,
      attachment: ownNetwork(address),
      ...changes,
    });
  }

  async start(): Promise<void> {
    await attachClient(this.name, CLIENT_ADDRESS);
    const appliedAt = performance.now();
    await this.vm.apply();
    await this.vm.untilProtected(PROTECTED_MS_MAX);
    this.#protectedAfterMs = performance.now() - appliedAt;
    await this.connect();
  }

  /** A new connection of a new client; what the last one knew is gone. */
  async connect(): Promise<void> {
    this.#client?.kill();
    this.#client = counting(this.netns, this.address);
    await this.serves();
  }

  /** Starts it unless it is there, protected, and its client goes on: a test that failed does not take others with it. */
  async ensure(): Promise<void> {
    if (this.#client !== undefined) {
      const isWell = await this.serves().then(
        async () => (await this.vm.read())?.status?.status === 'Protected',
        () => false,
      );
      if (isWell) return;
      this.#client.kill();
      this.#client = undefined;
      await this.vm.remove(REMOVED_MS_MAX);
    }
    await this.start();
  }

  /** From `kubectl apply` to the first Protected. */
  get protectedAfterMs(): number {
    return this.#protectedAfterMs;
  }

  /** The one connection goes on, nothing counted is lost. Returns the longest wait since the last time, ms. */
  serves(): Promise<number> {
    if (this.#client === undefined) throw new Error('no client');
    return serves(this.#client);
  }

  sides(): Promise<Pair> {
    return this.vm.sides();
  }

  /** Protected by other sides than before. Returns the sides. */
  async untilProtectedAgain(before: Pair, lost: 'primary' | 'backup'): Promise<Pair> {
    const gone = before[lost].vmi;
    await this.vm.until(`protected without ${gone}`, PROTECTED_AGAIN_MS_MAX, ({ status }) => {
      const is = [status?.primary?.vmi, status?.backup?.vmi];
      return status?.status === 'Protected' && !is.includes(undefined) && !is.includes(gone);
    });
    const now = await this.sides();
    const live = lost === 'primary' ? before.backup : before.primary;
    expect(now.primary.vmi, 'who runs it').to.equal(live.vmi);
    return now;
  }

  /** The same, and nothing of the lost side is left. */
  async untilMended(before: Pair, lost: 'primary' | 'backup'): Promise<Pair> {
    const now = await this.untilProtectedAgain(before, lost);
    await this.vm.untilOnly(REMOVED_MS_MAX, 2);
    return now;
  }

  /** Still protected by the same sides. */
  async expectUnchanged(before: Pair): Promise<void> {
    const now = await this.sides();
    expect([now.primary.vmi, now.backup.vmi, now.epoch]).to.deep.equal([
      before.primary.vmi,
      before.backup.vmi,
      before.epoch,
    ]);
  }

  /** Ends the client with a last look, and deletes the VM. */
  async finish(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    try {
      if (client !== undefined) {
        const { acknowledged, found } = await client.finish();
        expect(found, 'increments found').to.equal(acknowledged);
      }
    } finally {
      client?.kill();
      await this.vm.remove(REMOVED_MS_MAX);
      await detachClient(this.name);
    }
  }
}
