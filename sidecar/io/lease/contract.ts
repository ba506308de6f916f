// SPDX-License-Identifier: Apache-2.0
/**
 * What every lease store must answer, as one suite for the real Redis and for the simulator's store.
 * A store for the suite is one server's life with one VM; `restart` and `loseKeys` are the faults that it must have.
 */
import { expect } from 'chai';
import type { LeaseAnswer, LeaseRecord, LeaseRequest } from '../../protocol/lease/messages.js';
import type { LeaseStore } from './port.js';

export interface ContractStore {
  /** A client of its own, connected. The suite does not close it. */
  connect(): Promise<LeaseStore>;
  /** Every key is gone, the server lives on (FLUSHALL). */
  loseKeys(): Promise<void>;
  /** The server begins another life, with its data or empty. Clients come back by themselves. */
  restart(data: 'kept' | 'empty'): Promise<void>;
  close(): Promise<void>;
}

/** `durable`: answered writes survive a restart, and the store says so. */
export type MakeContractStore = (durable: boolean) => Promise<ContractStore>;

const P = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1';
const B = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2';
const C = 'ccccccccccccccccccccccccccccccc3';
const S = '5555555555555555555555555555aaaa';
const T = '5555555555555555555555555555bbbb';

/** A short word for an answer: `won`, or `refused missing`. */
export function wordOf(answer: LeaseAnswer): string {
  return 'reason' in answer ? `${answer.result} ${answer.reason}` : answer.result;
}

function arm(epoch: number, primary: string, backup: string, store = S): LeaseRequest {
  return { op: 'arm', store, run: '', epoch, primary, backup };
}

function claim(epoch: number, nonce: string, store = S): LeaseRequest {
  return { op: 'claim', store, epoch, nonce };
}

const REQUESTS = {
  'found P': { op: 'found', store: S, nonce: P },
  'found P, other id': { op: 'found', store: T, nonce: P },
  'found B': { op: 'found', store: T, nonce: B },
  'refound 1 P': { op: 'refound', expectEpoch: 1, nonce: P },
  'refound 1 C': { op: 'refound', expectEpoch: 1, nonce: C },
  'refound 2 C': { op: 'refound', expectEpoch: 2, nonce: C },
  'reopen T': { op: 'reopen', newStore: T },
  'reopen S': { op: 'reopen', newStore: S },
  'arm 2 P B': arm(2, P, B),
  'arm 2 P C': arm(2, P, C),
  'arm 2 B C': arm(2, B, C),
  'arm 3 P B': arm(3, P, B),
  'arm 3 P C': arm(3, P, C),
  'arm 3 B C': arm(3, B, C),
  'arm 5 B C': arm(5, B, C),
  'arm 2 P B in T': arm(2, P, B, T),
  'arm 3 P B in T': arm(3, P, B, T),
  'claim 1 P': claim(1, P),
  'claim 1 B': claim(1, B),
  'claim 2 P': claim(2, P),
  'claim 2 B': claim(2, B),
  'claim 2 C': claim(2, C),
  'claim 3 B': claim(3, B),
  'claim 3 C': claim(3, C),
  'claim 2 B in T': claim(2, B, T),
  'claim 3 B in T': claim(3, B, T),
  'claim 3 P in T': claim(3, P, T),
  peek: { op: 'peek' },
} as const satisfies Record<string, LeaseRequest>;

type RequestName = keyof typeof REQUESTS;
type Fault = 'keys lost' | 'restart, kept' | 'restart, empty';
type Step = readonly [RequestName, string] | Fault;

interface Row {
  readonly what: string;
  readonly durable?: boolean;
  readonly steps: readonly Step[];
}

const FOUNDED: readonly Step[] = [['found P', 'ok']];
const ARMED: readonly Step[] = [...FOUNDED, ['arm 2 P B', 'ok']];

const ROWS: readonly Row[] = [
  { what: 'nothing is there at first', steps: [['peek', 'missing']] },
  {
    what: 'nothing but found creates',
    steps: [
      ['refound 1 P', 'refused'],
      ['arm 2 P B', 'refused missing'],
      ['claim 2 P', 'unknown missing'],
      ['peek', 'missing'],
    ],
  },
  {
    what: 'found is for the first only, and may be repeated',
    steps: [
      ...FOUNDED,
      ['found P', 'ok'],
      ['found P, other id', 'ok'],
      ['found B', 'refused'],
      ['peek', 'present'],
    ],
  },
  {
    what: 'the founder is the winner of epoch 1',
    steps: [...FOUNDED, ['claim 1 P', 'won'], ['claim 1 B', 'unknown notNamed']],
  },
  {
    what: 'arm sets a pair once, and may be repeated',
    steps: [...ARMED, ['arm 2 P B', 'ok'], ['arm 2 P C', 'refused epochHigher'], ['found P', 'refused']],
  },
  {
    what: 'only the owner arms',
    steps: [...FOUNDED, ['arm 2 B C', 'refused notOwner'], ['arm 2 P B', 'ok']],
  },
  {
    what: 'arm is bound to the life of the store',
    steps: [...FOUNDED, ['arm 2 P B in T', 'refused foreignStore']],
  },
  {
    what: 'the backup wins, the primary loses, answers repeat',
    steps: [
      ...ARMED,
      ['claim 2 B', 'won'],
      ['claim 2 P', 'lost'],
      ['claim 2 B', 'won'],
      ['claim 2 P', 'lost'],
    ],
  },
  {
    what: 'the primary wins, the backup loses',
    steps: [...ARMED, ['claim 2 P', 'won'], ['claim 2 B', 'lost']],
  },
  {
    what: 'a stranger gets neither',
    steps: [...ARMED, ['claim 2 C', 'unknown notNamed'], ['claim 2 B', 'won']],
  },
  {
    what: 'arm repeated after the backup won is still armed',
    steps: [...ARMED, ['claim 2 B', 'won'], ['arm 2 P B', 'ok'], ['claim 2 P', 'lost']],
  },
  {
    what: 'a loser does not arm',
    steps: [...ARMED, ['claim 2 B', 'won'], ['arm 3 P C', 'refused notOwner']],
  },
  {
    what: 'the winner arms the next epoch; the loser of the last one has lost for ever',
    steps: [
      ...ARMED,
      ['claim 2 B', 'won'],
      ['arm 3 B C', 'ok'],
      ['claim 2 P', 'lost'],
      ['claim 2 B', 'unknown epochHigher'],
      ['claim 3 C', 'won'],
      ['claim 3 B', 'lost'],
    ],
  },
  {
    what: 'the old primary drops its backup and arms another',
    steps: [...ARMED, ['claim 2 P', 'won'], ['arm 3 P C', 'ok'], ['claim 2 B', 'lost']],
  },
  {
    what: 'an old arm comes too late',
    steps: [...ARMED, ['claim 2 B', 'won'], ['arm 3 B C', 'ok'], ['arm 2 P B', 'refused epochHigher']],
  },
  {
    what: 'a claim ahead of its arm is not known',
    steps: [...FOUNDED, ['claim 2 P', 'unknown epochLower'], ['claim 2 B', 'unknown epochLower']],
  },
  {
    what: 'a claim in another life of the store is not known',
    steps: [...ARMED, ['claim 2 B in T', 'unknown foreignStore']],
  },
  {
    what: 'a pair may be armed again before anybody claims',
    steps: [
      ...ARMED,
      ['arm 3 P B', 'ok'],
      ['claim 2 B', 'unknown epochHigher'],
      ['claim 3 B', 'won'],
      ['claim 2 P', 'unknown epochHigher'],
    ],
  },
  {
    what: 'an owner far ahead of a record that was rolled back may arm',
    steps: [...FOUNDED, ['arm 5 B C', 'ok']],
  },
  {
    what: 'cold restart',
    steps: [
      ...FOUNDED,
      ['refound 2 C', 'refused'],
      ['refound 1 C', 'ok'],
      ['refound 1 C', 'ok'],
      ['refound 1 P', 'refused'],
      ['claim 2 C', 'won'],
      ['claim 1 P', 'lost'],
    ],
  },
  {
    what: 'cold restart of a pair: both old sides have lost',
    steps: [
      ...ARMED,
      ['refound 2 C', 'ok'],
      ['claim 2 P', 'lost'],
      ['claim 2 B', 'lost'],
      ['claim 3 C', 'won'],
    ],
  },

  {
    what: 'lost keys are unknown to both, and stay so',
    steps: [
      ...ARMED,
      'keys lost',
      ['claim 2 B', 'unknown missing'],
      ['claim 2 P', 'unknown missing'],
      ['arm 3 P B', 'refused missing'],
    ],
  },
  {
    what: 'lost keys: the owner opens the store again, under a new id and for nobody, and arms in it',
    steps: [
      ...ARMED,
      'keys lost',
      ['reopen T', 'ok'],
      ['reopen T', 'refused'],
      ['reopen S', 'refused'],
      ['peek', 'present'],
      ['claim 2 B', 'unknown foreignStore'],
      ['claim 2 B in T', 'unknown epochLower'],
      ['arm 3 P B', 'refused foreignStore'],
      ['arm 3 P B in T', 'ok'],
      ['reopen T', 'refused'],
      ['claim 2 B', 'unknown foreignStore'],
      ['claim 3 B in T', 'won'],
      ['claim 3 P in T', 'lost'],
    ],
  },
  {
    what: 'what is there is not opened again',
    steps: [...ARMED, ['reopen T', 'refused'], ['claim 2 B', 'won']],
  },
  {
    what: 'a durable store goes on after its restart',
    durable: true,
    steps: [...ARMED, 'restart, kept', ['claim 2 B', 'won'], ['claim 2 P', 'lost']],
  },
  {
    what: 'a durable store keeps the winner',
    durable: true,
    steps: [...ARMED, ['claim 2 P', 'won'], 'restart, kept', ['claim 2 B', 'lost'], ['claim 2 P', 'won']],
  },
  {
    what: 'an arm made before the restart of a store that is not durable is refused, unless it was carried out',
    steps: [
      ...ARMED,
      'restart, kept',
      ['arm 2 P B', 'ok'],
      ['arm 3 P B', 'refused run'],
      ['peek', 'present'],
      ['arm 3 P B', 'ok'],
    ],
  },
  {
    what: 'an arm made before the restart of a durable store is taken',
    durable: true,
    steps: [...ARMED, 'restart, kept', ['arm 3 P B', 'ok'], ['claim 3 B', 'won']],
  },
  {
    what: 'a store that is not durable is not believed after its restart, until armed again',
    steps: [
      ...ARMED,
      'restart, kept',
      ['claim 2 B', 'unknown run'],
      ['claim 2 P', 'unknown run'],
      ['peek', 'present'],
      ['arm 3 P B', 'ok'],
      ['claim 3 B', 'won'],
    ],
  },
  {
    what: 'an empty restart is unknown to both',
    durable: true,
    steps: [...ARMED, 'restart, empty', ['claim 2 B', 'unknown missing'], ['claim 2 P', 'unknown missing']],
  },
];

/** One client, and the life of the server that it last saw: an `arm` names it. */
class Owner {
  #run: string | null = null;

  constructor(readonly lease: LeaseStore) {}

  async ask(request: LeaseRequest): Promise<LeaseAnswer> {
    if (request.op !== 'arm') return this.#look(await this.lease.ask(request));
    if (this.#run === null) this.#look(await this.lease.ask(REQUESTS.peek));
    return this.lease.ask({ ...request, run: this.#run ?? 'none seen' });
  }

  #look(answer: LeaseAnswer): LeaseAnswer {
    if (answer.op === 'peek' && answer.result === 'present') this.#run = answer.record.run;
    return answer;
  }
}

async function take(step: Step, store: ContractStore, owner: Owner): Promise<void> {
  if (step === 'keys lost') return store.loseKeys();
  if (step === 'restart, kept') return store.restart('kept');
  if (step === 'restart, empty') return store.restart('empty');
  const [name, expected] = step;
  expect(wordOf(await owner.ask(REQUESTS[name])), name).to.equal(expected);
}

function recordOf(answer: LeaseAnswer): LeaseRecord {
  if (answer.op === 'peek' && answer.result === 'present') return answer.record;
  throw new Error(`no record: ${wordOf(answer)}`);
}

async function withStore(
  make: MakeContractStore,
  durable: boolean,
  use: (store: ContractStore) => Promise<void>,
) {
  const store = await make(durable);
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

/** Registers the suite with mocha. */
export function leaseContract(name: string, make: MakeContractStore): void {
  describe(`lease contract: ${name}`, () => {
    for (const row of ROWS) {
      it(row.what, () =>
        withStore(make, row.durable ?? false, async (store) => {
          const owner = new Owner(await store.connect());
          for (const step of row.steps) await take(step, store, owner);
        }),
      );
    }

    it('of two who claim at once exactly one wins', () =>
      withStore(make, false, async (store) => {
        const sides = [new Owner(await store.connect()), new Owner(await store.connect())] as const;
        await sides[0].ask(REQUESTS['found P']);
        let owner = P;
        for (let epoch = 2; epoch < 22; epoch += 1) {
          const [primary, backup] = owner === P ? [P, B] : [B, P];
          expect(wordOf(await sides[0].ask(arm(epoch, primary, backup)))).to.equal('ok');
          const answers = await Promise.all([sides[0].ask(claim(epoch, P)), sides[1].ask(claim(epoch, B))]);
          expect(answers.map(wordOf).sort()).to.deep.equal(['lost', 'won']);
          owner = wordOf(answers[0]) === 'won' ? P : B;
        }
      }));

    it('answers with what is stored', () =>
      withStore(make, false, async (store) => {
        const lease = new Owner(await store.connect());
        const founded = await lease.ask(REQUESTS['found P']);
        expect(founded).to.deep.equal({ op: 'found', result: 'ok', store: S, epoch: 1 });
        await lease.ask(REQUESTS['arm 2 P B']);
        await lease.ask(REQUESTS['claim 2 B']);
        const record = { store: S, epoch: 2, primary: P, backup: B, winner: B, claimable: true };
        const before = recordOf(await lease.ask(REQUESTS.peek));
        expect(before).to.deep.equal({ ...record, run: before.run });
        await store.restart('kept');
        const after = recordOf(await lease.ask(REQUESTS.peek));
        expect(after).to.deep.equal({ ...record, claimable: false, run: after.run });
        expect(after.run).not.to.equal(before.run);
      }));
  });
}
