// SPDX-License-Identifier: Apache-2.0
// Stands in for a sidecar in tests of agent and controller: answers GET /status, with what the file
// status.json beside its settings, or in its host's folder, says, or as a primary that is alone or a backup that is armed.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { routes } from '../routes.js';

const settingsSchema = z.looseObject({
  nonce: z.string(),
  start: z.looseObject({ role: z.enum(['primary', 'backup']) }),
  control: z.looseObject({ socket: z.string() }),
});

const file = process.argv[3] ?? '';
const settings = settingsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
const { role } = settings.start;

const toldIn = async (folder: string): Promise<object> =>
  z.looseObject({}).parse(JSON.parse(await readFile(join(folder, 'status.json'), 'utf8')));

async function status(): Promise<unknown> {
  const own = {
    role,
    phase: role === 'primary' ? 'alone' : 'armed',
    epoch: 1,
    nonce: settings.nonce,
    peer: null,
    protection: { word: 'Not Protected', state: 'Need Secondary VM', reason: 'initializing' },
    lease: null,
    numbers: null,
  };
  const told = await toldIn(dirname(file))
    .catch(() => toldIn(dirname(dirname(file))))
    .catch(() => ({}));
  return { ...own, ...told };
}

createServer(routes({ 'GET /status': status })).listen(settings.control.socket);
