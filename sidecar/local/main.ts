#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `node build/sidecar/local/main.js --config FILE`: one sidecar, for one QEMU, until one of them ends. */
import type { Server } from 'node:http';
import { Command } from 'commander';
import { Assembly } from '../runtime/assembly.js';
import { ConfigError } from '../settings.js';
import { readConfig } from './config.js';
import { serveControl } from './control.js';
import { openSite } from './site.js';

const EXIT_ORDERLY = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command('lockstep-sidecar').requiredOption('--config <file>', 'settings, JSON').parse();

// A log that cannot be written (disk full, reader gone) must not end the side that serves the guest.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

async function run(file: string): Promise<void> {
  const config = readConfig(file);
  const servers: Server[] = [];
  const assembly = await Assembly.open(openSite(config), {
    onStatus: () => undefined,
    onEnding: () => {
      for (const server of servers) server.close();
    },
    onEnd: ({ onPurpose }, failed) => process.exit(onPurpose && !failed ? EXIT_ORDERLY : EXIT_FAILED),
  });
  servers.push(...(await serveControl(assembly, config)));
  assembly.follow();
}

try {
  await run(program.opts<{ config: string }>().config);
} catch (error) {
  process.stderr.write(`lockstep-sidecar: ${(error as Error).message}\n`);
  process.exit(error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED);
}
