// SPDX-License-Identifier: Apache-2.0
import type { ColdStart } from '../../sidecar/protocol/config.js';
import type { Incarnation } from './incarnation.js';
import type { World } from './world.js';
import { HOSTS } from './world.js';

const TURN_MS = 100;
const USELESS_AFTER_MS = 1_500;

/**
 * The pair controller: starts a backup for an owner that has none, removes sides that are of no use to anybody, and
 * starts the VM again once everybody is dead. Dead means dead: it is told by the hosts' agents.
 */
export class Controller {
  readonly #world: World;
  readonly #uselessSince = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    this.#turn();
  }

  #turn(): void {
    this.#world.schedule.after(TURN_MS, () => {
      this.#decide();
      this.#turn();
    });
  }

  #decide(): void {
    if (this.#world.isWhole) this.#world.judge.whole();
    const alive = this.#world.alive;
    if (alive.length === 0) {
      this.#coldRestart();
      return;
    }
    const owner = alive.find((one) => one.status?.phase === 'alone' && !one.frozen);
    if (owner === undefined) return;
    const others = alive.filter((one) => one !== owner);
    if (others.length === 0) this.#protect(owner);
    for (const other of others) this.#judge(other, owner);
  }

  #coldRestart(): void {
    const { store } = this.#world;
    const host = this.#hostToStartOn();
    if (host === null || !store.up) return;
    this.#world.judge.coldRestart();
    this.#world.newLife();
    this.#world.count('cold restarts');
    const { epoch } = store;
    const how: ColdStart = epoch === null ? { kind: 'found' } : { kind: 'refound', expectEpoch: epoch };
    this.#world.safety.coldStart(this.#world.start(host, how));
  }

  /** A disk is where its newest image is: nobody insists on an older one here. */
  #hostToStartOn(): string | null {
    const wanted = this.#world.hasDisk ? this.#world.hostOfDisk : null;
    if (wanted === null) return this.#freeHost('');
    return this.#isFree(wanted) ? wanted : null;
  }

  #isFree(host: string): boolean {
    return this.#world.hostUp(host) && !this.#world.isHostFrozen(host);
  }

  #protect(owner: Incarnation): void {
    if (owner.status?.protection.word === 'Not Protected' && owner.status.protection.state === 'Disabled')
      return;
    const host = this.#freeHost(owner.host);
    if (host !== null) this.#world.start(host, owner);
  }

  /** An owner has said that it is alone: what is not about to join it has no part in the VM any more. */
  #judge(other: Incarnation, owner: Incarnation): void {
    const now = this.#world.schedule.now;
    const joining = other.target === owner && other.status?.phase === 'joining' && !other.frozen;
    if (joining) return;
    const since = this.#uselessSince.get(other.nonce) ?? now;
    this.#uselessSince.set(other.nonce, since);
    if (now - since < USELESS_AFTER_MS) return;
    this.#world.trace(`controller ends ${other.name}`);
    other.kill(false);
  }

  #freeHost(not: string): string | null {
    const free = HOSTS.filter((host) => host !== not && this.#isFree(host));
    return free.length === 0 ? null : this.#world.random.pick(free);
  }
}
