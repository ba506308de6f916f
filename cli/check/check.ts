// SPDX-License-Identifier: Apache-2.0
// Is this machine able? Everything is looked at, so that all lacks are told at once.
import { LocalError } from '../local/errors.js';
import type { Finding } from './finding.js';
import {
  checkBuilt,
  checkKernel,
  checkMemory,
  checkNetns,
  checkNode,
  checkRoot,
  checkShm,
} from './machine.js';
import { checkQemu } from './qemu.js';
import { checkRedis } from './redis.js';

/** `guestMiB`: the memory of the VM that is to run here twice. */
export async function checkMachine(qemuBinary: string, guestMiB: number): Promise<Finding[]> {
  const [qemu, kernel, built, ...rest] = await Promise.all([
    checkQemu(qemuBinary),
    checkKernel(),
    checkBuilt(),
    checkNetns(),
    checkRedis(),
    checkMemory(guestMiB),
    checkShm(),
  ]);
  return [checkRoot(), checkNode(), ...qemu, ...kernel, ...built, ...rest];
}

/** @throws LocalError UNABLE with each lack and its cure. */
export async function requireAble(qemuBinary: string, guestMiB: number): Promise<void> {
  const findings = await checkMachine(qemuBinary, guestMiB);
  const lacks = findings.flatMap((one) => (one.ok ? [] : [`  ${one.name}: ${one.found}. ${one.cure}`]));
  if (lacks.length > 0) {
    throw new LocalError('UNABLE', `this machine is not able yet:\n${lacks.join('\n')}`);
  }
}
