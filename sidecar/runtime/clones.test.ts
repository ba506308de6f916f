// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { setImmediate as turn } from 'node:timers/promises';
import type { Qmp } from '../io/qmp/client.js';
import type { ProtocolEvent } from '../protocol/events.js';
import { Clones, type ClonesOptions } from './clones.js';

/** QEMU is asked for nothing here: each clone ends before. */
const qmp = {
  execute: () => Promise.reject(new Error('QEMU was asked')),
} as unknown as Qmp;

interface Made {
  readonly clones: Clones;
  readonly events: ProtocolEvent[];
}

function clonesWith(links: Partial<ClonesOptions['links']>, more: Partial<ClonesOptions> = {}): Made {
  const events: ProtocolEvent[] = [];
  const unused = (): never => {
    throw new Error('not to be called');
  };
  const clones = new Clones({
    qmp,
    links: { cloneFrom: unused, cloneTo: unused, ...links },
    socketPath: '/nonexistent/clone.sock',
    post: (event) => events.push(event),
    onSent: unused,
    onMigrationOver: unused,
    ...more,
  });
  return { clones, events };
}

describe('clones', () => {
  it('that are given up while the connection for them is opened end in order', async () => {
    const stream = new PassThrough();
    let opened: (stream: TLSSocket) => void = () => undefined;
    const { clones, events } = clonesWith({
      cloneTo: () =>
        new Promise((resolve) => {
          opened = resolve;
        }),
    });
    clones.receive();
    clones.shutdown();
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note); // it would end a sidecar
    await turn();
    process.off('unhandledRejection', note);
    expect(unhandled).to.deep.equal([]);
    opened(stream as unknown as TLSSocket);
    await turn();
    expect(events.map(({ type }) => type)).to.deep.equal(['loadFailed']);
    expect(stream.destroyed).to.equal(true);
  });

  it('tell the wait for the connection that they are given up', async () => {
    const { clones, events } = clonesWith({
      cloneFrom: (_link, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('given up'));
          });
        }),
    });
    clones.send(1, 7);
    await turn();
    clones.abort(1);
    expect(clones.isSending).to.equal(true);
    await turn();
    expect(clones.isSending).to.equal(false);
    expect(events).to.deep.equal([{ type: 'cloneFailed', attempt: 1, detail: 'given up' }]);
  });

  it('whose migration came to its point late tell it as their own, before the next one begins', async () => {
    const { clones, events } = clonesWith(
      { cloneFrom: () => Promise.resolve(new PassThrough() as unknown as TLSSocket) },
      {
        onMigrationOver: () => {
          expect(clones.isSending).to.equal(true);
          clones.point(500, 3);
        },
      },
    );
    clones.send(1, 7);
    clones.abort(1);
    clones.send(2, 8);
    while (clones.isSending) await turn();
    const told = events.map((event) =>
      'attempt' in event ? `${event.type} ${String(event.attempt)}` : event.type,
    );
    expect(told).to.deep.equal(['cloneFailed 1', 'clonePoint 2', 'cloneFailed 2']);
  });
});
