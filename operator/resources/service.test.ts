// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { VmiSpec } from '../api/ftvm.js';
import { BRIDGE, sampleFtvm } from '../test/samples.js';
import { buildService, sameService } from './service.js';

const ports = [{ port: 80 }, { port: 53, protocol: 'UDP', name: 'dns' }];
const template: VmiSpec = {
  domain: { devices: { interfaces: [{ name: 'default', masquerade: {}, ports }] } },
  networks: [{ name: 'default', pod: {} }],
};

describe('the Service of a VM', () => {
  it('leads to the side that runs it, by the ports that the interface declares', () => {
    const service = buildService(sampleFtvm({ template }));
    expect(service?.metadata).to.include({ name: 'db', namespace: 'shop' });
    expect(service?.spec).to.deep.equal({
      selector: { 'lockstep.dev/vm': 'db', 'lockstep.dev/role': 'primary' },
      ports: [
        { name: 'tcp-80', port: 80, targetPort: 80, protocol: 'TCP' },
        { name: 'dns', port: 53, targetPort: 53, protocol: 'UDP' },
      ],
    });
  });

  it('is not there for a VM on a secondary network only: its own address leads to it', () => {
    expect(buildService(sampleFtvm({ template: BRIDGE }))).to.equal(null);
  });

  it('is the same with what the API server adds, and another with another port or selector', () => {
    const wanted = buildService(sampleFtvm({ template }));
    if (wanted === null) throw new Error('there is one');
    const stored = { ...wanted, spec: { ...wanted.spec, clusterIP: '10.96.0.7', type: 'ClusterIP' } };
    expect(sameService(stored, wanted)).to.equal(true);
    expect(sameService({ ...stored, spec: { ...stored.spec, ports: [] } }, wanted)).to.equal(false);
    expect(sameService({ ...stored, spec: { ...stored.spec, selector: {} } }, wanted)).to.equal(false);
  });
});
