// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Ftvm } from '../api/ftvm.js';
import { FTVMS } from '../api/resources.js';
import { admissionHandlers } from './handlers.js';
import type { Verdict } from './server.js';
import { domain, GOOD, merged } from './test/manifests.js';

const VM = { metadata: { name: 'web', namespace: 'shop' }, spec: { template: GOOD } };
const BAD = merged(VM, { spec: { template: domain({ cpu: { cores: 2 } }) } });
const OBJECTION = { field: 'spec.template', sentence: 'KubeVirt will not have it' };

describe('the admission handlers', () => {
  let tried: Ftvm[];

  beforeEach(() => {
    tried = [];
  });

  async function ask(
    path: '/validate' | '/inject',
    plural: string,
    now: unknown,
    old: unknown = null,
  ): Promise<Verdict> {
    const handlers = admissionHandlers({
      sidecarImage: 'sidecar',
      pullPolicy: 'Always',
      emulatorPaths: ['/usr/bin/qemu'],
      isOurs: (namespace, vmi) => namespace === 'shop' && vmi === 'web-12ab',
      trial: (vm) => {
        tried.push(vm);
        return Promise.resolve(vm.metadata.name === 'web' ? [] : [OBJECTION]);
      },
    });
    const resource = { group: '', resource: plural };
    const handler = handlers[path] ?? expect.fail(path);
    return handler({ uid: 'u', operation: 'CREATE', resource, object: now, oldObject: old });
  }

  it('take a VM that neither our rules nor the cluster have anything against', async () => {
    expect(await ask('/validate', FTVMS.plural, VM)).to.deep.equal({ allowed: true });
    expect(tried).to.have.length(1);
  });

  it("refuse one in our rules' words, without asking anybody", async () => {
    const verdict = await ask('/validate', FTVMS.plural, BAD);
    expect(verdict)
      .to.include({ allowed: false })
      .and.to.have.property('message')
      .that.match(/one vCPU/);
    expect(tried).to.deep.equal([]);
  });

  it("refuse one in the cluster's words", async () => {
    const verdict = await ask('/validate', FTVMS.plural, merged(VM, { metadata: { name: 'other' } }));
    expect(verdict).to.deep.equal({ allowed: false, message: 'spec.template: KubeVirt will not have it' });
  });

  it('ask nobody about a change: the template stays as it was', async () => {
    const suspended = merged(VM, { spec: { suspended: true } });
    expect(await ask('/validate', FTVMS.plural, suspended, VM)).to.deep.equal({ allowed: true });
    expect(await ask('/validate', FTVMS.plural, BAD, VM)).to.include({ allowed: false });
    expect(tried).to.deep.equal([]);
  });

  it('let migrate what is none of ours', async () => {
    const migration = (vmiName: string) => ({ metadata: { namespace: 'shop' }, spec: { vmiName } });
    const plural = 'virtualmachineinstancemigrations';
    expect(await ask('/validate', plural, migration('else'))).to.deep.equal({ allowed: true });
    const refused = await ask('/validate', plural, migration('web-12ab'));
    expect(refused)
      .to.have.property('message')
      .that.match(/web-12ab.*drain its node/);
    expect(await ask('/validate', plural, { metadata: {} })).to.deep.equal({ allowed: true });
  });

  it('patch a launcher pod', async () => {
    const labels = { 'lockstep.dev/vmi': 'web-12ab' };
    const pod = { metadata: { name: 'p', labels }, spec: { containers: [{ name: 'compute' }] } };
    const verdict = await ask('/inject', 'pods', pod);
    expect(verdict).to.have.property('patch').that.is.not.empty;
  });
});
