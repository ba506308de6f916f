// SPDX-License-Identifier: Apache-2.0
/**
 * What a sidecar is given by the place where it runs. A place (the local pair's host: sidecar/local/; a launcher pod:
 * sidecar/kubevirt/) reads its settings, opens what only it knows how to open, and fills in a site; everything from here
 * on is the same wherever it runs.
 */
import type { Tap } from '../../native/addon/index.js';
import type { ChannelTls } from '../io/channel/tls.js';
import type { RedisLease } from '../io/lease/redis.js';
import type { LogOptions } from '../observe/log.js';
import type { ColdStart } from '../protocol/config.js';
import type { Limits } from '../protocol/limits.js';
import type { Nonce } from '../protocol/types.js';
import type { SiteDisks } from './disks/disks.js';
import type { Address } from './links.js';

export const RING_BYTES_DEFAULT = 64 * 1024 * 1024;
export const QUIESCE_MS_MAX_DEFAULT = 3_000;

/** By what right this side starts, or whom it follows. */
export type Start =
  | { readonly role: 'primary'; readonly coldStart: ColdStart }
  | { readonly role: 'backup'; readonly peer: Address };

export interface Site {
  readonly vm: string;
  /** Name of the host, for log lines and metrics. */
  readonly host: string;
  /** Of this QEMU; never used twice. */
  readonly nonce: Nonce;
  readonly start: Start;
  /** Equal on two sides exactly when one's machine can follow the other's. */
  readonly deviceHash: string;
  readonly ring: { readonly file: string; readonly bytes: number; readonly quiesceMsMax: number };
  /** Unix sockets. QEMU makes the first and connects to the second; the third is taken at both ends of a clone. */
  readonly qmpSocket: string;
  readonly netSocket: string;
  readonly cloneSocket: string;
  /** Address of the guest's NIC. */
  readonly guestMac: string;
  /** Where the peer's sidecar may connect. */
  readonly listen: Address;
  readonly tls: ChannelTls;
  readonly log: LogOptions;
  readonly limits: Limits;
  /** Their images are open and locked; whoever is given the site closes them. */
  readonly disks: SiteDisks;
  /** Open; whoever is given the site closes them. */
  readonly tap: Tap;
  readonly lease: RedisLease;
}
