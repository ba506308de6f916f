// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { parseConfig } from '../../sidecar/local/config.js';
import { newNonce } from './incarnation.js';
import { hostOf, pairLayout } from './layout.js';
import { DEFAULT_CHOICE, DEFAULT_MACHINE, makeSettings } from './pair.js';
import { deviceHash, planIncarnation } from './plan.js';

const layout = pairLayout('x'.repeat(16));
const settings = makeSettings(layout);
const pair = { layout, settings };
const a = hostOf(layout, 'a');
const first = { role: 'primary', lease: { kind: 'found' }, life: 1 } as const;
const backup = { role: 'backup', peer: { host: '10.77.0.11', port: 7700 } } as const;

describe('the plan of an incarnation', () => {
  it("has settings that the sidecar takes, with the longest of pairs' names", () => {
    for (const request of [first, backup]) {
      const nonce = newNonce();
      const config = parseConfig(planIncarnation(pair, a, nonce, request).config);
      expect(config.nonce).to.equal(nonce);
      expect(config.start.role).to.equal(request.role);
    }
  });

  it('lets overrides change limits', () => {
    const slow = { ...settings, sidecarOverrides: { limits: { deadAfterMs: 900 } } };
    const plan = planIncarnation({ layout, settings: slow }, a, newNonce(), first);
    expect(parseConfig(plan.config).limits.deadAfterMs).to.equal(900);
  });

  it('gives primary and backup the same machine, but for mode, paths and the wait for a clone', () => {
    const nonce = newNonce();
    const record = planIncarnation(pair, a, nonce, first).qemuCommand;
    const replay = planIncarnation(pair, a, nonce, backup).qemuCommand;
    const differing = replay.filter((word, index) => word !== record[index]);
    expect(differing).to.have.length(3);
    expect(differing[0]).to.include('rr=replay');
    expect(differing.slice(1)).to.deep.equal(['-incoming', 'defer']);
  });

  it('tells machines apart by their hash, and only machines', () => {
    expect(deviceHash({ ...settings, ringBytes: 1 << 20 })).to.equal(deviceHash(settings));
    const larger = makeSettings(layout, {
      ...DEFAULT_CHOICE,
      machine: { ...DEFAULT_MACHINE, memoryMiB: 512 },
    });
    expect(deviceHash(larger)).not.to.equal(deviceHash(settings));
  });

  it('puts nothing of two incarnations into the same file', () => {
    const one = planIncarnation(pair, a, newNonce(), first);
    const two = planIncarnation(pair, a, newNonce(), first);
    expect(one.ringFile).not.to.equal(two.ringFile);
    expect(one.dir).not.to.equal(two.dir);
  });
});
