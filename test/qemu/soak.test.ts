// SPDX-License-Identifier: Apache-2.0
// A minute of load: queues stay far within their bounds, and nobody's memory runs away. A minute is too short to
// judge a slope; `npm run test:soak` takes ten and does.
import { expect } from 'chai';
import { replies } from './support/cycle.js';
import { growth, QUEUE_BOUNDS, queuePeaks, soak } from './support/soak.js';
import { suiteWithPair } from './support/suite.js';

const DURATION_MS = 60_000;
/** A sidecar's heap, buffers and code, with room: a queue without a bound passes this within seconds. */
const SIDECAR_MIB_MAX = 300;
const RERUN = 'npx mocha --timeout 600000 build/test/qemu/soak.test.js';

describe('a minute of load', () => {
  const suite = suiteWithPair('soak', RERUN);

  it('leaves queues and memory within their bounds', async () => {
    const { pair } = suite;
    const client = pair.client(0);
    try {
      await pair.protect();
      const samples = await soak(pair, DURATION_MS, async () => {
        await replies(client, 1);
      });
      const peaks = queuePeaks(samples);
      expect(peaks.heldOutputs).to.be.at.most(QUEUE_BOUNDS.heldOutputs);
      expect(peaks.heldBytes).to.be.at.most(QUEUE_BOUNDS.heldBytes);
      expect(peaks.retainedOutputs).to.be.at.most(QUEUE_BOUNDS.retainedOutputs);
      for (const { who, maxMiB } of growth(samples)) {
        if (who.endsWith('sidecar')) expect(maxMiB, who).to.be.at.most(SIDECAR_MIB_MAX);
      }
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });
});
