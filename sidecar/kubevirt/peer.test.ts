// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { CallError } from './client.js';
import type { Machine } from './machine.js';
import { machineOfPeer } from './peer.js';
import { Refusal } from './trouble.js';

const MACHINE: Machine = { argv: ['qemu'], cpuModel: 'EPYC', mac: null };
const PATIENCE = { total: 1_000, pause: 1 };
const NEVER = new AbortController().signal;

/** Gives these, one a call; the last for ever. */
function peerThat(...answers: (CallError | Machine)[]) {
  let calls = 0;
  return {
    get calls() {
      return calls;
    },
    machine(): Promise<Machine> {
      const answer = answers[Math.min(calls, answers.length - 1)];
      calls += 1;
      return answer instanceof Error || answer === undefined
        ? Promise.reject(answer ?? new Error('no answer left'))
        : Promise.resolve(answer);
    },
  };
}

const refused = async (call: Promise<unknown>): Promise<Refusal> => {
  const error = await call.then(
    () => new Error('was answered'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Refusal)) throw error as Error;
  return error;
};

describe("the primary's machine", () => {
  it('is asked for until it is there', async () => {
    const peer = peerThat(
      new CallError('UNREACHABLE', 'nobody there'),
      new CallError('TIMEOUT', 'slow'),
      new CallError('REFUSED', 'not yet', 409),
      MACHINE,
    );
    expect(await machineOfPeer(peer, NEVER, PATIENCE)).to.equal(MACHINE);
    expect(peer.calls).to.equal(4);
  });

  it('is not asked for again when the answer will stay the same', async () => {
    for (const error of [
      new CallError('TLS', 'somebody else'),
      new CallError('REFUSED', 'your certificate', 403),
      new CallError('BAD_ANSWER', 'nonsense'),
    ]) {
      const peer = peerThat(error);
      const refusal = await refused(machineOfPeer(peer, NEVER, PATIENCE));
      expect(refusal.reason).to.equal('noPeer');
      expect(refusal.message).to.include(error.message);
      expect(peer.calls).to.equal(1);
    }
  });

  it('is given up after its time, or when nobody wants it any more', async () => {
    const away = new CallError('UNREACHABLE', 'nobody there');
    const refusal = await refused(machineOfPeer(peerThat(away), NEVER, { total: 20, pause: 1 }));
    expect(refusal.message).to.include('nobody there');
    const abort = new AbortController();
    const asked = machineOfPeer(peerThat(away), abort.signal, { total: 60_000, pause: 30_000 });
    setImmediate(() => abort.abort());
    const error = await asked.catch((thrown: unknown) => thrown);
    expect((error as Error).name).to.equal('AbortError');
  });
});
