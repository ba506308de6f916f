// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { parseConfig, type Config } from '../../sidecar/kubevirt/config.js';
import { BACKUP, BRIDGE, PRIMARY, sampleFtvm } from '../test/samples.js';
import type { PeerAddress } from '../logging-network.js';
import { buildSecret, LoggingNetworkError, NoPeerError, settingsOf } from './secret.js';
import type { Side, StoredFtvm } from '../api/ftvm.js';
import type { StoreAccess } from '../store.js';

const STORE: StoreAccess = { host: 'redis.lockstep-system', port: 6379, username: 'u', password: 'p' };
const PEER: PeerAddress = { channel: '10.0.0.9', api: '10.0.0.9' };
const TLS = { ca: 'CA', cert: 'CERT', key: 'KEY' };

/** As the sidecar reads it. */
const configOf = (ftvm: StoredFtvm, side: Side, peer: PeerAddress | null = null, store = STORE): Config =>
  parseConfig(JSON.parse(JSON.stringify(settingsOf(ftvm, { side, peer, store }))));

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
    const { start } = configOf(sampleFtvm(), BACKUP, PEER);
    expect(start).to.deep.equal({ role: 'backup', peer: { host: '10.0.0.9', port: 7700, api: 7701 } });
  });

  it('is understood by the sidecar: a backup whose channel has a network of its own', () => {
    const { start } = configOf(sampleFtvm(), BACKUP, { channel: '192.168.9.1', api: '10.0.0.9' });
    expect(start).to.deep.equal({
      role: 'backup',
      peer: { host: '192.168.9.1', port: 7700, api: 7701, apiHost: '10.0.0.9' },
    });
  });

  it('is not made for a backup whose primary is not on the network of the channel', () => {
    const ftvm = sampleFtvm({ spec: { placement: { loggingNetwork: 'ft/log' } } });
    expect(() => configOf(ftvm, BACKUP, { channel: null, api: '10.0.0.9' })).to.throw(
      LoggingNetworkError,
      /ft\/log.*must assign addresses \(ipam\)/,
    );
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
    const secret = buildSecret(sampleFtvm(), { side: BACKUP, peer: PEER, tls: TLS, store: STORE });
    expect(secret.metadata.name).to.equal('db-0002-lockstep');
    expect(Object.keys(secret.data ?? {})).to.have.members(['ca.crt', 'tls.crt', 'tls.key', 'sidecar.json']);
    expect(Buffer.from(secret.data?.['tls.key'] ?? '', 'base64').toString()).to.equal('KEY');
    expect(secret.metadata.labels).to.include({ 'lockstep.dev/vm': 'db', 'lockstep.dev/vmi': 'db-0002' });
    expect(secret.metadata.ownerReferences).to.have.length(1);
  });
});
