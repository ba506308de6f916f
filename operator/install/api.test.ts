// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Api, ApiRequest } from '../kit/api.js';
import { ApiError } from '../kit/errors.js';
import { hasCa, questionsToApi } from './api.js';

const DENIED = new ApiError(
  'Forbidden',
  'POST /apis: 403 admission webhook "validate.lockstep.dev" denied the request: more than one core',
);
const WITH_CA = { webhooks: [{ clientConfig: { caBundle: 'QQ==' } }] };

/** An API server that answers by what is asked. */
function apiOf(answer: (request: ApiRequest) => unknown): Api & { readonly requests: ApiRequest[] } {
  const requests: ApiRequest[] = [];
  return {
    requests,
    call: async (request) => {
      requests.push(request);
      const result = await Promise.resolve(answer(request));
      if (result instanceof Error) throw result;
      return result;
    },
    stream: () => Promise.reject(new Error('nothing is watched')),
  };
}

const coresIn = ({ body }: ApiRequest): unknown =>
  (body as { spec: { template: { spec: { domain: { cpu: { cores: number } } } } } }).spec.template.spec.domain
    .cpu.cores;

/** As it is when all works. */
const working = (request: ApiRequest): unknown => {
  if (request.path.endsWith('/lockstep-inject')) return WITH_CA;
  return request.method === 'POST' && coresIn(request) !== 1 ? DENIED : {};
};

async function ask(answer: (request: ApiRequest) => unknown): Promise<(string | null)[]> {
  return Promise.all(questionsToApi(apiOf(answer), 'system').map((question) => question.ask()));
}

describe('questions to the API server', () => {
  it('are content with an installation that works', async () => {
    expect(await ask(working)).to.deep.equal([null, null, null, null]);
  });

  it('make nothing: what is created is a dry run', async () => {
    const api = apiOf(working);
    for (const question of questionsToApi(api, 'system')) await question.ask();
    const creates = api.requests.filter(({ method }) => method !== 'GET');
    expect(creates).to.have.length(2);
    for (const { path, query } of creates) {
      expect(path).to.equal('/apis/lockstep.dev/v1alpha1/namespaces/system/faulttolerantvms');
      expect(query).to.deep.equal({ dryRun: 'All' });
    }
  });

  it('notice a resource that is not served', async () => {
    const [served] = await ask((request) =>
      request.method === 'GET' ? new ApiError('NotFound', 'GET: 404') : {},
    );
    expect(served).to.match(/does not serve it yet: GET: 404/);
  });

  it('notice a webhook that was not asked', async () => {
    const [, , refused, taken] = await ask(() => ({}));
    expect(refused).to.equal('was taken: the webhook was not asked');
    expect(taken).to.equal(null);
  });

  const others: readonly (readonly [string, ApiError])[] = [
    [
      'a webhook that does not answer',
      new ApiError('Unavailable', '500 failed calling webhook "validate.lockstep.dev": connection refused'),
    ],
    ["somebody else's refusal", new ApiError('Forbidden', '403 exceeded quota')],
    ['an API server that is away', new ApiError('Unreachable', 'connect ECONNREFUSED')],
  ];
  for (const [what, error] of others) {
    it(`do not take ${what} for the webhook's no`, async () => {
      const [, , refused, taken] = await ask((request) => (request.method === 'POST' ? error : WITH_CA));
      expect(refused).to.include('does not answer yet').and.include(error.message);
      expect(taken).to.include('was refused').and.include(error.message);
    });
  }

  it('notice a CA that is not there yet', async () => {
    const [, injection] = await ask((request) =>
      request.path.endsWith('/lockstep-inject') ? { webhooks: [{ clientConfig: {} }] } : {},
    );
    expect(injection).to.match(/has not written its CA/);
    expect(hasCa({})).to.equal(false);
    expect(hasCa({ webhooks: [] })).to.equal(false);
    expect(hasCa({ webhooks: [...WITH_CA.webhooks, { clientConfig: { caBundle: '' } }] })).to.equal(false);
  });

  it('do not hide a mistake of their own', async () => {
    let thrown: unknown;
    await ask(() => new TypeError('a bug')).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(TypeError);
  });
});
