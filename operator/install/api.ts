// SPDX-License-Identifier: Apache-2.0
/** What the API server is asked after an installation. */
import type { Api } from '../kit/api.js';
import { ApiError } from '../kit/errors.js';
import { badVm, goodVm } from './probes.js';
import type { Question } from './wait.js';

const collection = (namespace: string): string =>
  `/apis/lockstep.dev/v1alpha1/namespaces/${namespace}/faulttolerantvms`;
const INJECTION = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lockstep-inject';
/** How the API server words a webhook's no; any other refusal (quota, rights, schema) does not prove that it was asked. */
const DENIED_BY_WEBHOOK = /admission webhook "validate\.lockstep\.dev" denied/;

/** The server's answer, or in words why there is none. */
type Said = { readonly answer: unknown } | { readonly refusal: string };

async function said(call: Promise<unknown>): Promise<Said> {
  try {
    return { answer: await call };
  } catch (error) {
    if (error instanceof ApiError) return { refusal: error.message };
    throw error;
  }
}

export function questionsToApi(api: Api, namespace: string): Question[] {
  const create = (body: unknown): Promise<Said> =>
    said(api.call({ method: 'POST', path: collection(namespace), query: { dryRun: 'All' }, body }));
  return [
    { about: 'the resource FaultTolerantVM', ask: () => askServed(api, namespace) },
    { about: 'the webhook for launcher pods', ask: () => askInjection(api) },
    { about: 'a VM that cannot work', ask: async () => whyNotRefused(await create(badVm(namespace))) },
    { about: 'a VM that can work', ask: async () => whyNotTaken(await create(goodVm(namespace))) },
  ];
}

async function askServed(api: Api, namespace: string): Promise<string | null> {
  const list = await said(api.call({ method: 'GET', path: collection(namespace), query: { limit: '1' } }));
  return 'answer' in list ? null : `the API server does not serve it yet: ${list.refusal}`;
}

function whyNotRefused(result: Said): string | null {
  if ('answer' in result) return 'was taken: the webhook was not asked';
  return DENIED_BY_WEBHOOK.test(result.refusal) ? null : `the webhook does not answer yet: ${result.refusal}`;
}

function whyNotTaken(result: Said): string | null {
  return 'answer' in result ? null : `was refused: ${result.refusal}`;
}

async function askInjection(api: Api): Promise<string | null> {
  const result = await said(api.call({ method: 'GET', path: INJECTION }));
  if ('refusal' in result) return `can't be read: ${result.refusal}`;
  return hasCa(result.answer) ? null : 'the operator has not written its CA into it yet; its log says why';
}

/** Each webhook of a configuration knows by which CA its server is known. */
export function hasCa(configuration: unknown): boolean {
  const { webhooks } = configuration as {
    readonly webhooks?: readonly { readonly clientConfig?: { readonly caBundle?: string } }[];
  };
  return (
    webhooks !== undefined &&
    webhooks.length > 0 &&
    webhooks.every(({ clientConfig }) => (clientConfig?.caBundle ?? '') !== '')
  );
}
