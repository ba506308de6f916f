// SPDX-License-Identifier: Apache-2.0
export { ArgvError } from './options.js';
export type { MachineOptions } from './machine.js';
export { backupArgv, deviceHash, nicOf, primaryArgv, shimEnvironment, type Files } from './rewrite.js';
