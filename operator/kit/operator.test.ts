// SPDX-License-Identifier: Apache-2.0
// All parts of the kit together: two operators, of which at most one may act, whatever happens.
import { expect } from 'chai';
import fc from 'fast-check';
import { keyOf } from './object.js';
import { FakeApi, type Fault } from './test/fake-api.js';
import { FakeOperator, ownersOf, type OperatorFlaws } from './test/fake-operator.js';
import { FakeTime } from './test/fake-time.js';
import type { FakeWatch } from './test/fake-watch.js';
import { CONFIG_MAPS, WIDGETS, widget, type ConfigMap } from './test/resources.js';
import { until } from './test/until.js';

const RUNS = 25;
const NAMES = ['a', 'b', 'c'] as const;
const STEP_MS = 200;

/** A server, its operators, and who sees to it that no widget ever has two maps. */
class World {
  readonly time = new FakeTime();
  readonly operators: FakeOperator[] = [];
  readonly doubles: string[] = [];
  #born = 0;

  private constructor(
    readonly server: FakeApi,
    private readonly flaws: OperatorFlaws,
  ) {
    server.store.history.onChange(({ table }) => {
      if (table !== 'api/v1/configmaps') return;
      const owners = this.maps().flatMap(ownersOf);
      this.doubles.push(...owners.filter((owner, i) => owners.indexOf(owner) !== i));
    });
  }

  static async make(flaws: OperatorFlaws = {}): Promise<World> {
    return new World(await FakeApi.start(), flaws);
  }

  maps(): ReturnType<typeof this.server.list<ConfigMap>> {
    return this.server.list<ConfigMap>(CONFIG_MAPS);
  }

  /** Another process; with the watches that it opened. */
  async begin(): Promise<{ operator: FakeOperator; watches: readonly FakeWatch[] }> {
    const before = new Set(this.server.watches);
    const operator = this.another();
    this.operators.push(operator);
    const opened = (): readonly FakeWatch[] => this.server.watches.filter((watch) => !before.has(watch));
    await until('its watches are open', () => opened().length >= 2, this.time, 10);
    return { operator, watches: opened() };
  }

  another(): FakeOperator {
    return new FakeOperator(`operator-${++this.#born}`, this.server, this.time, this.flaws);
  }

  async leads(operator: FakeOperator): Promise<void> {
    await until('it leads', () => operator.election.holds(), this.time, STEP_MS);
  }

  /** Time goes on, and what is asked is answered. */
  async live(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.time.advance(Math.min(left, STEP_MS));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  isAsWanted(): boolean {
    const wanted = this.server.list(WIDGETS).map(keyOf).sort();
    return wanted.join() === this.maps().flatMap(ownersOf).sort().join();
  }

  async close(): Promise<void> {
    await Promise.all(this.operators.map((operator) => operator.stop()));
    await this.server.close();
    expect(this.operators.flatMap(({ errors }) => errors)).to.deep.equal([]);
    expect(this.time.pending, 'timers left').to.equal(0);
  }
}

describe('an operator made of the kit', function () {
  this.timeout(300_000);
  let world: World;

  afterEach(() => world.close());

  /** Runs the same story with a sound operator and with one that has the flaw; gives how many maps each made. */
  const both = async (flaws: OperatorFlaws, story: () => Promise<void>): Promise<[number, number]> => {
    const counts: number[] = [];
    for (const kind of [{}, flaws]) {
      world = await World.make(kind);
      await story();
      await world.live(2_000);
      counts.push(world.maps().length);
      if (counts.length === 1) await world.close();
    }
    return [counts[0] ?? 0, counts[1] ?? 0];
  };
  const put = (size = 1): unknown => world.server.put(WIDGETS, widget('a', size));
  const isMade = (): Promise<void> => until('a map is made', () => world.maps().length > 0, world.time, 20);

  it('whose cache is stale does not decide twice; without expectations it would', async () => {
    const counts = await both({ forgetsOwnWrites: true }, async () => {
      const { operator } = await world.begin();
      await world.leads(operator);
      await world.live(1_000);
      holdMaps(world.server.watches);
      put();
      await isMade();
      put(2);
      await world.live(20_000);
    });
    expect(counts).to.deep.equal([1, 2]);
  });

  it('that takes over does not trust its cache; if it did it would make another', async () => {
    const counts = await both({ leadsOnOldCache: true }, async () => {
      const first = await world.begin();
      await world.leads(first.operator);
      const second = await world.begin();
      holdMaps(second.watches);
      put();
      await isMade();
      await first.operator.stop();
      await world.leads(second.operator);
    });
    expect(counts).to.deep.equal([1, 2]);
  });

  it('that wakes up as one that led writes nothing; unfenced it would', async () => {
    const counts = await both({ writesUnfenced: true }, async () => {
      const first = await world.begin();
      await world.leads(first.operator);
      await world.live(1_000);
      const { watches } = world.server;
      const second = await world.begin();
      holdMaps(watches);
      first.operator.process.pause();
      put();
      await world.leads(second.operator);
      await isMade();
      await first.operator.process.resume('answers');
    });
    expect(counts).to.deep.equal([1, 2]);
  });

  type Step =
    | { readonly act: 'put' | 'remove'; readonly name: (typeof NAMES)[number] }
    | {
        readonly act: 'pause' | 'resume' | 'kill';
        readonly which: number;
        readonly first: 'timers' | 'answers';
      }
    | { readonly act: 'cut' | 'hold' | 'release' | 'compact' | 'restart' }
    | { readonly act: 'fail'; readonly method: string; readonly fault: Fault }
    | { readonly act: 'live'; readonly ms: number };
  const fault = fc.oneof(
    fc.constantFrom<Fault>(
      { status: 500 },
      { status: 429, retryAfterS: 1 },
      { status: 409, reason: 'Conflict' },
      'drop',
    ),
    fc.integer({ min: 1, max: 300 }).map((cutAfterBytes): Fault => ({ cutAfterBytes })),
  );
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ act: fc.constantFrom('put' as const, 'remove' as const), name: fc.constantFrom(...NAMES) }),
    fc.record({
      act: fc.constantFrom('pause' as const, 'resume' as const, 'kill' as const),
      which: fc.nat(1),
      first: fc.constantFrom('timers' as const, 'answers' as const),
    }),
    fc.record({
      act: fc.constantFrom(
        'cut' as const,
        'hold' as const,
        'release' as const,
        'compact' as const,
        'restart' as const,
      ),
    }),
    fc.record({
      act: fc.constant('fail' as const),
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      fault,
    }),
    fc.record({ act: fc.constant('live' as const), ms: fc.integer({ min: STEP_MS, max: 20_000 }) }),
  );

  const take = async (it: Step): Promise<void> => {
    const { server } = world;
    const operator = world.operators['which' in it ? it.which : 0];
    if (it.act === 'put') server.put(WIDGETS, widget(it.name));
    else if (it.act === 'remove') {
      const ref = { namespace: 'default', name: it.name };
      if (server.find(WIDGETS, ref) !== undefined) server.remove(WIDGETS, ref);
    } else if (it.act === 'live') await world.live(it.ms);
    else if (it.act === 'fail')
      server.fail({ when: ({ method }) => method === it.method, times: 1, with: it.fault });
    else if (it.act === 'cut') server.cutWatches();
    else if (it.act === 'hold') server.holdWatches();
    else if (it.act === 'release') server.releaseWatches();
    else if (it.act === 'compact') server.compact();
    else if (it.act === 'restart') await server.restart();
    else if (it.act === 'pause') operator?.process.pause();
    else if (it.act === 'resume') await operator?.process.resume(it.first);
    else if ('which' in it) {
      await operator?.kill();
      world.operators.splice(it.which, 1, world.another());
    }
  };

  it(`never makes two of what shall be one, and comes to the state that is wanted (${RUNS} histories)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        world = await World.make();
        world.operators.push(world.another(), world.another());
        try {
          for (const it of steps) {
            await take(it);
            await world.live(STEP_MS);
          }
          world.server.releaseWatches();
          for (const { process } of world.operators) await process.resume();
          await until('all is as wanted', () => world.isAsWanted(), world.time, STEP_MS);
          expect(world.doubles).to.deep.equal([]);
        } finally {
          await world.close();
        }
      }),
      { numRuns: RUNS },
    );
    world = await World.make();
  });
});

/** Of an operator's watches, that of the ConfigMaps tells nothing any more. */
function holdMaps(watches: readonly FakeWatch[]): void {
  for (const watch of watches) if (watch.table.endsWith('/configmaps')) watch.hold();
}
