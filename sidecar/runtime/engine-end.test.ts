// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineEnd } from './engine-end.js';

const RESET = new Error('read ECONNRESET');
const CLOSED = new Error('QEMU has closed the connection');
const WAIT_MS = 20;

function ending(waitMs = 60_000, staysMs = 60_000): { readonly end: EngineEnd; readonly told: string[] } {
  const told: string[] = [];
  const end = new EngineEnd(
    {
      exited: () => told.push('exited'),
      failed: (error) => told.push(error.message),
    },
    waitMs,
    staysMs,
  );
  return { end, told };
}

describe("QEMU's end", () => {
  it('after the guest switched itself off is no failure, also when its NIC broke first', () => {
    for (const isNicFirst of [true, false]) {
      const { end, told } = ending();
      if (isNicFirst) end.socketBroken(RESET);
      end.event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
      if (!isNicFirst) end.socketBroken(RESET);
      expect(told).to.deep.equal([]);
      end.monitorClosed(CLOSED);
      expect(told).to.deep.equal(['exited']);
    }
  });

  it('by anybody else is a failure, with the words of the monitor', () => {
    const { end, told } = ending();
    end.event('STOP', undefined);
    end.event('SHUTDOWN', { guest: false, reason: 'host-signal' });
    end.socketBroken(RESET);
    end.monitorClosed(CLOSED);
    expect(told).to.deep.equal([CLOSED.message]);
  });

  it('is no failure when somebody ends a QEMU whose guest had switched itself off', () => {
    const { end, told } = ending();
    end.event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    end.event('SHUTDOWN', { guest: false, reason: 'host-signal' });
    end.monitorClosed(CLOSED);
    expect(told).to.deep.equal(['exited']);
  });

  it('is not waited for when its guest is off and it stays', async () => {
    const { end, told } = ending(60_000, WAIT_MS);
    end.event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' });
    await sleep(2 * WAIT_MS);
    end.monitorClosed(CLOSED);
    expect(told).to.deep.equal(['exited']);
  });

  it('is told once', async () => {
    const { end, told } = ending(WAIT_MS);
    end.socketBroken(RESET);
    end.monitorClosed(CLOSED);
    end.monitorClosed(CLOSED);
    end.socketBroken(RESET);
    await sleep(2 * WAIT_MS);
    expect(told).to.deep.equal([CLOSED.message]);
  });

  it('is waited for in vain when only the NIC broke: a failure, soon', async () => {
    const { end, told } = ending(WAIT_MS);
    end.socketBroken(RESET);
    end.socketBroken(new Error('another'));
    expect(told).to.deep.equal([]);
    await sleep(2 * WAIT_MS);
    expect(told).to.deep.equal([RESET.message]);
  });
});
