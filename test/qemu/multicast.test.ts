// SPDX-License-Identifier: Apache-2.0
// A switch that snoops IGMP sends a group's packets only where it has heard of a member. After a failover it hears of the
// guest's at once, and not with the guest's answer to the next query.
import { setTimeout as sleep } from 'node:timers/promises';
import { inNetns } from '../../cli/local/network.js';
import { tellGuest } from './support/guest.js';
import { PATIENT } from './support/pair.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/multicast.test.js';
const GROUP = '239.77.0.1';
/** RFC 3376 8.11: a host says twice that it has joined, the second time within 1 s; so it answers the switch's one query. */
const ANSWER_CENTISECONDS = '100';
const ALL_SAID_MS = 5_000;
/** The switch below asks who listens once in a day. */
const HEARD_MS_MAX = 5_000;
const CENTISECONDS_PER_DAY = '8640000';

describe('a guest that has joined a multicast group', () => {
  const suite = suiteWithPair('multicast', RERUN, { sidecarOverrides: PATIENT });

  const onSwitch = (...command: string[]): Promise<string> => {
    const [file = '', ...args] = command;
    return inNetns(suite.pair.pair.layout.bridgeNetns, file, args);
  };

  const hearsOfMember = (host: string): Promise<true> =>
    until(`the switch knows that ${GROUP} is wanted on host ${host}`, HEARD_MS_MAX, async () => {
      const known = await onSwitch('bridge', 'mdb', 'show', 'dev', 'br0');
      return known.includes(`port to-host-${host} grp ${GROUP} `) ? true : undefined;
    });

  it('is known to the switch right after it went live on the other host', async () => {
    const { pair } = suite;
    await pair.protect();
    const bridge = ['ip', 'link', 'set', 'br0', 'type', 'bridge'];
    await onSwitch(...bridge, 'mcast_query_interval', CENTISECONDS_PER_DAY, 'mcast_startup_query_count', '0');
    await onSwitch(...bridge, 'mcast_query_response_interval', ANSWER_CENTISECONDS);
    await onSwitch(...bridge, 'mcast_igmp_version', '3', 'mcast_snooping', '1', 'mcast_querier', '1');
    const [primary, backup] = [await pair.primary(), await pair.backup()];
    await tellGuest(pair.pair.layout, `join ${GROUP}`);
    await hearsOfMember(primary.host.name);
    await sleep(ALL_SAID_MS);
    await pair.kill(primary.host);
    await pair.untilLive(backup);
    await hearsOfMember(backup.host.name);
  });
});
