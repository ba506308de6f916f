// SPDX-License-Identifier: Apache-2.0
/**
 * Where the lease store is: a Secret in the operator's namespace, of the chart's own Redis or of one that users have.
 * The operator reads it from the API, the install check from files that it is mounted as: by one schema.
 */
import { z } from 'zod';
import { LEASE_DEFAULTS, type LeaseOptions } from '../sidecar/io/lease/redis.js';
import { fromBase64, textOf } from './api/base64.js';
import type { StoredFtvm } from './api/ftvm.js';
import type { Secret } from './api/objects.js';
import { SECRETS } from './api/resources.js';
import type { ObjectClient } from './kit/apply.js';

/** The lease store, as sidecars in any namespace reach it. */
export interface StoreAccess {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly keyPrefix?: string;
  /** PEM; there when it is to be talked to by TLS. */
  readonly tlsCa?: string;
}

/** The Secret is not as it must be: a person has to change it. */
export class StoreSecretError extends Error {
  readonly code: string = 'LOCKSTEP_STORE_SECRET';
}

/** There is none: nobody knows where the store is, or was. */
export class NoStoreError extends StoreSecretError {
  override readonly code = 'LOCKSTEP_NO_STORE';
}

const text = z.string().trim();
const schema = z.object({
  host: text,
  port: z.coerce.number().int().min(1).max(65535).default(6379),
  username: text.optional(),
  // Blanks may be part of it. An editor or `echo` leaves an end of line in a file, and no password has one.
  password: z
    .string()
    .transform((password) => password.replace(/\r?\n$/, ''))
    .optional(),
  keyPrefix: text.optional(),
  'ca.crt': text.optional(),
});

/** The keys that the Secret may have; others are somebody else's. */
export const STORE_KEYS = Object.keys(schema.shape);

/**
 * @param where the Secret, as people know it
 * @param texts its values; one that is empty is not there
 * @throws StoreSecretError naming each key that is not as it must be
 */
export function parseStore(where: string, texts: Readonly<Record<string, string>>): StoreAccess {
  const given = Object.entries(texts).filter(([, value]) => value.trim() !== '');
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
    throw new StoreSecretError(
      `${where} needs host, and where they apply port, username, password, keyPrefix and ca.crt (for TLS): ${wrong}`,
    );
  }
  const { 'ca.crt': tlsCa, host, port, ...rest } = parsed.data;
  const optional = Object.entries({ ...rest, tlsCa }).filter(([, value]) => value !== undefined);
  return { host, port, ...(Object.fromEntries(optional) as Partial<StoreAccess>) };
}

/** The same, as a client of the lease wants it. */
export const leaseOptionsOf = ({ tlsCa, ...access }: StoreAccess): Omit<LeaseOptions, 'vm'> => ({
  ...access,
  ...(tlsCa === undefined ? {} : { tls: { ca: tlsCa } }),
});

/** @throws StoreSecretError */
export function storeOfSecret(name: string, { data = {} }: Secret): StoreAccess {
  const texts = Object.entries(data).map(([key, value]) => [key, fromBase64(value)] as const);
  return parseStore(`Secret ${name} of the lease store`, Object.fromEntries(texts));
}

export type StoreOf = (ftvm: StoredFtvm) => Promise<StoreAccess>;

export interface StoreSecrets {
  readonly client: Pick<ObjectClient, 'find'>;
  readonly namespace: string;
  /** For VMs that name no other. */
  readonly defaultName: string;
}

/**
 * A function that reads the store of a VM, each time anew: passwords change.
 * It throws NoStoreError where there is no Secret, StoreSecretError where it makes no sense, ApiError when it can't be read.
 */
export const storeReader =
  ({ client, namespace, defaultName }: StoreSecrets): StoreOf =>
  async ({ spec }) => {
    const name = spec.store.secretName ?? defaultName;
    const secret = await client.find<Secret>(SECRETS, { name, namespace });
    if (secret !== null) return storeOfSecret(name, secret);
    throw new NoStoreError(
      `there is no Secret ${name} in namespace ${namespace}: make it with host, port, username and password of the lease store`,
    );
  };

const inUseSchema = z.looseObject({
  store: z.looseObject({ host: text, port: z.number(), keyPrefix: text.optional() }),
});

/** The store that a side was started with, from its own Secret; null when that says none. */
function storeInUse(secret: Secret): StoreAccess | null {
  try {
    const parsed = inUseSchema.safeParse(JSON.parse(textOf(secret, 'sidecar.json')));
    return parsed.success ? (parsed.data.store as unknown as StoreAccess) : null;
  } catch {
    return null; // not as we wrote it
  }
}

const isSame = (one: StoreAccess, other: StoreAccess): boolean =>
  one.host === other.host &&
  one.port === other.port &&
  (one.keyPrefix ?? LEASE_DEFAULTS.keyPrefix) === (other.keyPrefix ?? LEASE_DEFAULTS.keyPrefix);

/**
 * A VM keeps the store that its sides were started with, whatever the Secret says by now: two sides with two stores would
 * both call themselves protected, and nobody could win. A new password of the same store is taken.
 */
export const keptStore =
  (read: StoreOf, secretsOf: (ftvm: StoredFtvm) => readonly Secret[]): StoreOf =>
  async (ftvm) => {
    const started = secretsOf(ftvm)
      .map(storeInUse)
      .find((one) => one !== null);
    const named = await read(ftvm);
    return started === undefined || isSame(started, named) ? named : started;
  };
