// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Ftvm } from '../api/ftvm.js';
import { objectionsTo } from '../webhook/validate.js';
import { badVm, goodVm } from './probes.js';

/** As the webhook gets it; the API server has added what the schema says, which this webhook does not look at. */
const asAsked = (vm: unknown): Ftvm => vm as Ftvm;

describe('VMs that an installation is tried with', () => {
  it('are judged by the webhook as the check expects', () => {
    expect(objectionsTo(asAsked(goodVm('system')), null)).to.deep.equal([]);
    expect(objectionsTo(asAsked(badVm('system')), null).map(({ field }) => field)).to.deep.equal([
      'spec.template.spec.domain.cpu',
    ]);
  });
});
