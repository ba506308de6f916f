// SPDX-License-Identifier: Apache-2.0
/** What each effect of the protocol does in the world. */
import type { Logger } from 'winston';
import type { Ring } from '../../native/addon/index.js';
import type { LeaseStore } from '../io/lease/port.js';
import type { OutputQueue } from '../io/outputs.js';
import type { Effect } from '../protocol/effects.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { Status } from '../protocol/status.js';
import type { Clones } from './clones.js';
import type { Disks } from './disks/disks.js';
import type { Ingress } from './ingress.js';
import type { Journal } from './journal.js';
import type { Links } from './links.js';
import type { EffectHandlers } from './runtime.js';

export interface World {
  readonly ring: Ring;
  readonly links: Links;
  readonly clones: Clones;
  readonly disks: Disks;
  readonly lease: LeaseStore;
  readonly outputs: OutputQueue;
  readonly ingress: Ingress;
  readonly journal: Journal;
  readonly logger: Logger;
  /** Tells the network where the guest is now. Never throws. */
  readonly announce: () => void;
  readonly post: (event: ProtocolEvent) => void;
  readonly onStatus: (status: Status) => void;
  /** Something that must never fail has failed. */
  readonly fail: (error: unknown) => void;
  readonly end: (effect: Extract<Effect, { type: 'end' }>) => void;
}

export function effectHandlers(world: World): EffectHandlers {
  const { ring, links, clones, disks, outputs, ingress, journal } = world;
  return {
    dial: () => {
      links.dial();
    },
    send: ({ link, frame }) => {
      links.send(link, frame);
    },
    ship: ({ link, from, to, end }) => {
      links.ship(link, from, to, end);
    },
    closeLink: ({ link, reason }) => {
      world.logger.debug(`connection ${String(link)} closed: ${reason}`);
      links.close(link);
    },
    lease: ({ id, request }) => {
      world.lease.ask(request).then((answer) => {
        world.post({ type: 'leaseAnswer', id, answer });
      }, world.fail);
    },
    startClone: ({ attempt, link }) => {
      clones.send(attempt, link);
    },
    abortClone: ({ attempt }) => {
      clones.abort(attempt);
    },
    receiveClone: () => {
      clones.receive();
      disks.receive();
    },
    logFrom: ({ lsn }) => {
      ring.begin(lsn);
      disks.follow();
      ingress.newLog();
      clones.positionKnown();
    },
    retain: ({ on }) => {
      ring.setRetain(on);
    },
    reclaim: ({ below }) => {
      ring.reclaim(below);
    },
    pace: ({ permille }) => {
      ring.setPace(permille);
    },
    promote: () => {
      journal.promoted();
      disks.promote();
      ring.promote();
    },
    diskAnswer: ({ disk, id }) => {
      disks.answer(disk, id);
    },
    diskOutcome: (outcome) => {
      disks.learn(outcome);
    },
    copyDisks: ({ attempt, link }) => {
      disks.copyTo(attempt, link);
    },
    endCopy: () => {
      disks.endCopy();
    },
    release: ({ through, limit }) => {
      outputs.release(through, limit);
    },
    drop: ({ through }) => {
      outputs.drop(through);
    },
    ingress: () => {
      const { forwarded, own } = ingress.open();
      const kept = `${String(forwarded)} that the primary had, ${String(own)} of this network`;
      world.logger.info(`packets go to the guest, first those kept: ${kept}`, { reason: 'ingress' });
    },
    announce: () => {
      world.announce();
    },
    report: ({ level, reason, message }) => {
      journal.report(level, reason, message);
      world.logger.log(level, message, { reason });
    },
    status: ({ status }) => {
      disks.statusChanged(status);
      world.onStatus(status);
    },
    end: world.end,
  };
}
