// SPDX-License-Identifier: Apache-2.0
/**
 * What others say (sidecars, nodes, errors), made such that the API takes it and gives it back unchanged. A status must
 * be told whatever they say: it is never refused, only cut or named otherwise. Pure.
 */

const WORD = /^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$/;
const WORD_CHARACTERS_MAX = 100;
const SENTENCE_CHARACTERS_MAX = 1_000;
/** An engine's nonce has 32. */
const NONCE_CHARACTERS_MAX = 128;

/** A reason: what was said if it is one plain word, or else `otherwise`. */
export const wordSaid = (said: string | undefined, otherwise: string): string =>
  said !== undefined && said.length <= WORD_CHARACTERS_MAX && WORD.test(said) ? said : otherwise;

/** A message: bounded, and in characters that there are (what is none comes back as another one). */
export const sentenceSaid = (said: string, charactersMax = SENTENCE_CHARACTERS_MAX): string =>
  wellFormed(said.length > charactersMax ? `${said.slice(0, charactersMax)}…` : said);

/** A whole number from 0 that the API keeps as it is; null for what is none. */
export const wholeSaid = (said: number): number | null => {
  const whole = Math.round(said);
  return Number.isSafeInteger(whole) && whole >= 0 ? whole + 0 : null;
};

/** A nonce; null for what can't be one. */
export const nonceSaid = (said: string | null): string | null =>
  said !== null && said !== '' && said.length <= NONCE_CHARACTERS_MAX && wellFormed(said) === said
    ? said
    : null;

/** Halves of characters that stand alone are replaced, as the API server would. */
export const wellFormed = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');

/** At most so many bytes of it in UTF-8, and no part of a character. */
export function cutToBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return bytes.toString('utf8');
  let end = bytesMax;
  // A byte that goes on with a character begins with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
