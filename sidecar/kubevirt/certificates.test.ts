// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChannelTls } from '../io/channel/tls.js';
import { CertificateError, Certificates, verify } from './certificates.js';
import { makeKeys, VM, writeSecret, type Keys } from './test/pki.js';

const EVERY_MS = 5;

let keys: Keys;
let dir: string;

/** What the handlers are told, in order. */
function followed(certificates: Certificates): { next: () => Promise<ChannelTls | string> } {
  const told: (ChannelTls | string)[] = [];
  let wake: () => void = () => undefined;
  const put = (one: ChannelTls | string): void => {
    told.push(one);
    wake();
  };
  certificates.follow({ onRenewed: put, onTrouble: put }, EVERY_MS);
  const next = async (): Promise<ChannelTls | string> => {
    for (;;) {
      const one = told.shift();
      if (one !== undefined) return one;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { next };
}

const refusal = (tls: ChannelTls): string => {
  try {
    verify(tls, VM, new Date());
  } catch (error) {
    expect(error).to.be.instanceOf(CertificateError);
    return (error as Error).message;
  }
  throw new Error('was accepted');
};

describe('certificates of a Secret volume', function () {
  this.timeout(15_000);
  before(async () => {
    keys = await makeKeys();
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'lockstep-certificates-'));
    writeSecret(dir, keys.side);
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('are read, and renewed when the kubelet swaps the volume', async () => {
    const certificates = new Certificates(dir, VM);
    const { next } = followed(certificates);
    expect(certificates.current).to.deep.equal(keys.side);
    expect(Date.parse(certificates.notAfter)).to.be.greaterThan(Date.now());
    writeSecret(dir, keys.renewed);
    expect(await next()).to.deep.equal(keys.renewed);
    expect(certificates.current).to.deep.equal(keys.renewed);
    certificates.close();
  });

  it('that are broken are told of once; the old ones stay until better ones come', async () => {
    const certificates = new Certificates(dir, VM);
    const { next } = followed(certificates);
    writeSecret(dir, { ...keys.renewed, key: keys.side.key });
    expect(await next()).to.match(/not a certificate with its key/);
    expect(certificates.current).to.deep.equal(keys.side);
    expect(certificates.trouble).to.match(/key/);
    writeSecret(dir, keys.otherVm);
    expect(await next()).to.match(/does not name VM/);
    writeSecret(dir, keys.renewed);
    expect(await next()).to.deep.equal(keys.renewed);
    expect(certificates.trouble).to.equal(null);
    certificates.close();
  });

  it('that are gone for a while are told of, and taken when they are back', async () => {
    const certificates = new Certificates(dir, VM);
    const { next } = followed(certificates);
    unlinkSync(join(dir, '..data'));
    expect(await next()).to.match(/cannot be read/);
    writeSecret(dir, keys.renewed);
    expect(await next()).to.deep.equal(keys.renewed);
    expect(certificates.trouble).to.equal(null);
    certificates.close();
  });

  it('that cannot work are refused, with the reason', () => {
    expect(refusal(keys.expired)).to.match(/ended at/);
    expect(refusal(keys.otherVm)).to.match(/does not name VM/);
    expect(refusal(keys.foreign)).to.match(/not issued by the CA/);
    expect(refusal({ ...keys.side, cert: 'nonsense' })).to.match(/not a certificate/);
    expect(refusal({ ...keys.side, ca: '' })).to.match(/not issued/);
  });

  it('begin with usable ones or not at all', () => {
    writeSecret(dir, keys.expired);
    expect(() => new Certificates(dir, VM)).to.throw(CertificateError, /ended at/);
    expect(() => new Certificates(join(dir, 'none'), VM)).to.throw(CertificateError, /cannot be read/);
  });
});
