// SPDX-License-Identifier: Apache-2.0
// Runs inside a network namespace and asks sidecars what its parent wants to know, over the IPC channel.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChannelTls } from '../../../sidecar/io/channel/tls.js';
import { SidecarClient } from '../../../sidecar/kubevirt/client.js';
import { PORTS } from '../../../sidecar/kubevirt/config.js';
import type { News, Order, Target } from './operator-messages.js';

const RECONNECT_MS = 50;
const FOR_EVER = new AbortController().signal;

let keys: ChannelTls | null = null;

/** A parent that does not hear any more is about to end this program ('disconnect'). */
const say = (news: News): void => {
  process.send?.(news, undefined, undefined, () => undefined);
};

function clientOf({ host, vm }: Target): SidecarClient {
  const own = keys;
  if (own === null) throw new Error('the test gives the keys first');
  return new SidecarClient({ host, port: PORTS.api, vm, tls: () => own });
}

async function watch(target: Target): Promise<void> {
  for (;;) {
    await clientOf(target)
      .watch((status) => {
        say({ kind: 'status', name: target.name, status });
      }, FOR_EVER)
      .catch(() => undefined); // not there yet, or over: the test waits for what it wants to see
    await sleep(RECONNECT_MS);
  }
}

function obey(order: Order): Promise<void> {
  switch (order.verb) {
    case 'keys':
      keys = order.keys;
      return Promise.resolve();
    case 'watch':
      return watch(order.target);
    case 'command':
      return clientOf(order.target)
        .command(order.command)
        .then(
          () => {
            say({ kind: 'done', id: order.id, error: null });
          },
          (error: unknown) => {
            say({ kind: 'done', id: order.id, error: (error as Error).message });
          },
        );
  }
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => {
    process.stderr.write(`operator: ${String(error)}\n`);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(0));
