// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { ChannelError } from '../io/channel/errors.js';
import { CloneError } from '../io/clone.js';
import { CloneDesk } from './clone-desk.js';

const PEER = 'b'.repeat(32);
const OTHER = 'c'.repeat(32);
const FAR_MS = 60_000;
const SOON_MS = 10;
const never = new AbortController().signal;

const desk = (limits = {}): CloneDesk<PassThrough> =>
  new CloneDesk({ arriveMsMax: FAR_MS, untakenMsMax: FAR_MS, ...limits });

describe('clone connections', () => {
  it('may come before or after they are asked for, and are of one peer', async () => {
    const clones = desk();
    const [early, late, foreign] = [new PassThrough(), new PassThrough(), new PassThrough()];
    clones.put(OTHER, foreign);
    clones.put(PEER, early);
    expect(await clones.take(PEER, never)).to.equal(early);
    const asked = clones.take(PEER, never);
    clones.put(PEER, late);
    expect(await asked).to.equal(late);
    clones.close();
    expect([early, late, foreign].map((socket) => socket.destroyed)).to.deep.equal([false, false, true]);
  });

  it('that come again replace the first', async () => {
    const clones = desk();
    const [first, second] = [new PassThrough(), new PassThrough()];
    clones.put(PEER, first);
    clones.put(PEER, second);
    expect(first.destroyed).to.equal(true);
    await once(first, 'close');
    expect(await clones.take(PEER, never)).to.equal(second);
  });

  it('that nobody takes do not stay', async () => {
    const clones = desk({ untakenMsMax: SOON_MS });
    const [untaken, taken] = [new PassThrough(), new PassThrough()];
    clones.put(OTHER, taken);
    expect(await clones.take(OTHER, never)).to.equal(taken);
    clones.put(PEER, untaken);
    await once(untaken, 'close');
    expect(taken.destroyed).to.equal(false);
  });

  it('that end before they are taken are forgotten', async () => {
    const clones = desk();
    const [gone, next] = [new PassThrough(), new PassThrough()];
    clones.put(PEER, gone);
    gone.destroy();
    await once(gone, 'close');
    const asked = clones.take(PEER, never);
    clones.put(PEER, next);
    expect(await asked).to.equal(next);
  });

  it('that do not come are not waited for longer than due', async () => {
    const error = await desk({ arriveMsMax: SOON_MS })
      .take(PEER, never)
      .catch((caught: unknown) => caught);
    expect((error as ChannelError).code).to.equal('CHANNEL_TIMEOUT');
  });

  it('are not waited for when the clone was given up', async () => {
    const clones = desk();
    const abort = new AbortController();
    const asked = clones.take(PEER, abort.signal);
    abort.abort();
    expect(await asked.catch((caught: unknown) => caught)).to.be.instanceOf(CloneError);
    expect(await clones.take(PEER, abort.signal).catch((caught: unknown) => caught)).to.be.instanceOf(
      CloneError,
    );
    const late = new PassThrough();
    clones.put(PEER, late); // for the next one who asks
    expect(await clones.take(PEER, never)).to.equal(late);
  });
});
