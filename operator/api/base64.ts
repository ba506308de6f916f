// SPDX-License-Identifier: Apache-2.0
/** Texts as the API keeps them in Secrets and in webhook configurations. */
import type { Secret } from './objects.js';

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

export const fromBase64 = (encoded: string): string => Buffer.from(encoded, 'base64').toString('utf8');

/** One value of a Secret; empty when it has none of that name. */
export const textOf = (secret: Secret, key: string): string => fromBase64(secret.data?.[key] ?? '');
