// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { endSide, type Ending, type EndingSteps } from './ending.js';

const ENDING: Ending = { reason: 'leaseLost', detail: 'lost', onPurpose: false, hadBegun: true };
const TIME_MS = 20;

/** What happened, in order; resolves when the side is over. */
async function ended(steps: Partial<EndingSteps>): Promise<string[]> {
  const told: string[] = [];
  await new Promise<void>((resolve) => {
    endSide(
      ENDING,
      { kill: () => told.push('kill'), shutdown: () => Promise.resolve(), ...steps },
      {
        onEnding: ({ reason }) => told.push(`ending ${reason}`),
        onEnd: (_ending, failed) => {
          told.push(failed ? 'over, failed' : 'over');
          resolve();
        },
      },
      TIME_MS,
    );
  });
  return told;
}

describe('the end of a side', () => {
  it('kills QEMU first, tells, closes, and is over', async () => {
    expect(await ended({})).to.deep.equal(['kill', 'ending leaseLost', 'over']);
  });

  it('is over when its time is, whatever does not close', async () => {
    const shutdown = (): Promise<void> => new Promise(() => undefined);
    expect(await ended({ shutdown })).to.deep.equal(['kill', 'ending leaseLost', 'over']);
  });

  it('has failed when QEMU cannot be told, or something cannot be closed; it is told of all the same', async () => {
    const fail = (): never => {
      throw new Error('no');
    };
    expect(await ended({ kill: fail })).to.deep.equal(['ending leaseLost', 'over, failed']);
    const shutdown = (): Promise<void> => Promise.reject(new Error('no'));
    expect(await ended({ shutdown })).to.deep.equal(['kill', 'ending leaseLost', 'over, failed']);
  });
});
