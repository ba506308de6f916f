// SPDX-License-Identifier: Apache-2.0
import type { ChannelTls } from '../../../sidecar/io/channel/tls.js';
import type { Command } from '../../../sidecar/kubevirt/client.js';
import type { VmiStatus } from '../../../sidecar/observe/status-schema.js';

/** A sidecar to be asked. */
export interface Target {
  readonly name: string;
  readonly host: string;
  readonly vm: string;
}

export type Order =
  | { readonly verb: 'keys'; readonly keys: ChannelTls }
  | { readonly verb: 'watch'; readonly target: Target }
  | { readonly verb: 'command'; readonly id: number; readonly target: Target; readonly command: Command };

export type News =
  | { readonly kind: 'status'; readonly name: string; readonly status: VmiStatus }
  | { readonly kind: 'done'; readonly id: number; readonly error: string | null };
