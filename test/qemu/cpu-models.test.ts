// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { CPU_MODELS } from '../../sidecar/qemu/cpu-models.js';

/** Other processors on other machines. */
const OF_THE_HOST = ['base', 'host', 'max'];

it('the processors that a VM may have are those that QEMU has', () => {
  const help = execFileSync('qemu-system-x86_64', ['-cpu', 'help'], { encoding: 'utf8' });
  const [models = ''] = help.split('\n\n');
  const names = models
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/)[0] ?? '');
  expect([...CPU_MODELS, ...OF_THE_HOST]).to.have.members(names.filter((name) => name !== ''));
});
