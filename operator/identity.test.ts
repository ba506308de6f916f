// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { makeCa, OPERATOR_URI, type Pair } from '../sidecar/io/channel/pki.js';
import type { Secret } from './api/objects.js';
import { SECRETS } from './api/resources.js';
import { Authority, CaError, CERTIFICATE_DAYS, isDue, loadCa, Renewed } from './identity.js';
import { ObjectClient } from './kit/apply.js';
import { RestApi } from './kit/rest.js';
import { FakeApi } from './kit/test/fake-api.js';
import { CA_SECRET, FIELD_MANAGER } from './names.js';

const NAMESPACE = 'lockstep-system';
const DAY_MS = 86_400_000;

const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MS);

describe('the certificate authority of an installation', () => {
  let api: FakeApi;
  let rest: RestApi;
  let client: ObjectClient;

  beforeEach(async () => {
    api = await FakeApi.start();
    rest = new RestApi(api.kubeConfig());
    client = new ObjectClient(rest, { fieldManager: FIELD_MANAGER });
  });

  afterEach(async () => {
    rest.close();
    await api.close();
  });

  it('is made once, also by several at once', async () => {
    const pairs = await Promise.all([1, 2, 3].map(() => loadCa(client, NAMESPACE)));
    const later = await loadCa(client, NAMESPACE);
    for (const pair of pairs) expect(pair).to.deep.equal(later);
    expect(api.list(SECRETS, NAMESPACE)).to.have.length(1);
    expect(new X509Certificate(later.certificatePem).ca).to.equal(true);
  });

  it('is not made anew when somebody has broken its Secret: what it signed would be worth nothing', async () => {
    await loadCa(client, NAMESPACE);
    const there = api.find<Secret>(SECRETS, { name: CA_SECRET, namespace: NAMESPACE });
    api.put<Secret>(SECRETS, { ...there, metadata: { name: CA_SECRET, namespace: NAMESPACE }, data: {} });
    let error: unknown = null;
    await loadCa(client, NAMESPACE).catch((thrown: unknown) => (error = thrown));
    expect(error).to.be.instanceOf(CaError);
    expect((error as CaError).message).to.contain(CA_SECRET);
  });
});

describe('certificates', () => {
  let ca: Pair;
  let authority: Authority;

  before(async () => {
    ca = await makeCa('lockstep');
    authority = new Authority(ca);
  });

  const namesOf = (pem: string): string => new X509Certificate(pem).subjectAltName ?? '';

  it('of a side speak for its VM and for no other', async () => {
    const { cert } = await authority.ofSide('db-0f8fad5b', 'db-0001');
    expect(namesOf(cert)).to.equal('URI:lockstep:db-0f8fad5b');
    expect(new X509Certificate(cert).checkIssued(new X509Certificate(ca.certificatePem))).to.equal(true);
  });

  it('of the operator speak for no VM', async () => {
    const { cert } = await authority.ofOperator();
    expect(namesOf(cert)).to.equal(`URI:${OPERATOR_URI}`);
  });

  it('of the webhook have the names by which the API server calls it', async () => {
    const { cert } = await authority.ofService('lockstep-webhook', NAMESPACE);
    expect(new X509Certificate(cert).checkHost(`lockstep-webhook.${NAMESPACE}.svc`)).to.not.equal(undefined);
  });

  it('have a name of their own: one with the CA’s would be taken for signed by itself', async () => {
    const issuer = new X509Certificate(ca.certificatePem).subject;
    for (const { cert } of [await authority.ofSide('v', 'db-0001'), await authority.ofOperator()]) {
      expect(new X509Certificate(cert).subject).to.not.equal(issuer);
    }
  });

  it('take a VMI of the longest name', async () => {
    const { cert } = await authority.ofSide('v', `${'a'.repeat(52)}-0123-and-some-more-of-it`);
    expect(new X509Certificate(cert).subject.length).to.be.at.most('CN='.length + 64);
  });

  it('are made anew when a third of their life is left, and when they cannot be read', async () => {
    const { cert } = await authority.ofSide('v', 'db-0001');
    expect(isDue(cert, inDays(0))).to.equal(false);
    expect(isDue(cert, inDays((CERTIFICATE_DAYS * 2) / 3 - 1))).to.equal(false);
    expect(isDue(cert, inDays((CERTIFICATE_DAYS * 2) / 3 + 1))).to.equal(true);
    expect(isDue('', inDays(0))).to.equal(true);
  });

  it('are renewed when due, and told of, not oftener', async () => {
    let now = inDays(0);
    const told: string[] = [];
    const renewed = new Renewed(
      () => authority.ofOperator(),
      () => now,
      ({ cert }) => told.push(cert),
    );
    expect(() => renewed.current).to.throw('renew');
    await renewed.renew();
    await renewed.renew();
    expect(told).to.deep.equal([renewed.current.cert]);
    now = inDays(CERTIFICATE_DAYS - 1);
    await renewed.renew();
    expect(told).to.have.length(2);
    expect(renewed.current.cert).to.equal(told[1]);
  });
});
