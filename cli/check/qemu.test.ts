// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPO } from '../local/layout.js';
import { checkQemu, knownLogVersions, neededSymbols } from './qemu.js';

describe("check: the shim's own tables", () => {
  it('tell the symbols that it needs', async () => {
    const names = neededSymbols(await readFile(join(REPO, 'native/shim/symbols.h'), 'utf8'));
    expect(names).to.include.members(['replay_mutex_lock', 'timer_init_full', 'qemu_get_cpu', 'replay_mode']);
    expect(names).not.to.include('name');
  });

  it('tell the log versions that are known', async () => {
    const versions = knownLogVersions(await readFile(join(REPO, 'native/ftlog/parse.h'), 'utf8'));
    expect(versions).to.include(0xe0200c);
  });
});

describe('check: a QEMU', () => {
  it('that is not there is a lack with a cure', async () => {
    const findings = await checkQemu('qemu-system-that-is-not-there');
    expect(findings).to.have.length(1);
    expect(findings[0]).to.include({ ok: false, name: 'QEMU' });
  });

  it('that is no QEMU lacks all three', async () => {
    const findings = await checkQemu('true');
    expect(findings.map((one) => one.ok)).to.deep.equal([false, false, false]);
  });
});
