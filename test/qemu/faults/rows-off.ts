// SPDX-License-Identifier: Apache-2.0
// A VM that is switched off on purpose stays off: its backup must not bring it back, however the end is heard of.
import { sidecarStop } from '../../../cli/local/sidecar-api.js';
import type { PairStatus } from '../../../cli/local/status.js';
import { orderGuest } from '../support/guest.js';
import { cutBetween } from './host-faults.js';
import type { Row } from './row.js';
import type { Sides, Stage, Watched } from './stage.js';

/** Longer than a failover takes. */
const OFF_MS = 2000;

type SwitchOff = (stage: Stage, sides: Sides) => Promise<void>;

async function staysOff(stage: Stage, switchOff: SwitchOff): Promise<string> {
  const sides = await stage.protected();
  await switchOff(stage, sides);
  await stage.gone(sides.primary);
  await stage.gone(sides.backup);
  const off = ({ hosts }: PairStatus): boolean => hosts.every(({ kind }) => kind === 'idle');
  await stage.pair.until('both hosts to be empty', off);
  await stage.staysSo('the VM stays off', OFF_MS, off);
  await stage.coldStart(sides.primary.host);
  await stage.serves();
  return 'off, until a person started it';
}

async function controlOf(stage: Stage, side: Watched): Promise<string> {
  const { hosts } = await stage.pair.status();
  const socket = hosts.find(({ nonce }) => nonce === side.nonce)?.controlSocket;
  if (typeof socket !== 'string') throw new Error(`host ${side.host.name} has no control socket`);
  return socket;
}

async function byCommand(stage: Stage, { primary }: Sides): Promise<void> {
  await sidecarStop(await controlOf(stage, primary));
}

/** No goodbye comes through, and the backup has every reason to take over. */
async function byCommandInCut(stage: Stage, sides: Sides): Promise<void> {
  const control = await controlOf(stage, sides.primary);
  await cutBetween(sides.primary.host, sides.backup.host, 'both');
  await sidecarStop(control); // before the backup has noticed anything
}

const byGuest: SwitchOff = (stage) => orderGuest(stage.pair.pair.layout, 'poweroff');

const STAYS_OFF = 'both sides end, and the VM stays off until a person starts it';

export const OFF_ROWS: readonly Row[] = [
  {
    fault: 'stopped by command',
    state: 'I',
    outcome: STAYS_OFF,
    moves: 0,
    play: (s) => staysOff(s, byCommand),
  },
  {
    fault: 'stopped by command, channel cut both ways just before',
    state: 'I',
    outcome: STAYS_OFF,
    moves: 0,
    quick: true,
    play: (s) => staysOff(s, byCommandInCut),
  },
  {
    fault: 'the guest switches itself off',
    state: 'I',
    outcome: STAYS_OFF,
    moves: 0,
    quick: true,
    play: (s) => staysOff(s, byGuest),
  },
];
