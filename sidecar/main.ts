#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `node build/sidecar/main.js --config FILE`: one sidecar, for one QEMU, until one of them ends. */
import { Command } from 'commander';
import { ConfigError, readConfig } from './config.js';
import { SidecarHost } from './runtime/host.js';

const EXIT_USAGE = 2;
const EXIT_FAILED = 1;

const program = new Command('lockstep-sidecar').requiredOption('--config <file>', 'settings, JSON').parse();

// A log that cannot be written (disk full, reader gone) must not end the side that serves the guest.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

try {
  const { config } = program.opts<{ config: string }>();
  await SidecarHost.start(readConfig(config), (code) => process.exit(code));
} catch (error) {
  process.stderr.write(`lockstep-sidecar: ${(error as Error).message}\n`);
  process.exit(error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED);
}
