// SPDX-License-Identifier: Apache-2.0
import type { Endpoint } from './network.js';
import type { World } from './world.js';
import { HOSTS } from './world.js';

/** Busy for at most so long: less than any peer notices, with its own ticks and beats counted in. */
const BUSY_MS_MAX = 150;
const GAP_MS = [100, 500] as const;

/** What is no fault, and happens all the time: processes are busy for a while, and strangers connect. */
export function weather(world: World): void {
  const { random, schedule } = world;
  schedule.after(random.between(...GAP_MS), () => {
    let ms = 0;
    if (random.chance(0.3)) stranger(world);
    else if (random.chance(0.5)) ms = busy(world);
    // Two busy stretches with nothing heard between them are one that is too long.
    schedule.after(ms, () => {
      weather(world);
    });
  });
}

/** Returns for how long. */
function busy(world: World): number {
  const { random, schedule } = world;
  if (world.alive.length === 0) return 0;
  const one = random.pick(world.alive);
  if (one.frozen || one.deaf) return 0;
  const ms = random.between(20, BUSY_MS_MAX);
  if (random.chance(0.5)) {
    one.deafFor(ms);
    return ms;
  }
  one.freeze();
  schedule.after(ms, () => {
    one.thaw();
  });
  return ms;
}

/** Somebody connects who is no part of this VM: says nothing, or what makes no sense, and goes again. */
function stranger(world: World): void {
  const { random, schedule, network } = world;
  if (world.alive.length === 0) return;
  const one = random.pick(world.alive);
  const endpoint: Endpoint = {
    host: random.pick(HOSTS),
    arrives: (what) => {
      what();
    },
  };
  const connection = network.connect(endpoint, one);
  connection.attach(0, { message: () => undefined, down: () => undefined });
  one.accept(connection);
  if (random.chance(0.3))
    connection.send(0, { kind: 'frame', frame: { type: 'beat', seq: random.int(1, 1_000), echo: 0 } });
  if (random.chance(0.3)) connection.send(0, { kind: 'log', from: 0, to: 9, end: true, events: [] });
  schedule.after(random.between(0, 600), () => {
    connection.close(0);
  });
}
