// SPDX-License-Identifier: Apache-2.0

/** What the test tells tap-program.ts. */
export type TapCommand =
  | { readonly verb: 'open'; readonly name: string; readonly mtu: number | null }
  | { readonly verb: 'open-another'; readonly name: string }
  | { readonly verb: 'adopt'; readonly path: string }
  | { readonly verb: 'adopt-inherited'; readonly fd: number }
  | { readonly verb: 'start' }
  | { readonly verb: 'respond'; readonly on: boolean }
  | { readonly verb: 'pause' }
  | { readonly verb: 'resume' }
  | { readonly verb: 'write'; readonly hex: string }
  | { readonly verb: 'take' }
  | { readonly verb: 'close' }
  | { readonly verb: 'cycle'; readonly times: number };

/** What it says: one done or failed for each command, and what happened in between. */
export type TapReport =
  | { readonly event: 'done'; readonly result: unknown }
  | { readonly event: 'failed'; readonly code: string }
  | { readonly event: 'frames'; readonly count: number }
  | { readonly event: 'error'; readonly code: string };
