// SPDX-License-Identifier: Apache-2.0
import type { Phase } from '../../sidecar/protocol/status.js';
import type { Incarnation } from './incarnation.js';
import { loadProduct } from './product.js';
import { originalFolder } from './mutants.js';
import { STORE_HOST, World } from './world.js';

const PATIENCE_MS = 6_000;

/** A world without chance faults and without a pair controller, to be put through one story. */
export class Scenario {
  readonly world: World;
  primary: Incarnation;
  backup: Incarnation;

  private constructor(world: World) {
    this.world = world;
    world.newLife();
    this.primary = world.start('h1', { kind: 'found' });
    this.backup = this.primary;
  }

  /** An owner without a backup. `durable`: the store keeps all it has answered. */
  static async alone(durable = false): Promise<Scenario> {
    const product = await loadProduct(originalFolder());
    const scenario = new Scenario(new World(product, 1, null, false, durable));
    scenario.until(scenario.primary, 'alone');
    return scenario;
  }

  /** A backup has been accepted, and its clone is on the way. */
  static async cloning(durable = false): Promise<Scenario> {
    const scenario = await Scenario.alone(durable);
    scenario.join();
    scenario.until(scenario.primary, 'cloning');
    scenario.until(scenario.backup, 'loading');
    return scenario;
  }

  static async protected(durable = false): Promise<Scenario> {
    const scenario = await Scenario.cloning(durable);
    scenario.until(scenario.primary, 'protected');
    scenario.until(scenario.backup, 'armed');
    scenario.run(200);
    return scenario;
  }

  /** The primary is dead, and the backup has won the lease but does not go live yet. */
  static async goingLive(durable = false): Promise<Scenario> {
    const scenario = await Scenario.protected(durable);
    scenario.backup.stuck = true;
    scenario.primary.kill(false);
    scenario.until(scenario.backup, 'goingLive');
    return scenario;
  }

  join(): void {
    this.backup = this.world.start('h2', this.primary);
  }

  /** The backup that took over is the primary of what follows. */
  swap(): void {
    this.primary = this.backup;
    this.backup = this.world.start('h3', this.primary);
  }

  /** Time passes. */
  run(ms: number): void {
    const end = this.world.schedule.now + ms;
    while (this.world.schedule.step(end));
  }

  until(who: Incarnation, phase: Phase): void {
    this.untilTrue(`${who.name} is ${phase}`, () => who.status?.phase === phase);
  }

  untilDead(who: Incarnation): void {
    this.untilTrue(`${who.name} is dead`, () => who.dead);
  }

  untilTrue(what: string, test: () => boolean): void {
    const end = this.world.schedule.now + PATIENCE_MS;
    while (!test()) {
      if (this.world.schedule.now >= end) throw new Error(`after ${PATIENCE_MS} ms it is not so: ${what}`);
      this.world.schedule.step(end);
    }
  }

  /** Cuts the ways between hosts both ways; the result heals them. */
  cut(...pairs: readonly (readonly [string, string])[]): () => void {
    const heals = pairs.flatMap(([a, b]) => [this.world.network.cut(a, b), this.world.network.cut(b, a)]);
    return () => {
      for (const heal of heals) heal();
    };
  }

  cutOff(host: string): () => void {
    return this.cut(
      ...['h1', 'h2', 'h3', STORE_HOST].filter((other) => other !== host).map((o) => [host, o] as const),
    );
  }

  /** Outputs that clients have seen so far. */
  get seen(): number {
    return (
      (this.world.counts.get('outputs released by ack') ?? 0) +
      (this.world.counts.get('outputs released by owner') ?? 0)
    );
  }

  /** Clients are being answered. */
  expectTraffic(): void {
    const before = this.seen;
    this.untilTrue('clients see outputs', () => this.seen > before + 3);
  }

  /** Nothing leaves, for as long as `ms`. */
  expectSilence(ms: number): void {
    this.run(50);
    const before = this.seen;
    this.run(ms);
    if (this.seen !== before) throw new Error('outputs left that had to wait');
  }
}
