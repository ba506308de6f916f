// SPDX-License-Identifier: Apache-2.0
import type { Phase } from '../../sidecar/protocol/status.js';
import type { Incarnation } from './incarnation.js';
import type { World } from './world.js';
import { HOSTS, STORE_HOST } from './world.js';

/** Undoes one fault. */
type Heal = () => void;
type Fault = (world: World) => Heal | null;

interface Row {
  readonly name: string;
  readonly weight: number;
  readonly strike: Fault;
}

function anybody(world: World): Incarnation | null {
  return world.alive.length === 0 ? null : world.random.pick(world.alive);
}

function backup(world: World): Incarnation | null {
  return world.alive.find((one) => one.status?.role === 'backup' && one.state === 'replaying') ?? null;
}

function primary(world: World): Incarnation | null {
  return world.alive.find((one) => one.status?.role === 'primary') ?? null;
}

function killClone(world: World): void {
  world.alive.find((one) => one.status?.phase === 'loading')?.kill(false);
}

function twoHosts(world: World): readonly [string, string] {
  const busy = [...new Set(world.alive.map((one) => one.host))];
  const [a, b] = busy.length === 2 ? busy : [world.random.pick(HOSTS), world.random.pick(HOSTS)];
  const pair = [a ?? HOSTS[0], b ?? HOSTS[1]] as const;
  return world.random.chance(0.5) ? pair : [pair[1], pair[0]];
}

function cut(world: World, ways: readonly (readonly [string, string])[]): Heal {
  const heals = ways.map(([from, to]) => world.network.cut(from, to));
  return () => {
    for (const heal of heals) heal();
  };
}

function freeze(world: World, one: Incarnation | null): Heal | null {
  if (one === null || one.frozen) return null;
  one.freeze();
  return () => {
    one.thaw();
    world.trace(`${one.name} thaws`);
  };
}

function freezeHost(world: World): Heal {
  const host = world.random.pick(HOSTS);
  const there = world.alive.filter((one) => one.host === host && !one.frozen);
  world.frozenHosts.add(host);
  for (const one of there) one.freeze();
  return () => {
    world.frozenHosts.delete(host);
    for (const one of there) one.thaw();
  };
}

function powerOff(world: World): Heal {
  const host = world.random.pick(HOSTS);
  world.downHosts.add(host);
  for (const one of world.alive) if (one.host === host) one.kill(true);
  return () => {
    world.downHosts.delete(host);
  };
}

function restartStore(world: World, back: number): Heal {
  world.store.up = false;
  if (!world.store.durable) world.storeLosses += 1;
  world.store.restart(back);
  return () => {
    world.store.up = true;
  };
}

function swing(world: World, key: 'lostRequests' | 'lostAnswers', to: number): Heal {
  world.weather[key] = to;
  world.weather.late = world.random.float();
  return () => {
    world.weather[key] = 0;
  };
}

function once(act: (world: World) => void): Fault {
  return (world) => {
    act(world);
    return null;
  };
}

const KILL_CLONE = 'kill clone';
const RESET = 'reset';

const ROWS: readonly Row[] = [
  { name: 'kill', weight: 5, strike: once((world) => anybody(world)?.kill(false)) },
  { name: 'kill primary', weight: 5, strike: once((world) => primary(world)?.kill(false)) },
  { name: KILL_CLONE, weight: 1, strike: once(killClone) },
  { name: 'power off', weight: 4, strike: powerOff },
  { name: 'freeze', weight: 8, strike: (world) => freeze(world, anybody(world)) },
  { name: 'freeze primary', weight: 5, strike: (world) => freeze(world, primary(world)) },
  { name: 'freeze host', weight: 3, strike: freezeHost },
  {
    name: 'deaf',
    weight: 4,
    strike: once((world) => anybody(world)?.deafFor(world.random.between(100, 600))),
  },
  { name: 'cut one way', weight: 6, strike: (world) => cut(world, [twoHosts(world)]) },
  {
    name: 'cut both ways',
    weight: 6,
    strike: (world) => {
      const [a, b] = twoHosts(world);
      return cut(world, [
        [a, b],
        [b, a],
      ]);
    },
  },
  {
    name: 'cut off from all',
    weight: 4,
    strike: (world) => {
      const [host] = twoHosts(world);
      const others = [...HOSTS.filter((other) => other !== host), STORE_HOST];
      return cut(world, [
        ...others.map((to) => [host, to] as const),
        ...others.map((to) => [to, host] as const),
      ]);
    },
  },
  {
    name: 'cut from store',
    weight: 4,
    strike: (world) => {
      const [host] = twoHosts(world);
      const ways = [[host, STORE_HOST] as const, [STORE_HOST, host] as const];
      return cut(world, world.random.chance(0.5) ? ways : [world.random.pick(ways)]);
    },
  },
  {
    name: RESET,
    weight: 5,
    strike: once((world) => {
      for (const connection of world.network.between(...twoHosts(world))) connection.reset();
    }),
  },
  {
    name: 'store down',
    weight: 5,
    strike: (world) => {
      world.store.up = false;
      return () => {
        world.store.up = true;
      };
    },
  },
  {
    name: 'requests lost',
    weight: 3,
    strike: (world) => swing(world, 'lostRequests', world.random.between(0.2, 0.9)),
  },
  {
    name: 'answers lost',
    weight: 5,
    strike: (world) => swing(world, 'lostAnswers', world.random.between(0.2, 0.9)),
  },
  {
    name: 'store loses its keys',
    weight: 3,
    strike: once((world) => {
      world.storeLosses += 1;
      world.store.flush();
    }),
  },
  { name: 'store restarts', weight: 4, strike: (world) => restartStore(world, world.random.int(0, 3)) },
  { name: 'engine fails', weight: 2, strike: once((world) => anybody(world)?.fail()) },
  { name: 'log corrupt', weight: 1, strike: once((world) => backup(world)?.corrupt()) },
  {
    name: 'diverge, and kill primary',
    weight: 2,
    strike: once((world) => {
      const one = backup(world);
      if (one === null) return;
      one.machine.diverge();
      world.schedule.after(world.random.between(0, 60), () => primary(world)?.kill(false));
    }),
  },
  { name: 'diverge', weight: 2, strike: once((world) => backup(world)?.machine.diverge()) },
  {
    name: 'replay stuck',
    weight: 2,
    strike: once((world) => {
      const one = backup(world);
      if (one !== null) one.stuck = true;
    }),
  },
  {
    name: 'replay slow',
    weight: 4,
    strike: (world) => {
      const one = backup(world);
      if (one === null) return null;
      one.slow = world.random.between(2, 15);
      return () => {
        one.slow = 1;
      };
    },
  },
  {
    name: 'clones fail',
    weight: 2,
    strike: (world) => {
      world.cloneFailures = 0.7;
      return () => {
        world.cloneFailures = 0;
      };
    },
  },
  {
    name: 'clones hang',
    weight: 2,
    strike: (world) => {
      world.clonesHang = true;
      return () => {
        world.clonesHang = false;
      };
    },
  },
  {
    name: 'slow network',
    weight: 4,
    strike: (world) => {
      world.network.delayMaxMs = world.random.between(5, 250);
      return () => {
        world.network.delayMaxMs = 1;
      };
    },
  },
  {
    name: 'planned failover',
    weight: 4,
    strike: once((world) => primary(world)?.hand({ type: 'commandFailover' })),
  },
  {
    name: 'stop',
    weight: 2,
    strike: once((world) => {
      switchOff(world, 'person');
    }),
  },
  {
    name: 'guest switches off',
    weight: 2,
    strike: once((world) => {
      switchOff(world, 'guest');
    }),
  },
  {
    name: 'protection off',
    weight: 1,
    strike: (world) => {
      const one = primary(world);
      if (one === null) return null;
      one.hand({ type: 'commandProtection', enabled: false });
      return () => {
        one.hand({ type: 'commandProtection', enabled: true });
      };
    },
  },
];

/** Whom a stop ends is not started again by itself: for what follows it counts as the loss of both sides. */
function switchOff(world: World, by: 'person' | 'guest'): void {
  const one = primary(world);
  if (one === null) return;
  world.judge.disturbed(2);
  one.switchOff(by);
}

/** Longest, of what follows. */
const STORM_MS = 1_600;

/** The answer to arm is lost, then the backup is cut off, and the store loses its keys: the worst that arming can meet. */
function armingStorm(world: World): void {
  const { random, schedule } = world;
  const hosts = [...new Set(world.alive.map((one) => one.host))];
  const answersCut = hosts.map((host) => world.network.cut(STORE_HOST, host));
  const [a, b] = hosts;
  const pairCut =
    a === undefined || b === undefined ? [] : [world.network.cut(a, b), world.network.cut(b, a)];
  const after = (atMs: number, heals: readonly Heal[]): void => {
    schedule.after(atMs, () => {
      for (const heal of heals) heal();
    });
  };
  const backupHost = world.alive.find((one) => one.status?.role === 'backup')?.host;
  answersCut.forEach((heal, i) => {
    after(hosts[i] === backupHost ? random.between(0, 200) : random.between(800, 1_500), [heal]);
  });
  after(random.between(600, 1_500), pairCut);
  if (!random.chance(0.7)) return;
  schedule.after(random.between(420, 900), () => {
    world.storeLosses += 1;
    world.store.flush();
  });
}

const AMBUSHED = [
  'cloning',
  'loading',
  'following',
  'catchingUp',
  'arming',
  'arming',
  'arming',
  'protected',
  'armed',
  'handingOver',
  'claiming',
  'goingLive',
  'alone',
] as const satisfies readonly Phase[];

const TOTAL = ROWS.reduce((sum, row) => sum + row.weight, 0);

/** Draws faults, lets each last a while, and can undo all that still last. */
export class Faults {
  readonly #world: World;
  #over = false;
  readonly #lasting = new Set<Heal>();

  constructor(world: World) {
    this.#world = world;
  }

  /** One fault now, or some that wait for a phase to be entered: that is where races are. */
  strike(): void {
    const { random } = this.#world;
    if (random.chance(0.75)) this.#strikeNow();
    else this.#ambush(random.pick(AMBUSHED), random.int(1, 2));
  }

  #ambush(phase: Phase, faults: number): void {
    const { random, schedule, ambushes } = this.#world;
    const storm = phase === 'arming' && random.chance(0.7);
    const spring = (): void => {
      if (this.#over) return;
      this.#world.count(`ambush at ${phase}${storm ? ', storm' : ''}`);
      this.#world.trace(`AMBUSH at ${phase}`);
      if (storm) {
        this.#world.judge.disturbed(2);
        this.#world.unquiet(STORM_MS);
      }
      if (storm) schedule.after(random.between(0, 4), () => armingStorm(this.#world));
      // While the question for the promise is on its way.
      if (phase === 'arming' && !storm && random.chance(0.5))
        schedule.after(random.between(0, 1), () => this.#strikeNow(RESET));
      if (phase === 'cloning') schedule.after(random.between(0, 15), () => this.#strikeNow(KILL_CLONE));
      for (let i = 0; !storm && i < faults; i += 1)
        schedule.after(random.between(0, 25), () => this.#strikeNow());
    };
    ambushes.add({ phase, spring });
  }

  #strikeNow(name?: string): void {
    if (this.#over) return;
    const { random, schedule } = this.#world;
    let at = random.between(0, TOTAL);
    const row =
      name === undefined
        ? (ROWS.find((candidate) => (at -= candidate.weight) < 0) ?? ROWS[0])
        : ROWS.find((candidate) => candidate.name === name);
    if (row === undefined) return;
    this.#world.count(`fault ${row.name}`);
    this.#world.trace(`FAULT ${row.name}`);
    this.#world.judge.disturbed(row.name === 'diverge, and kill primary' ? 2 : 1);
    this.#world.unquiet();
    const heal = row.strike(this.#world);
    if (heal === null) return;
    this.#lasting.add(heal);
    this.#world.lasting = this.#lasting.size;
    const lastsMs = random.chance(0.6) ? random.between(20, 500) : random.between(300, 2_000);
    schedule.after(lastsMs, () => {
      this.#heal(heal, row.name);
    });
  }

  healAll(): void {
    this.#over = true;
    for (const heal of [...this.#lasting]) this.#heal(heal, 'all');
  }

  #heal(heal: Heal, name: string): void {
    if (!this.#lasting.delete(heal)) return;
    this.#world.lasting = this.#lasting.size;
    this.#world.unquiet();
    this.#world.trace(`HEALED ${name}`);
    heal();
  }
}
