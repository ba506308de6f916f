// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ConfigError } from '../settings.js';
import { parseConfig, podOf } from './config.js';

const PRIMARY = {
  vm: 'db1-0a1b2c3d',
  vmi: 'db1-77aa',
  namespace: 'shop',
  start: { role: 'primary', coldStart: { kind: 'found' } },
  cpuModel: 'EPYC',
  mac: null,
  store: { host: 'lockstep-redis', port: 6379, username: 'lockstep', password: 'secret' },
};
const BACKUP = {
  ...PRIMARY,
  start: { role: 'backup', peer: { host: '10.244.1.7', port: 7700, api: 7701 } },
  mac: '02:00:00:00:00:01',
  limits: { deadAfterMs: 500 },
};

const refusal = (value: unknown): string => {
  try {
    parseConfig(value);
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('was accepted');
};

describe('settings of a sidecar in a launcher pod', () => {
  it('are those of a primary or of a backup, with limits by name', () => {
    expect(parseConfig(PRIMARY).limits.deadAfterMs).to.equal(300);
    const backup = parseConfig(BACKUP);
    expect(backup.limits.deadAfterMs).to.equal(500);
    expect(backup.start).to.deep.equal(BACKUP.start);
  });

  it('that cannot be are refused, each field by name', () => {
    const rows: [unknown, RegExp][] = [
      [{ ...PRIMARY, vm: 'DB_1' }, /vm: must be/],
      [{ ...PRIMARY, mac: 'x' }, /mac: must look like/],
      [{ ...PRIMARY, start: { role: 'backup' } }, /start\.peer/],
      [{ ...PRIMARY, start: { role: 'primary', coldStart: { kind: 'refound' } } }, /expectEpoch/],
      [{ ...PRIMARY, store: { host: '' } }, /store\.host.*store\.port/],
      [{ ...PRIMARY, limits: { deadAfter: 1 } }, /deadAfter/],
      [{ ...PRIMARY, limits: { deadAfterMs: 10 } }, /this must hold/],
      [{ ...PRIMARY, tap: 'tap0' }, /tap/],
      [null, /the file/],
    ];
    for (const [value, words] of rows) expect(refusal(value)).to.match(words);
  });

  it("the pod's own facts come from its environment, or are missed by name", () => {
    expect(podOf({ POD_IP: '10.244.1.9', NODE_NAME: 'worker' })).to.deep.equal({
      ip: '10.244.1.9',
      node: 'worker',
    });
    expect(() => podOf({ POD_IP: '', NODE_NAME: 'worker' })).to.throw(ConfigError, /POD_IP/);
    expect(() => podOf({ POD_IP: 'fd00::1' })).to.throw(ConfigError, /NODE_NAME/);
  });
});
