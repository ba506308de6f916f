// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LeaderElection, type ElectionEvent, type ElectionOptions } from './election.js';
import { ElectionLimitsError } from './election-limits.js';
import { LEASES, type Lease } from './lease.js';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { FakeTime } from './test/fake-time.js';
import { until } from './test/until.js';

const LEASE = { namespace: 'system', name: 'operator' };

/** One process with a clock of its own: to let it stand still is not to advance it. */
class Candidate {
  readonly time = new FakeTime();
  readonly log: string[] = [];
  readonly events: ElectionEvent[] = [];
  readonly api: RestApi;
  readonly election: LeaderElection;
  ending: Promise<void> = Promise.resolve();

  constructor(name: string, server: FakeApi, options: Partial<ElectionOptions> = {}) {
    this.api = new RestApi(server.kubeConfig());
    this.election = new LeaderElection({
      api: this.api,
      lease: LEASE,
      identity: name,
      time: this.time,
      wallClock: () => new Date(Date.UTC(2030, 0, 1) + this.time.now()),
      random: () => 0,
      won: () => this.log.push('won'),
      lost: (reason) => {
        this.log.push(`lost ${reason}, holds: ${this.election.holds()}`);
        return this.ending;
      },
      observe: (event) => this.events.push(event),
      ...options,
    });
    this.election.start();
  }
}

describe('LeaderElection', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let candidates: Candidate[];

  const candidate = (name: string, options: Partial<ElectionOptions> = {}): Candidate => {
    const made = new Candidate(name, server, options);
    candidates.push(made);
    return made;
  };
  const leader = async (name: string): Promise<Candidate> => {
    const made = candidate(name);
    await until(`${name} leads`, () => made.election.holds());
    return made;
  };
  const follower = async (name: string): Promise<Candidate> => {
    const made = candidate(name);
    await until(`${name} follows`, () => made.events.some(({ type }) => type === 'following'));
    return made;
  };
  const lease = (): Lease => server.find<Lease>(LEASES, LEASE) ?? expect.fail('no lease');
  const holder = (): string => lease().spec?.holderIdentity ?? '';
  const writes = (): number => server.requests.filter(({ method }) => method === 'PUT').length;
  /** Its time goes on, and what it asks is answered. */
  const live = async (who: Candidate, ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      await who.time.advance(Math.min(500, left));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };

  beforeEach(async () => {
    server = await FakeApi.start();
    candidates = [];
  });

  afterEach(async () => {
    for (const one of candidates) {
      await one.election.stop();
      expect(one.time.pending, 'timers left').to.equal(0);
      one.api.close();
    }
    await server.close();
  });

  it('the first one leads, and writes what people and programs read', async () => {
    const a = await leader('a');
    expect(a.log).to.deep.equal(['won']);
    expect(lease().spec).to.deep.equal({
      holderIdentity: 'a',
      leaseDurationSeconds: 21,
      acquireTime: '2030-01-01T00:00:01.000000Z',
      renewTime: '2030-01-01T00:00:01.000000Z',
      leaseTransitions: 0,
    });
  });

  it('renews with one call each, and stays', async () => {
    const a = await leader('a');
    const before = server.requests.length;
    await live(a, 60_000);
    expect(a.election.holds()).to.equal(true);
    expect(a.log).to.deep.equal(['won']);
    const calls = server.requests.slice(before).map(({ method }) => method);
    expect(calls.length).to.be.within(25, 31);
    expect(new Set(calls)).to.deep.equal(new Set(['PUT']));
    expect(lease().spec?.leaseTransitions).to.equal(0);
  });

  it('another follows, and leads soon after the first one was stopped', async () => {
    const a = await leader('a');
    const b = await follower('b');
    await a.election.stop();
    expect(a.log).to.deep.equal(['won', 'lost stopped, holds: false']);
    expect(holder()).to.equal('');
    await live(b, 3_000);
    expect(b.election.holds()).to.equal(true);
    expect(lease().spec?.leaseTransitions).to.equal(1);
  });

  it('the lease is given back only when what ran has ended', async () => {
    const a = await leader('a');
    let end = (): void => undefined;
    a.ending = new Promise((resolve) => (end = resolve));
    const stopped = a.election.stop();
    await live(a, 2_000);
    expect(holder()).to.equal('a');
    end();
    await stopped;
    expect(holder()).to.equal('');
  });

  it('a leader that nobody answers gives up in time, and leads again later', async () => {
    const a = await leader('a');
    await live(a, 4_000);
    const mend = server.fail({ when: () => true, with: { status: 503 } });
    await live(a, 7_000);
    expect(a.election.holds(), 'some calls are lost').to.equal(true);
    await live(a, 3_100);
    expect(a.log).to.deep.equal(['won', 'lost expired, holds: false']);
    expect(a.election.holds()).to.equal(false);
    mend();
    await live(a, 3_000);
    expect(a.log.slice(2)).to.deep.equal(['won']);
  });

  it('a call that is never answered costs no more than its time-out', async () => {
    const a = await leader('a');
    server.fail({ when: ({ method }) => method === 'PUT', times: 1, with: 'hang' });
    await live(a, 9_000);
    expect(a.log).to.deep.equal(['won']);
    expect(writes()).to.be.greaterThan(1);
  });

  it('two that stand still in turn never both lead', async () => {
    const a = await leader('a');
    const b = await follower('b');
    // a stands still: b waits until a's time must be over, then leads.
    await live(b, 20_000);
    expect(b.election.holds()).to.equal(false);
    await live(b, 4_000);
    expect(b.election.holds()).to.equal(true);
    // a wakes up: before any of its callbacks has run, it knows.
    a.time.jump(24_000);
    expect(a.election.holds()).to.equal(false);
    await live(a, 3_000);
    expect(a.log).to.deep.equal(['won', 'lost expired, holds: false']);
    // Now b stands still.
    await live(a, 22_000);
    expect(a.election.holds()).to.equal(true);
    b.time.jump(25_000);
    expect(b.election.holds()).to.equal(false);
    await live(b, 1_000);
    expect(b.log.at(-1)).to.equal('lost expired, holds: false');
    expect(holder()).to.equal('a');
  });

  it('a leader whose lease somebody else has taken over by hand ends at its next renewal', async () => {
    const a = await leader('a');
    server.put(LEASES, { metadata: LEASE, spec: { holderIdentity: 'person', leaseDurationSeconds: 15 } });
    await live(a, 2_500);
    expect(a.log).to.deep.equal(['won', 'lost taken, holds: false']);
    await live(a, 18_000);
    expect(a.log.slice(2)).to.deep.equal(['won']);
  });

  it('a lease that was labelled, or deleted, is claimed again at once by its holder', async () => {
    const a = await leader('a');
    server.put(LEASES, { ...lease(), metadata: { ...LEASE, labels: { seen: 'yes' } } });
    await live(a, 2_500);
    expect(lease().metadata.labels).to.deep.equal({ seen: 'yes' });
    server.remove(LEASES, LEASE);
    await live(a, 2_500);
    expect(holder()).to.equal('a');
    expect(a.log).to.deep.equal(['won']);
  });

  it('of many that begin together one leads', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) candidate(name);
    await until('all have looked', () =>
      candidates.every(({ events, election }) => election.holds() || events.length > 0),
    );
    for (const one of candidates) await live(one, 2_500);
    expect(candidates.filter(({ election }) => election.holds())).to.have.length(1);
  });

  it('what goes wrong in `lost` is told, and ends nothing', async () => {
    const failure = new Error('drain failed');
    const a = candidate('a', { lost: () => Promise.reject(failure) });
    await until('a leads', () => a.election.holds());
    server.put(LEASES, { metadata: LEASE, spec: { holderIdentity: '' } });
    await live(a, 3_000);
    expect(a.events).to.deep.include({ type: 'failed', error: failure });
    expect(a.election.holds()).to.equal(true);
  });

  it('can be stopped before it ever led, and while nobody answers', async () => {
    await server.stop();
    const a = candidate('a');
    await until('a failure', () => a.events.length > 0);
    await a.election.stop();
    expect(a.log).to.deep.equal([]);
  });

  it('refuses limits that cannot work', () => {
    expect(() => candidate('a', { limits: { renewDeadlineMs: 15_000 } })).to.throw(ElectionLimitsError);
  });
});
