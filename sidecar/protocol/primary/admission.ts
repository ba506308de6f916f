// SPDX-License-Identifier: Apache-2.0
import type { HelloFrame } from '../frames.js';
import { PROTOCOL_VERSION } from '../frames.js';
import type { RefuseReason } from '../reasons.js';
import type { EngineIdentity, Nonce } from '../types.js';

/** What the primary is and does when a hello comes. */
export interface House {
  readonly vm: string;
  readonly nonce: Nonce;
  readonly identity: EngineIdentity;
  readonly enabled: boolean;
  /** Sole owner without a backup: room for one. */
  readonly alone: boolean;
  /** Not owner yet, or claiming. */
  readonly undecided: boolean;
  /** The backup that may resume: loaded, and nobody claims. */
  readonly resumable: Nonce | null;
}

export interface Refusal {
  readonly reason: RefuseReason;
  readonly detail: string;
}

type Row = readonly [
  RefuseReason,
  (hello: HelloFrame, house: House) => boolean,
  (h: HelloFrame, p: House) => string,
];

/** First row that holds refuses. Identity comes first: its reasons do not pass by waiting. */
const ROWS: readonly Row[] = [
  [
    'protocolVersion',
    (hello) => hello.protocol !== PROTOCOL_VERSION,
    (hello) =>
      `backup speaks protocol ${hello.protocol}, primary ${PROTOCOL_VERSION}: use the same release on both`,
  ],
  [
    'otherVm',
    (hello, house) => hello.vm !== house.vm,
    (hello, house) => `this is ${house.vm}, not ${hello.vm}`,
  ],
  [
    'engineKind',
    (hello, house) => hello.identity.engine !== house.identity.engine,
    (hello, house) => `engine ${hello.identity.engine} cannot follow ${house.identity.engine}`,
  ],
  [
    'logVersion',
    (hello, house) => hello.identity.logVersion !== house.identity.logVersion,
    (hello, house) => `log version ${hello.identity.logVersion} cannot read ${house.identity.logVersion}`,
  ],
  [
    'qemuVersion',
    (hello, house) => hello.identity.qemuVersion !== house.identity.qemuVersion,
    (hello, house) =>
      `QEMU ${hello.identity.qemuVersion} cannot follow ${house.identity.qemuVersion}: same build on both`,
  ],
  [
    'deviceHash',
    (hello, house) => hello.identity.deviceHash !== house.identity.deviceHash,
    () => 'the two machines differ in type, devices, addresses, firmware or memory',
  ],
  [
    'resumeUnknown',
    (hello, house) =>
      hello.resume !== null && (hello.nonce !== house.resumable || hello.resume.primary !== house.nonce),
    () => 'no backup of that name can go on here',
  ],
  [
    'notOwner',
    (hello, house) => hello.resume === null && house.undecided,
    () => 'ownership is not settled yet',
  ],
  ['disabled', (hello, house) => hello.resume === null && !house.enabled, () => 'protection is switched off'],
  ['busy', (hello, house) => hello.resume === null && !house.alone, () => 'there is a backup already'],
];

/** Why this hello is refused, or null. */
export function judgeHello(hello: HelloFrame, house: House): Refusal | null {
  const row = ROWS.find(([, refuses]) => refuses(hello, house));
  return row === undefined ? null : { reason: row[0], detail: row[2](hello, house) };
}

/** Reasons that may pass by themselves: worth another dial. */
export function isTemporary(reason: RefuseReason): boolean {
  return reason === 'busy' || reason === 'notOwner';
}
