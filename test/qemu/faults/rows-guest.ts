// SPDX-License-Identifier: Apache-2.0
// A guest that starts anew. The client begins anew with it: what a guest has in memory does not outlive its own reset.
import { orderGuest } from '../support/guest.js';
import type { Row } from './row.js';
import type { Stage } from './stage.js';

async function resets(stage: Stage): Promise<string> {
  const { primary, backup, epoch } = await stage.protected();
  await stage.startsAnew([primary, backup], () => orderGuest(stage.pair.pair.layout, 'reset'));
  const status = await stage.owns(primary, ({ phase }) => phase === 'protected');
  const after = status.hosts.find(({ name }) => name === backup.host.name);
  if (status.epoch !== epoch || after?.nonce !== backup.nonce) {
    throw new Error(`another pair after the reset: epoch ${status.epoch ?? '?'}, before it ${epoch}`);
  }
  await stage.serves();
  return 'up again on both sides';
}

async function resetsAndDies(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.startsAnew([backup], async () => {
    await orderGuest(stage.pair.pair.layout, 'reset');
    await stage.pair.kill(primary.host);
  });
  await stage.alone(backup);
  await stage.serves();
  return `up again on host ${backup.host.name}`;
}

export const GUEST_ROWS: readonly Row[] = [
  {
    fault: 'the guest resets itself',
    state: 'I',
    outcome: 'it starts anew on both sides, which stay protected in the same epoch',
    moves: 0,
    quick: true,
    play: resets,
  },
  {
    fault: 'the guest resets itself, primary killed just after',
    state: 'I',
    outcome: 'the backup is live, and the guest starts anew there',
    moves: 1,
    play: resetsAndDies,
  },
];
