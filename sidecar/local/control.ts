// SPDX-License-Identifier: Apache-2.0
/** How a host of the local pair asks its sidecar: HTTP, orders on a unix socket only. */
import type { Server } from 'node:http';
import { json, serveHttp, text, type Routes } from '../observe/http.js';
import type { Assembly } from '../runtime/assembly.js';
import type { Config } from './config.js';

type Command = Parameters<Assembly['command']>[0];

const readRoutes = (assembly: Assembly): Routes => ({
  'GET /status': () => json(assembly.status()),
  'GET /metrics': async () => text(await assembly.metrics()),
  'GET /healthz': () => text('ok\n'),
});

function commandRoutes(assembly: Assembly): Routes {
  const command = (event: Command) => () =>
    assembly.command(event)
      ? json({ accepted: true }, 202)
      : json({ error: 'not started yet: QEMU has not opened its log' }, 409);
  return {
    'POST /test-failover': command({ type: 'commandFailover' }),
    'POST /stop': command({ type: 'commandStop' }),
    'POST /reset': async () => {
      const refusal = await assembly.resetGuest();
      return refusal === null ? json({ accepted: true }, 202) : json({ error: refusal }, 409);
    },
  };
}

/** The servers; whoever hears the control socket answer starts QEMU. */
export async function serveControl(
  assembly: Assembly,
  { control, metrics }: Pick<Config, 'control' | 'metrics'>,
): Promise<Server[]> {
  const reading = readRoutes(assembly);
  const servers = metrics === undefined ? [] : [await serveHttp(metrics, reading)];
  const all = { ...reading, ...commandRoutes(assembly) };
  return [...servers, await serveHttp({ path: control.socket }, all)];
}
