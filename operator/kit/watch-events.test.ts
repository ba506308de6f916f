// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { rejection } from './test/rejection.js';
import { watchEvents, type WatchEvent } from './watch-events.js';

async function* pieces(text: string, ends: readonly number[]): AsyncGenerator<string> {
  const cuts = [0, ...ends.map((end) => end % (text.length + 1)).sort((a, b) => a - b), text.length];
  for (let i = 1; i < cuts.length; i++) yield await Promise.resolve(text.slice(cuts[i - 1], cuts[i]));
}

async function read(text: string, ends: readonly number[] = []): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  for await (const event of watchEvents(pieces(text, ends), '/x')) events.push(event);
  return events;
}

const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

describe('watchEvents', function () {
  this.timeout(60_000);

  it('gives all whole events and no other, in whatever pieces they come and wherever they are cut', async () => {
    const event = fc.record({
      type: fc.constantFrom('ADDED' as const, 'MODIFIED' as const, 'DELETED' as const, 'BOOKMARK' as const),
      object: fc.record({ text: fc.string({ unit: 'binary' }) }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event), fc.array(fc.nat()), fc.nat(), async (events, ends, cut) => {
        const lines = events.map(({ type, object }) => line(type, object));
        const whole = lines.join('');
        const kept = whole.slice(0, cut % (whole.length + 1));
        const count = kept.split('\n').length - 1;
        const wire = (all: readonly WatchEvent[]): unknown => JSON.parse(JSON.stringify(all));
        expect(await read(kept, ends)).to.deep.equal(wire(events.slice(0, count)));
      }),
    );
  });

  it('an ERROR is what the server says of the end', async () => {
    const gone = line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' });
    expect((await rejection(read(gone), 'Gone')).message).to.include('too old');
    const busy = { kind: 'Status', code: 429, message: 'busy', details: { retryAfterSeconds: 3 } };
    expect((await rejection(read(line('ERROR', busy)), 'TooMany')).retryAfterMs).to.equal(3_000);
    await rejection(read(line('ERROR', null)), 'Unavailable');
  });

  it('what is no event is an error, not left out', async () => {
    await rejection(read('<html>\n'), 'Malformed');
    await rejection(read('null\n'), 'Malformed');
    await rejection(read(line('RENAMED', {})), 'Malformed');
    await rejection(read('x'.repeat(17 * 1024 * 1024)), 'Malformed');
  });
});
