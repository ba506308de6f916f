// SPDX-License-Identifier: Apache-2.0
/** Tells the API server whose certificates our webhooks have: the CA goes into both webhook configurations. */
import { base64 } from './api/base64.js';
import { MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS } from './api/resources.js';
import type { ObjectClient } from './kit/apply.js';
import type { KubeObject } from './kit/object.js';
import { INJECT_WEBHOOK, VALIDATE_WEBHOOK } from './names.js';

interface Configuration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig?: { readonly caBundle?: string };
  }[];
}

/** Writes only what differs. @throws ApiError; NotFound when the chart's configuration is not there */
export async function trustWebhooks(client: ObjectClient, caPem: string): Promise<void> {
  const caBundle = base64(caPem);
  for (const [resource, name] of [
    [MUTATING_WEBHOOKS, INJECT_WEBHOOK],
    [VALIDATING_WEBHOOKS, VALIDATE_WEBHOOK],
  ] as const) {
    const there = await client.get<Configuration>(resource, { name });
    const webhooks = there.webhooks ?? [];
    if (webhooks.every(({ clientConfig }) => clientConfig?.caBundle === caBundle)) continue;
    await client.replace<Configuration>(resource, {
      ...there,
      webhooks: webhooks.map((one) => ({ ...one, clientConfig: { ...one.clientConfig, caBundle } })),
    });
  }
}
