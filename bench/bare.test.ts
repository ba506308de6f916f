// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { bareCommand } from './bare.js';

const COMMAND = [
  'qemu',
  '-machine',
  'q35',
  '-icount',
  'shift=1,rr=record,rrfile=x.ftlog',
  '-netdev',
  'stream,id=net0,addr.path=/a',
  '-object',
  'filter-replay,id=replay0,netdev=net0',
  '-object',
  '{"qom-type":"rng-builtin"}',
  '-m',
  '256M',
];
const PORTS = { redis: 1001, command: 1002 };

describe('a VM to compare with', () => {
  it('has the same devices, and nothing of record and replay', () => {
    const plain = bareCommand(COMMAND, 'plain', '10.1.2.100', PORTS);
    const net = plain[plain.indexOf('-netdev') + 1];
    expect(net).to.contain('user,id=net0').and.contain('net=10.1.2.0/24');
    expect(net)
      .to.contain('tcp:127.0.0.1:1001-10.1.2.100:6379')
      .and.contain('tcp:127.0.0.1:1002-10.1.2.100:7001');
    const rest = plain.filter((word) => word !== '-netdev' && word !== net);
    expect(rest).to.deep.equal([
      'qemu',
      '-machine',
      'q35',
      '-object',
      '{"qom-type":"rng-builtin"}',
      '-m',
      '256M',
    ]);
  });

  it('has the instruction clock when asked', () => {
    const icount = bareCommand(COMMAND, 'icount', '10.1.2.100', PORTS);
    expect(icount[icount.indexOf('-icount') + 1]).to.equal('shift=1');
  });
});
