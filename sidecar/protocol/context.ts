// SPDX-License-Identifier: Apache-2.0
import type { SidecarConfig } from './config.js';
import type { ProtocolEvent } from './events.js';
import type { RequestIds } from './lease/desk.js';
import type { Outbox } from './outbox.js';
import type { EndReason } from './reasons.js';
import type { Numbers, Status } from './status.js';
import type { Lsn, Millis } from './types.js';
import type { Term } from './lease/tenure.js';

/** What the roles of one sidecar share. */
export interface Context {
  readonly config: SidecarConfig;
  readonly ids: RequestIds;
}

/** What a backup hands to the primary that it becomes. */
export interface Succession {
  readonly term: Term;
  /** Head of the log that it now records. */
  readonly head: Lsn;
  /** Index of the newest output it made; what is not known to be released is sent again. */
  readonly lastIndex: number;
}

/** What a role wants next. Null: it goes on. */
export type Turn =
  | { readonly type: 'end'; readonly reason: EndReason; readonly detail: string }
  | { readonly type: 'succeed'; readonly succession: Succession };

/** A role of a sidecar. */
export interface Role {
  handle(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null;
  /** This process stood still for `stalledMs` up to `now`, longer than a peer waits. Called before the event that shows it. */
  stalled(stalledMs: Millis, now: Millis): void;
  status(): Status;
  numbers(now: Millis): Numbers;
}

export function end(reason: EndReason, detail: string): Turn {
  return { type: 'end', reason, detail };
}
