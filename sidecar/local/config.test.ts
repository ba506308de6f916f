// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../settings.js';
import { parseConfig, readConfig } from './config.js';

const GOOD = {
  vm: 'db1',
  nonce: '0123456789abcdef0123456789abcdef',
  start: { role: 'primary', coldStart: { kind: 'found' } },
  deviceHash: 'aa',
  ring: { file: '/dev/shm/r' },
  qmpSocket: '/run/q',
  netSocket: '/run/n',
  cloneSocket: '/run/c',
  tap: 'tap0',
  guestMac: '52:54:00:12:34:56',
  listen: { host: '127.0.0.1', port: 7700 },
  tls: { ca: 'ca', cert: 'cert', key: 'key' },
  store: { host: '127.0.0.1', port: 6379 },
  control: { socket: '/run/s' },
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

describe('sidecar settings', () => {
  it('fill in what is not said', () => {
    const config = parseConfig(GOOD);
    expect(config.ring.bytes).to.equal(64 * 1024 * 1024);
    expect(config.limits.deadAfterMs).to.equal(300);
    expect(config.log).to.deep.equal({ format: 'json', level: 'info' });
  });

  it('name the field and what is wrong with it', () => {
    expect(refusal({ ...GOOD, nonce: 'abc' })).to.match(/nonce: must be 32 lower-case hex digits/);
    expect(refusal({ ...GOOD, ring: { file: 'x', bytes: 3_000_000 } })).to.match(
      /ring.bytes: must be a power of two/,
    );
    expect(refusal({ ...GOOD, surprise: 1 })).to.match(/surprise/);
    expect(refusal({ ...GOOD, netSocket: `/${'x'.repeat(107)}` })).to.match(/netSocket: a unix socket/);
    expect(refusal({ ...GOOD, limits: { beatMs: 200 } })).to.match(/beatMs \* 3 < deadAfterMs/);
    expect(refusal({ ...GOOD, limits: { beetMs: 200 } })).to.match(/limits/);
  });

  it('refuse anything else in words', () => {
    fc.assert(fc.property(fc.anything(), (value) => refusal(value).startsWith('settings: ')));
  });

  it('tell a missing file from one that is not JSON', () => {
    const dir = mkdtempSync(join(tmpdir(), 'lockstep-config-'));
    try {
      const file = join(dir, 'c.json');
      expect(() => readConfig(file)).to.throw(ConfigError, /no such file/);
      writeFileSync(file, '{');
      expect(() => readConfig(file)).to.throw(ConfigError, /is not JSON/);
      writeFileSync(file, JSON.stringify(GOOD));
      expect(readConfig(file).vm).to.equal('db1');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
