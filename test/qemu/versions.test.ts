// SPDX-License-Identifier: Apache-2.0
// A second QEMU release: Debian trixie's, in a root of its own (test/qemu/root). Pairs are of one version; a backup of
// another is refused, and the reason says why.
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { REPO } from '../../cli/local/layout.js';
import { run } from '../../cli/local/run.js';
import { saveSettings } from '../../cli/local/settings.js';
import { failoverCycle, replies } from './support/cycle.js';
import type { TestPair } from './support/pair.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

const CYCLES = 5;
const ROOT_MS_MAX = 1_500_000;
const REFUSED_MS_MAX = 60_000;
const RERUN = 'npx mocha --timeout 600000 build/test/qemu/versions.test.js';
const saidSchema = z.object({ journal: z.array(z.object({ reason: z.string(), message: z.string() })) });
const TRIXIE_QEMU = join(REPO, 'test/qemu/root/qemu.sh');

/** What the primary says of a backup that it did not take; undefined: nothing yet. */
async function refusal(pair: TestPair): Promise<string | undefined> {
  const { hosts, primary } = await pair.status();
  const said = saidSchema.safeParse(hosts.find((host) => host.name === primary)?.sidecar);
  return said.data?.journal.find(({ reason }) => reason === 'qemuVersion')?.message;
}

describe("Debian trixie's QEMU", () => {
  before("builds trixie's root, once", async function () {
    this.timeout(ROOT_MS_MAX);
    await run('bash', [join(REPO, 'test/qemu/root/build.sh')], { timeoutMs: ROOT_MS_MAX });
  });

  describe('on both hosts', () => {
    const suite = suiteWithPair('trixie', RERUN, { qemuBinary: TRIXIE_QEMU });

    it(`${CYCLES} of ${CYCLES} failover cycles, every increment exact, consoles bit-identical`, async () => {
      const { pair } = suite;
      const client = pair.client();
      try {
        await replies(client, 100);
        await pair.protect();
        for (let n = 1; n <= CYCLES; n++) await failoverCycle(pair, client);
        const { acknowledged, found } = await client.finish();
        expect(found).to.equal(acknowledged);
      } finally {
        client.kill();
      }
    });
  });

  describe('on one host only', () => {
    const suite = suiteWithPair('mixed', RERUN);

    it('is refused as a backup of another version, by name; the guest runs on', async () => {
      const { pair } = suite;
      const { layout, settings } = pair.pair;
      const other = pair.host('b');
      const primary = await pair.primary();
      const client = pair.client();
      try {
        // A host reads the pair's settings when it boots.
        await saveSettings(layout, { ...settings, qemuBinary: TRIXIE_QEMU });
        await pair.kill(other);
        await pair.until('the other host boots', ({ hosts }) =>
          hosts.some((host) => host.name === other.name && host.kind === 'idle'),
        );
        await pair.wantProtection(true);
        const reason = await until('a refusal', REFUSED_MS_MAX, () => refusal(pair));
        expect(reason).to.match(/refused: QEMU 10\.0\.13.* cannot follow 10\.0\.2/);
        const status = await pair.status();
        expect(status.status).to.equal('Not Protected');
        expect(status.primary).to.equal(primary.host.name);
        await replies(client, 50);
      } finally {
        client.kill();
      }
    });
  });
});
