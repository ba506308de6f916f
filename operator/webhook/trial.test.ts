// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { ApiRequest } from '../kit/api.js';
import { ObjectClient } from '../kit/apply.js';
import { ApiError, refusal } from '../kit/errors.js';
import type { KubeObject } from '../kit/object.js';
import { sampleFtvm } from '../test/samples.js';
import { trialBy, type Trial } from './trial.js';

const WEBHOOK = 'admission webhook "virtualmachineinstances-create-validator.kubevirt.io"';
const status = (code: number, message: string): ApiError =>
  refusal('POST /apis', code, JSON.stringify({ kind: 'Status', message, code }));

/** A trial before an API server that answers so, what it was asked, and what was said about not knowing. */
function before(answer: ApiError | null): { trial: Trial; asked: ApiRequest[]; unknown: string[] } {
  const asked: ApiRequest[] = [];
  const unknown: string[] = [];
  const call = (request: ApiRequest): Promise<unknown> => {
    asked.push(request);
    // Without a version: nothing is stored.
    return answer === null ? Promise.resolve(request.body) : Promise.reject(answer);
  };
  const stream = (): never => {
    throw new Error('nothing is to be watched');
  };
  const client = new ObjectClient({ call, stream }, { fieldManager: 'test' });
  return { trial: trialBy({ client, onUnknown: (reason) => unknown.push(reason) }), asked, unknown };
}

describe('what KubeVirt says of a VM that it has not got yet', () => {
  it('is asked of the VMI that a side would be, in a dry run', async () => {
    const { trial, asked } = before(null);
    expect(await trial(sampleFtvm())).to.deep.equal([]);
    expect(asked).to.have.length(1);
    const { method, path, query, body } = asked[0] ?? {};
    expect({ method, path }).to.deep.equal({
      method: 'POST',
      path: '/apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstances',
    });
    expect(query).to.include({ dryRun: 'All' });
    const { metadata } = body as KubeObject;
    expect(metadata.name).to.equal('db-trial');
    expect(metadata.labels).to.include({ 'lockstep.dev/vm': 'db' });
  });

  it('is asked also while the resource has no uid yet', async () => {
    const { trial, asked } = before(null);
    const { name, namespace } = sampleFtvm().metadata;
    await trial({ ...sampleFtvm(), metadata: { name, ...(namespace === undefined ? {} : { namespace }) } });
    const owner = (asked[0]?.body as KubeObject).metadata.ownerReferences?.[0];
    expect(owner?.uid).to.match(/^0{8}-/);
  });

  for (const [code, words] of [
    [422, `${WEBHOOK} denied the request: spec.hostname is not a DNS label`],
    [422, 'VirtualMachineInstance.kubevirt.io "db-trial" is invalid: metadata.labels: Invalid value'],
    [400, `${WEBHOOK} denied the request: json: cannot unmarshal number into Go struct field`],
    [403, 'admission webhook "policy.example" denied the request: no VMs here'],
  ] as const) {
    it(`is an objection: ${code} ${words}`, async () => {
      const { trial, unknown } = before(status(code, words));
      expect(await trial(sampleFtvm())).to.deep.equal([
        { field: 'spec.template', sentence: `the cluster refuses the VMI that a side would be: ${words}` },
      ]);
      expect(unknown).to.deep.equal([]);
    });
  }

  for (const answer of [
    status(400, `${WEBHOOK} does not support dry run`),
    status(403, 'virtualmachineinstances.kubevirt.io is forbidden: User cannot create resource'),
    status(403, 'exceeded quota: vms'),
    status(404, 'the server could not find the requested resource'),
    status(500, `failed calling webhook: connection refused`),
    new ApiError('Unreachable', 'no answer'),
  ]) {
    it(`is not known, and said to be so: ${answer.words ?? answer.message}`, async () => {
      const { trial, unknown } = before(answer);
      expect(await trial(sampleFtvm())).to.deep.equal([]);
      expect(unknown).to.deep.equal([answer.message]);
    });
  }
});
