// SPDX-License-Identifier: Apache-2.0
import { Backup } from './backup/backup.js';
import type { SidecarConfig } from './config.js';
import type { Context, Role, Turn } from './context.js';
import { end } from './context.js';
import type { Effect } from './effects.js';
import type { ProtocolEvent } from './events.js';
import { InvariantError, invariant } from './invariant.js';
import { RequestIds } from './lease/desk.js';
import { Outbox } from './outbox.js';
import { Primary } from './primary/primary.js';
import { isOnPurpose } from './reasons.js';
import type { Numbers, Status } from './status.js';
import { sameStatus } from './status.js';
import type { Millis } from './types.js';

/**
 * One sidecar: the whole protocol of one engine incarnation, as a function from events to effects. The contract
 * with the I/O side is at the top of events.ts and effects.ts.
 */
export class Sidecar {
  readonly #context: Context;
  #role: Role | null = null;
  #ended: Status | null = null;
  #now: Millis | null = null;
  #statusSent: Status | null = null;

  constructor(config: SidecarConfig) {
    invariant(/^[0-9a-f]{32}$/.test(config.nonce), 'a nonce is 32 lower-case hex digits');
    this.#context = { config, ids: new RequestIds() };
  }

  /** Begins. Call once, before `handle`. */
  start(now: Millis): readonly Effect[] {
    invariant(this.#role === null && this.#ended === null, 'a sidecar starts once');
    const out = new Outbox();
    const { coldStart } = this.#context.config;
    this.#now = now;
    this.#role =
      coldStart === null
        ? new Backup(this.#context, now, out)
        : Primary.found(this.#context, coldStart, now, out);
    this.#tellStatus(out);
    return out.effects;
  }

  /** One event; `now` as said in events.ts. After an `end` effect nothing happens any more. */
  handle(event: ProtocolEvent, now: Millis): readonly Effect[] {
    if (this.#role === null) return [];
    const out = new Outbox();
    const turn = this.#step(this.#role, event, now, out);
    if (turn?.type === 'end') this.#end(turn.reason, turn.detail, out);
    else if (turn !== null) this.#role = Primary.succeed(this.#context, turn.succession, now, out);
    this.#tellStatus(out);
    return out.effects;
  }

  get status(): Status {
    const status = this.#role?.status() ?? this.#ended;
    invariant(status !== null, 'a sidecar is asked after its start');
    return status;
  }

  /** Null before start and after the end. */
  numbers(now: Millis): Numbers | null {
    return this.#role?.numbers(now) ?? null;
  }

  /** A mistake in this program ends this side: the peer takes over. */
  #step(role: Role, event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    try {
      this.#advance(role, now);
      return role.handle(event, now, out);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      return end('broken', error.message);
    }
  }

  #advance(role: Role, now: Millis): void {
    const before = this.#now ?? now;
    invariant(now >= before, 'time does not go back');
    this.#now = now;
    const stalledMs = now - before;
    if (stalledMs > this.#context.config.limits.deadAfterMs) role.stalled(stalledMs, now);
  }

  #end(reason: Extract<Turn, { type: 'end' }>['reason'], detail: string, out: Outbox): void {
    const status = this.status;
    this.#role = null;
    this.#ended = {
      ...status,
      role: 'ended',
      phase: 'ended',
      protection: { word: 'Not Protected', state: 'VM not Running', reason },
      lease: null,
    };
    out.report(isOnPurpose(reason) ? 'info' : 'error', reason, detail);
    this.#tellStatus(out);
    out.push({ type: 'end', reason, detail });
  }

  #tellStatus(out: Outbox): void {
    const status = this.#role?.status() ?? this.status;
    if (this.#statusSent !== null && sameStatus(status, this.#statusSent)) return;
    this.#statusSent = status;
    out.push({ type: 'status', status });
  }
}
