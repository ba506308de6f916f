// SPDX-License-Identifier: Apache-2.0
// What cannot work is refused by a real API server at apply, each in words that say what to change. Nothing is kept: these
// are dry runs, which the webhook is asked about as well.
import { expect } from 'chai';
import { GOOD, merged, type Json } from '../../../../operator/webhook/test/manifests.js';
import { MISSHAPEN, REFUSED, TAKEN } from '../../../../operator/webhook/test/refused.js';
import { messageOf } from '../../../../cli/local/errors.js';
import { kubectl } from '../../bed/kubectl.js';

const manifestOf = (template: unknown): string =>
  JSON.stringify({
    apiVersion: 'lockstep.dev/v1alpha1',
    kind: 'FaultTolerantVM',
    metadata: { name: 'refused', namespace: 'default' },
    spec: { template },
  });

/** Empty when it is taken. */
const refusalOf = (change: Json): Promise<string> =>
  kubectl(['apply', '--dry-run=server', '-f', '-'], { input: manifestOf(merged(GOOD, change)) }).then(
    () => '',
    messageOf,
  );

/** KubeVirt's own words, which the dry run of a side's VMI has brought: what is taken by us may wait for a gate of its. */
const GATE_IS_OFF = /the cluster refuses the VMI .*feature gate is not enabled/;

describe('at apply', () => {
  for (const change of TAKEN) {
    it(`is taken, or needs a feature gate of KubeVirt: ${JSON.stringify(change)}`, async () => {
      const refusal = await refusalOf(change);
      expect(refusal === '' || GATE_IS_OFF.test(refusal), refusal).to.equal(true);
    });
  }

  for (const [change, , words] of REFUSED) {
    it(`is refused: ${JSON.stringify(change)}`, async () => {
      expect(await refusalOf(change)).to.match(words);
    });
  }

  for (const [change] of MISSHAPEN) {
    it(`is refused as of another kind: ${JSON.stringify(change)}`, async () => {
      expect(await refusalOf(change)).to.not.equal('');
    });
  }
});
