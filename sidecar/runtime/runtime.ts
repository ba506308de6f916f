// SPDX-License-Identifier: Apache-2.0
/**
 * The one loop around the protocol: callbacks post events, the loop hands them to the pure core one at a
 * time and carries out the effects in their order. Nothing else in a sidecar decides anything.
 */
import type { Effect } from '../protocol/effects.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { Millis } from '../protocol/types.js';

/** The protocol's side: `Sidecar` of sidecar/protocol. */
export interface Core {
  start(now: Millis): readonly Effect[];
  handle(event: ProtocolEvent, now: Millis): readonly Effect[];
}

type Handler<T extends Effect['type']> = (effect: Extract<Effect, { type: T }>) => void;

/** One function per effect: the world's side. */
export type EffectHandlers = { readonly [T in Effect['type']]: Handler<T> };

export interface RuntimeOptions {
  readonly core: Core;
  readonly handlers: EffectHandlers;
  /** Monotonic, ms. */
  readonly now: () => Millis;
  /** A fault in the core or in a handler: this side can no longer be trusted and must die at once. */
  readonly crash: (error: unknown) => void;
}

export class Runtime {
  private readonly queue: ProtocolEvent[] = [];
  private draining = false;
  private ended = false;

  constructor(private readonly options: RuntimeOptions) {}

  /** Starts the core. Call once, first. */
  start(): void {
    this.run(() => {
      this.apply(this.options.core.start(this.options.now()));
    });
  }

  /** Hands an event in, now or after the one that is being handled. */
  post(event: ProtocolEvent): void {
    if (this.ended) return;
    this.queue.push(event);
    if (!this.draining) this.run(() => undefined);
  }

  private run(first: () => void): void {
    this.draining = true;
    try {
      first();
      this.drain();
    } catch (error) {
      this.ended = true;
      this.options.crash(error);
    } finally {
      this.draining = false;
    }
  }

  private drain(): void {
    for (let event = this.queue.shift(); event !== undefined && !this.ended; event = this.queue.shift()) {
      this.apply(this.options.core.handle(event, this.options.now()));
    }
  }

  private apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'end') this.ended = true;
      this.carryOut(effect);
    }
  }

  private carryOut(effect: Effect): void {
    // The table's type ties each handler to its effect; TypeScript cannot follow that through the index.
    const handler = this.options.handlers[effect.type] as (effect: Effect) => void;
    handler(effect);
  }
}
