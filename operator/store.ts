// SPDX-License-Identifier: Apache-2.0
/** Where the lease store is: a Secret in the operator's namespace, of the chart's own Redis or of one that users have. */
import { z } from 'zod';
import { fromBase64 } from './api/base64.js';
import type { StoredFtvm } from './api/ftvm.js';
import type { Secret } from './api/objects.js';
import { SECRETS } from './api/resources.js';
import type { ObjectClient } from './kit/apply.js';
import type { StoreAccess } from './resources/secret.js';

export class StoreSecretError extends Error {
  readonly code = 'LOCKSTEP_STORE_SECRET';
}

const schema = z.object({
  host: z.string().min(1),
  port: z.coerce.number().int().min(1).max(65535).default(6379),
  username: z.string().optional(),
  password: z.string().optional(),
  keyPrefix: z.string().optional(),
  'ca.crt': z.string().optional(),
});

/** @throws StoreSecretError naming the key that is not as it must be */
export function storeOfSecret(name: string, secret: Secret): StoreAccess {
  const texts = Object.entries(secret.data ?? {}).map(([key, value]) => [key, fromBase64(value).trim()]);
  const parsed = schema.safeParse(Object.fromEntries(texts));
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
    throw new StoreSecretError(`Secret ${name} of the lease store: ${wrong}`);
  }
  const { 'ca.crt': tlsCa, host, port, ...optional } = parsed.data;
  const given = Object.entries({ ...optional, tlsCa }).filter(([, value]) => value !== undefined);
  return { host, port, ...(Object.fromEntries(given) as Partial<StoreAccess>) };
}

export interface StoreSecrets {
  readonly client: Pick<ObjectClient, 'find'>;
  readonly namespace: string;
  /** For VMs that name no other. */
  readonly defaultName: string;
}

/** A function that reads the store of a VM, each time anew: passwords change. */
export const storeReader =
  ({ client, namespace, defaultName }: StoreSecrets) =>
  async ({ spec }: StoredFtvm): Promise<StoreAccess> => {
    const name = spec.store.secretName ?? defaultName;
    const secret = await client.find<Secret>(SECRETS, { name, namespace });
    if (secret !== null) return storeOfSecret(name, secret);
    throw new StoreSecretError(
      `there is no Secret ${name} in namespace ${namespace}: make it with host, port, username and password of the lease store`,
    );
  };
