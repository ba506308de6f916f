// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Pod } from './api/objects.js';
import { addressOf, NetworksError, withLoggingNetwork } from './logging-network.js';

describe('the network of the channel, as a pod asks Multus for it', () => {
  for (const [there, network, asked] of [
    [undefined, 'log', 'log@lockstep0'],
    ['', 'ft/log', 'ft/log@lockstep0'],
    ['l2, shop/storage@net7', 'ft/log', 'l2, shop/storage@net7,ft/log@lockstep0'],
    ['[]', 'log', '[{"name":"log","interface":"lockstep0"}]'],
    ['[{"name":"l2"}]', 'ft/log', '[{"name":"l2"},{"name":"log","namespace":"ft","interface":"lockstep0"}]'],
  ] as const) {
    it(`${network} beside ${String(there)}`, () => {
      expect(withLoggingNetwork(there, network)).to.equal(asked);
    });
  }

  it('is not guessed into what cannot be read', () => {
    for (const there of ['[', '{"name":"l2"}', '"l2"'])
      expect(() => withLoggingNetwork(there, 'log')).to.throw(NetworksError, 'k8s.v1.cni.cncf.io/networks');
  });
});

describe('where a sidecar is reached', () => {
  const ETH0 = { name: 'pods', interface: 'eth0', ips: ['10.0.0.9'], default: true };
  const withStatus = (status: unknown, podIP?: string, asks = true): Pod => ({
    metadata: {
      name: 'p',
      annotations: {
        ...(asks ? { 'lockstep.dev/logging-network': 'log' } : {}),
        'k8s.v1.cni.cncf.io/network-status': typeof status === 'string' ? status : JSON.stringify(status),
      },
    },
    status: podIP === undefined ? {} : { podIP },
  });
  const logging = (...ips: readonly string[]): unknown => [
    ETH0,
    { name: 'log', interface: 'lockstep0', ips },
  ];

  it('nowhere before its pod has an address', () => {
    expect(addressOf(withStatus(logging('192.168.9.1')))).to.equal(null);
  });

  it('on the pod network alone, when it has no other', () => {
    const pod = withStatus(logging('192.168.9.1'), '10.0.0.9', false);
    expect(addressOf(pod)).to.deep.equal({ channel: '10.0.0.9', api: '10.0.0.9' });
  });

  for (const [what, status, podIP, channel] of [
    ['where Multus has put it', logging('192.168.9.1'), '10.0.0.9', '192.168.9.1'],
    [
      'by an address of the kind that it listens at',
      logging('fd09::1', '192.168.9.1'),
      '10.0.0.9',
      '192.168.9.1',
    ],
    ['by IPv6 in a cluster of that', logging('192.168.9.1', 'fd09::1'), 'fd00::9', 'fd09::1'],
    ['not without an address', logging(), '10.0.0.9', null],
    ['not by an address of another kind', logging('fd09::1'), '10.0.0.9', null],
    [
      "not on the guest's own network",
      [ETH0, { name: 'log', interface: 'net1', ips: ['192.168.9.1'] }],
      '10.0.0.9',
      null,
    ],
    ['not by what is no address', logging('x'), '10.0.0.9', null],
    ['not by a status that is none', '{', '10.0.0.9', null],
    ['not by a status of another form', { interface: 'lockstep0' }, '10.0.0.9', null],
  ] as const) {
    it(what, () => {
      expect(addressOf(withStatus(status, podIP))).to.deep.equal({ channel, api: podIP });
    });
  }
});
