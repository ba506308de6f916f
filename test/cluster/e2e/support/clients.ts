// SPDX-License-Identifier: Apache-2.0
// Who talks to the guests: a client on the second network, one inside the cluster.
import { join } from 'node:path';
import { Client } from '../../../../cli/demo/client.js';
import type { Reply } from '../../../../cli/demo/resp.js';
import { GUEST_PORTS } from '../../../../cli/local/layout.js';
import { placed } from '../../../../cli/local/processes.js';
import { until } from '../../../qemu/support/wait.js';
import { ask } from '../../bed/command.js';

const ASK = join(import.meta.dirname, 'ask.js');
const ASK_TIMEOUT_MS = 10_000;
const PAUSE_MS = 10;
const SERVES_MS_MAX = 60_000;
const REPLIES = 100;

/** A client that counts over one connection, from a network namespace of this machine. */
export const counting = (netns: string, host: string): Client =>
  new Client({ host, port: GUEST_PORTS.redis, from: { netns } }, PAUSE_MS);

/** The same connection goes on: so many replies more. Returns the longest wait, ms. */
export async function serves(client: Client): Promise<number> {
  let seen = 0;
  let worstMs = 0;
  await until('the client goes on', SERVES_MS_MAX, async () => {
    const window = await client.window();
    seen += window.replies;
    worstMs = Math.max(worstMs, window.worstMs);
    return seen >= REPLIES ? true : undefined;
  });
  return worstMs;
}

/**
 * One command over a new connection.
 * @throws LocalError when there is no connection or no reply within 10 s
 */
export async function askGuest(netns: string, host: string, words: readonly string[]): Promise<Reply> {
  const [file = '', ...args] = placed([process.execPath, ASK, host, String(GUEST_PORTS.redis), ...words], {
    netns,
  });
  return JSON.parse(await ask(file, args, { timeoutMs: ASK_TIMEOUT_MS })) as Reply;
}

/** Increments over a new connection, as soon as there is one. Returns the number that the guest has then. */
export function increment(netns: string, host: string, timeoutMs: number): Promise<number> {
  let last = '';
  return until(
    `a new client is served at ${host}`,
    timeoutMs,
    async () => {
      try {
        const reply = await askGuest(netns, host, ['INCR', 'by-service']);
        if (reply.kind === 'number') return reply.value;
        last = JSON.stringify(reply);
      } catch (error) {
        last = String(error);
      }
      return undefined;
    },
    () => last,
  );
}
