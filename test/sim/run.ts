// SPDX-License-Identifier: Apache-2.0
import type { Phase } from '../../sidecar/protocol/status.js';
import { Controller } from './controller.js';
import { Faults } from './faults.js';
import type { Incarnation } from './incarnation.js';
import type { Product } from './product.js';
import { Violation } from './safety.js';
import { weather } from './weather.js';
import { HOSTS, World } from './world.js';

const OWNS: ReadonlySet<string> = new Set<Phase>([
  'alone',
  'cloning',
  'catchingUp',
  'arming',
  'protected',
  'handingOver',
]);
/** Of the seeds, those in which the VM has a disk. */
const DISK_EVERY = 2;
/** Runs with a disk in which requests fail, and how many of them. */
const DISK_ERRORS = [0.3, 0.1] as const;
const REST_MS = 3_000;
const LIVENESS_MS = 9_000;
/** A clone that replays slowly has this much more time, and one of a large guest as much as it takes, twice. */
const SLOW_MS = 5_000;
const PERSON_AFTER_MS = 5_000;
const CALM_MS = 150;
/** Runs without any fault: nobody may be lost in them. */
const FAULTLESS = 0.1;
const BURSTS = 0.01;
/** Runs in which replay is no faster than the guest, or slower: the guest must be paced. */
const SLOW_REPLAY = 0.1;
const SLOW_REPLAY_SPEED = [0.6, 1.1] as const;
/** Runs with a large guest: its clones take longer than a clone that does not move may. */
const LARGE = 0.1;
const LARGE_CLONE_MS = 3_000;

export interface Outcome {
  readonly seed: number;
  /** Null: all held. */
  readonly violation: string | null;
  readonly counts: ReadonlyMap<string, number>;
}

/** One run: first faults, and safety at each step; then none, and a protected VM is due. */
export function runSeed(
  product: Product,
  seed: number,
  trace: ((line: string) => void) | null = null,
): Outcome {
  const world = new World(product, seed, trace, seed % DISK_EVERY === 0);
  try {
    safetyPhase(world);
    livenessPhase(world);
    restPhase(world);
    return { seed, violation: null, counts: world.counts };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const violation =
      error instanceof Violation ? error.message : `exception: ${error.stack ?? error.message}`;
    world.trace(`VIOLATION ${violation}`);
    return { seed, violation, counts: world.counts };
  }
}

function safetyPhase(world: World): void {
  const { random, schedule } = world;
  world.newLife();
  world.start(HOSTS[0], { kind: 'found' });
  new Controller(world);
  weather(world);
  world.bursts = BURSTS;
  if (world.diskRandom.chance(DISK_ERRORS[0])) world.diskErrors = DISK_ERRORS[1];
  if (random.chance(SLOW_REPLAY)) {
    const replay = random.between(...SLOW_REPLAY_SPEED);
    world.speed = { replay, catchUp: replay };
  }
  if (random.chance(LARGE)) world.cloneExtraMs = random.between(0, LARGE_CLONE_MS);
  if (random.chance(FAULTLESS)) {
    world.count('runs without faults');
    world.judge.calm = true;
    world.network.delayMaxMs = random.between(1, 10);
    runUntil(world, random.between(2_000, 6_000));
    return;
  }
  const faults = new Faults(world);
  const gapMs = random.between(100, 900);
  // Most runs begin with a pair that stands; some are hit while it forms.
  const quietMs = random.chance(0.7) ? random.between(800, 1_200) : 0;
  const endsAt = quietMs + random.between(1_500, 4_000);
  let next = quietMs;
  while (next < endsAt) {
    runUntil(world, next);
    faults.strike();
    // Some strike at almost the same moment: that is where races are.
    next += random.chance(0.3) ? random.between(0, 30) : random.between(0.3, 1.7) * gapMs;
  }
  runUntil(world, Math.max(endsAt, schedule.now));
  world.trace('ALL FAULTS END');
  faults.healAll();
}

function livenessPhase(world: World): void {
  const { schedule } = world;
  const begun = schedule.now;
  let calmSince: number | null = null;
  let helped = 0;
  const dueMs = LIVENESS_MS + (world.speed.replay < 1.2 ? SLOW_MS : 0) + 2 * world.cloneExtraMs;
  while (schedule.now - begun < dueMs + helped * LIVENESS_MS) {
    runUntil(world, schedule.now + 50);
    if (!world.isProtected) calmSince = null;
    else calmSince ??= schedule.now;
    if (calmSince !== null && schedule.now - calmSince >= CALM_MS) return;
    if (schedule.now - begun > PERSON_AFTER_MS + helped * LIVENESS_MS && helped < 2 && needsPerson(world)) {
      helped += 1;
      person(world, helped);
    }
  }
  const state = world.alive.map((one) => `${one.name} ${one.status?.phase ?? '?'}`).join(', ');
  world.violated(`no protected VM ${dueMs + helped * LIVENESS_MS} ms after all faults ended: ${state}`);
}

/** The guest leaves its disk alone: soon both images are the same. */
function restPhase(world: World): void {
  if (!world.hasDisk || world.hadDivergence) return;
  const until = world.schedule.now + REST_MS;
  world.resting = true;
  for (;;) {
    runUntil(world, world.schedule.now + 50);
    const [one, other] = world.alive;
    if (one !== undefined && other !== undefined && world.isProtected && isAtRest(one, other)) {
      world.safety.equalAtRest(one, other);
      world.count('images compared');
      return;
    }
    if (world.schedule.now > until) world.violated('the disks do not come to rest');
  }
}

/** Nothing is under way, and both have asked the same so far. */
function isAtRest(one: Incarnation, other: Incarnation): boolean {
  const isIdle = [one, other].every(
    ({ machine, disk }) => machine.disk?.pending.size === 0 && disk?.desk.isIdle === true,
  );
  return isIdle && one.machine.disk?.last === other.machine.disk?.last;
}

/**
 * Only a store that lost what it had acknowledged may leave work for a person, and only if nobody is left who owns the VM
 * and can see to it: an owner arms anew, unless the store speaks of another life.
 */
function needsPerson(world: World): boolean {
  if (world.storeLosses === 0) return false;
  return !world.alive.some(({ status }) => OWNS.has(status?.phase ?? '') && status?.lease !== 'foreignStore');
}

/** What the documentation tells a person to do: first clear a foreign lease, then stop all and start again. */
function person(world: World, step: number): void {
  world.count(`person, step ${step}`);
  world.trace(`PERSON step ${step}`);
  if (step === 1 && world.alive.some((one) => one.status?.lease === 'foreignStore')) world.store.flush();
  else {
    world.judge.disturbed(2);
    for (const one of world.alive) one.kill(false);
  }
}

function runUntil(world: World, until: number): void {
  while (world.schedule.step(until));
}
