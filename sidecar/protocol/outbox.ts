// SPDX-License-Identifier: Apache-2.0
import type { Effect } from './effects.js';
import type { Frame } from './frames.js';
import type { LinkId } from './types.js';

/** Collects the effects of one event, in order. */
export class Outbox {
  readonly effects: Effect[] = [];

  push(effect: Effect): void {
    this.effects.push(effect);
  }

  send(link: LinkId | null, frame: Frame): void {
    if (link !== null) this.push({ type: 'send', link, frame });
  }

  report(level: 'info' | 'warn' | 'error', reason: string, message: string): void {
    this.push({ type: 'report', level, reason, message });
  }
}
