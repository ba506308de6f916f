// SPDX-License-Identifier: Apache-2.0
// What a running sidecar is told, over its control socket.
import { z } from 'zod';
import { callUnix } from './unix-http.js';

const COMMAND_TIMEOUT_MS = 5000;

const command = (controlSocket: string, path: string): Promise<unknown> =>
  callUnix({
    socket: controlSocket,
    method: 'POST',
    path,
    timeoutMs: COMMAND_TIMEOUT_MS,
    answer: z.unknown(),
  });

/** Asks the primary for a planned failover. Its end shows in status. */
export const sidecarTestFailover = (controlSocket: string): Promise<unknown> =>
  command(controlSocket, '/test-failover');

/** Resets the machine of the side that runs the VM. */
export const sidecarReset = (controlSocket: string): Promise<unknown> => command(controlSocket, '/reset');

/** Asks the sidecar to end in order. */
export const sidecarStop = (controlSocket: string): Promise<unknown> => command(controlSocket, '/stop');
