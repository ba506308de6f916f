// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { spans, timeOf } from './wire.js';

describe('packets at the switch', () => {
  it('have the time that tcpdump gives them', () => {
    expect(timeOf('1764290000.000123 IP 10.99.0.101.6379 > 10.99.0.201.4: Flags [P.], length 4')).to.equal(
      1_764_290_000_000_123,
    );
    expect(timeOf('listening on veth0, link-type EN10MB')).to.equal(null);
  });

  it('tell from when to when each node sent, the first that sent first', () => {
    const sent = [
      { node: 'b', atUs: 30 },
      { node: 'a', atUs: 10 },
      { node: 'a', atUs: 20 },
      { node: 'b', atUs: 40 },
    ];
    expect(spans(sent)).to.deep.equal([
      { node: 'a', firstUs: 10, lastUs: 20 },
      { node: 'b', firstUs: 30, lastUs: 40 },
    ]);
  });
});
