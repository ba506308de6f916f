// SPDX-License-Identifier: Apache-2.0
// Which cluster the tests are about: the bed's own, whose nodes they may kill, or one that somebody else runs.
import type { AsyncFunc, Suite } from 'mocha';
import { GUEST_IMAGE } from '../../bed/settings.js';

export interface World {
  /** Nodes are containers on this machine: they can be killed, frozen, cut off. */
  readonly hasBed: boolean;
  /** Image with the test guest's kernel and initrd in /boot. */
  readonly guestImage: string;
}

let world: World = { hasBed: true, guestImage: GUEST_IMAGE };

export function useWorld(chosen: World): void {
  world = chosen;
}

export const theWorld = (): World => world;

const left: string[] = [];

/** A test that needs power over the nodes, or the bed's second network. Elsewhere it is told as not played. */
export function itOnBed(title: string, body: AsyncFunc): void {
  if (world.hasBed) it(title, body);
  else left.push(title);
}

/** A suite of such tests. */
export function describeOnBed(title: string, body: (this: Suite) => void): void {
  if (world.hasBed) describe(title, body);
  else left.push(title);
}

export const notPlayed = (): readonly string[] => left;
