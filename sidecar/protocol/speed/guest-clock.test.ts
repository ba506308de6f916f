// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { GuestClock } from './guest-clock.js';

describe("the guest's clock", () => {
  it('goes as fast as the guest is let run', () => {
    const clock = new GuestClock();
    clock.run(5_000, 0);
    expect(clock.ms, 'begins when it is first looked at').to.equal(0);
    clock.run(5_100, 0);
    expect(clock.ms).to.equal(100);
    clock.run(5_200, 750);
    expect(clock.ms).to.equal(125);
    clock.run(9_000, 1_000);
    expect(clock.ms, 'a guest that is held does not age').to.equal(125);
  });
});
