// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { parseConfig, type Config } from '../../sidecar/kubevirt/config.js';
import { BACKUP, BRIDGE, PRIMARY, sampleFtvm } from '../test/samples.js';
import { buildSecret, NoPeerError, settingsOf } from './secret.js';
import type { Side, StoredFtvm } from '../api/ftvm.js';
import type { StoreAccess } from '../store.js';

const STORE: StoreAccess = { host: 'redis.lockstep-system', port: 6379, username: 'u', password: 'p' };
const TLS = { ca: 'CA', cert: 'CERT', key: 'KEY' };

/** As the sidecar reads it. */
const configOf = (ftvm: StoredFtvm, side: Side, peerHost: string | null = null, store = STORE): Config =>
  parseConfig(JSON.parse(JSON.stringify(settingsOf(ftvm, { side, peerHost, store }))));

describe('the Secret of a side', () => {
  it('is understood by the sidecar: a first start', () => {
    const config = configOf(sampleFtvm(), PRIMARY);
    expect(config.vm).to.equal('db-0f8fad5b');
    expect(config).to.deep.include({ vmi: 'db-0001', namespace: 'shop', cpuModel: 'EPYC', mac: null });
    expect(config.start).to.deep.equal({ role: 'primary', coldStart: { kind: 'found' } });
    expect(config.limits).to.include({ deadAfterMs: 300, lagBoundMs: 1_000 });
    expect(config.store).to.deep.equal(STORE);
  });

  it('is understood by the sidecar: a start anew, after the epoch that a person has named', () => {
    const { start } = configOf(sampleFtvm(), { ...PRIMARY, expectEpoch: 7 });
    expect(start).to.deep.equal({ role: 'primary', coldStart: { kind: 'refound', expectEpoch: 7 } });
  });

  it('is understood by the sidecar: a backup, which is told where its primary is', () => {
    const { start } = configOf(sampleFtvm(), BACKUP, '10.0.0.9');
    expect(start).to.deep.equal({ role: 'backup', peer: { host: '10.0.0.9', port: 7700, api: 7701 } });
  });

  it('is not made for a backup whose primary has no address', () => {
    expect(() => configOf(sampleFtvm(), BACKUP)).to.throw(NoPeerError, 'db-0002');
  });

  it('has the guest’s MAC where KubeVirt must not know it', () => {
    expect(configOf(sampleFtvm({ template: BRIDGE }), PRIMARY).mac).to.match(/^02(:[0-9a-f]{2}){5}$/);
  });

  it('has the CA of a store that is talked to by TLS', () => {
    const { store } = configOf(sampleFtvm(), PRIMARY, null, { ...STORE, tlsCa: 'PEM' });
    expect(store.tlsCa).to.equal('PEM');
  });

  it('has keys and settings under the names that the sidecar reads, and goes with its resource', () => {
    const secret = buildSecret(sampleFtvm(), { side: BACKUP, peerHost: '10.0.0.9', tls: TLS, store: STORE });
    expect(secret.metadata.name).to.equal('db-0002-lockstep');
    expect(Object.keys(secret.data ?? {})).to.have.members(['ca.crt', 'tls.crt', 'tls.key', 'sidecar.json']);
    expect(Buffer.from(secret.data?.['tls.key'] ?? '', 'base64').toString()).to.equal('KEY');
    expect(secret.metadata.labels).to.include({ 'lockstep.dev/vm': 'db', 'lockstep.dev/vmi': 'db-0002' });
    expect(secret.metadata.ownerReferences).to.have.length(1);
  });
});
