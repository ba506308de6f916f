// SPDX-License-Identifier: Apache-2.0
// As much of Redis' protocol (RESP2) as a counter needs.

export type Reply =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string | null }
  | { readonly kind: 'error'; readonly words: string };

export class RespError extends Error {
  readonly code = 'RESP_GARBAGE';
  override readonly name = 'RespError';
}

/** A reply without an end would be kept for ever. */
const PENDING_BYTES_MAX = 64 * 1024;

/** ['INCR', 'n'] as an array of bulk strings. */
export function encodeCommand(words: readonly string[]): string {
  const bulk = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${bulk.join('')}`;
}

interface Parsed {
  readonly reply: Reply;
  readonly end: number;
}

function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new RespError(`not a number: ${JSON.stringify(text.slice(0, 40))}`);
  return Number(text);
}

function bulk(buffer: string, length: number, start: number): Parsed | undefined {
  if (length === -1) return { reply: { kind: 'text', value: null }, end: start };
  if (length < 0 || length > PENDING_BYTES_MAX) throw new RespError(`a text of ${length} bytes`);
  const end = start + length + 2;
  if (buffer.length < end) return undefined;
  if (buffer.slice(end - 2, end) !== '\r\n') throw new RespError('a text without its end');
  return { reply: { kind: 'text', value: buffer.slice(start, end - 2) }, end };
}

/** One reply at the buffer's begin; undefined while it is not whole. */
function parse(buffer: string): Parsed | undefined {
  const line = buffer.indexOf('\r\n');
  if (line < 0) return undefined;
  const [kind, rest, end] = [buffer.charAt(0), buffer.slice(1, line), line + 2];
  switch (kind) {
    case ':':
      return { reply: { kind: 'number', value: wholeNumber(rest) }, end };
    case '+':
      return { reply: { kind: 'text', value: rest }, end };
    case '-':
      return { reply: { kind: 'error', words: rest }, end };
    case '$':
      return bulk(buffer, wholeNumber(rest), end);
    default:
      throw new RespError(`a reply that begins with ${JSON.stringify(kind)}`);
  }
}

/** Takes bytes as they come (as latin1 text, so that characters are bytes) and gives whole replies. */
export class ReplyReader {
  #pending = '';

  /** @throws RespError when this is not RESP, or grows beyond all bounds. */
  push(chunk: string): Reply[] {
    this.#pending += chunk;
    const replies: Reply[] = [];
    for (let one = parse(this.#pending); one !== undefined; one = parse(this.#pending)) {
      replies.push(one.reply);
      this.#pending = this.#pending.slice(one.end);
    }
    if (this.#pending.length > PENDING_BYTES_MAX) throw new RespError('a reply without an end');
    return replies;
  }
}
