// SPDX-License-Identifier: Apache-2.0
/**
 * The inside of each frame, one row a type: number on the wire, longest payload, writer and reader side by side.
 * `log` is not here: its bytes are not copied (see codec.ts).
 */
import type { Frame, PacketsFrame } from '../../protocol/frames.js';
import { BAR_REASONS, GOODBYE_REASONS, HANDOVER_REASONS, REFUSE_REASONS } from '../../protocol/reasons.js';
import { PACKETS_PAYLOAD_MAX, payloadBytes, readPackets, writePackets } from './packets.js';
import { fitText, type WireReader, type WireWriter } from './wire.js';

const U64 = 8;
const ID = 16;
const WORD_MAX = 64;
const VM_MAX = 63;
const ENGINE_MAX = 64;
const QEMU_VERSION_MAX = 256;
const DEVICE_HASH_MAX = 128;
const DETAIL_MAX = 1024;
const text = (bytesMax: number): number => 2 + bytesMax;

/** All that are taken up whole. */
export type WholeFrame = Frame | PacketsFrame;

interface Row<F extends WholeFrame> {
  readonly code: number;
  readonly bytesMax: number;
  write(w: WireWriter, frame: F): void;
  read(r: WireReader): F;
}

type Table = { readonly [T in WholeFrame['type']]: Row<Extract<WholeFrame, { type: T }>> };

const HELLO_MAX =
  2 +
  text(VM_MAX) +
  ID +
  text(ENGINE_MAX) +
  4 +
  text(QEMU_VERSION_MAX) +
  text(DEVICE_HASH_MAX) +
  U64 +
  1 +
  ID +
  3 * U64;

export const LAYOUT: Table = {
  hello: {
    code: 1,
    bytesMax: HELLO_MAX,
    write(w, { protocol, vm, nonce, identity, ringBytes, resume }) {
      w.u16(protocol);
      w.text(vm, VM_MAX);
      w.id(nonce);
      w.text(identity.engine, ENGINE_MAX);
      w.u32(identity.logVersion);
      w.text(identity.qemuVersion, QEMU_VERSION_MAX);
      w.text(identity.deviceHash, DEVICE_HASH_MAX);
      w.u64(ringBytes);
      w.flag(resume !== null);
      if (resume === null) return;
      w.id(resume.primary);
      w.u64(resume.received);
      w.u64(resume.consumed);
      w.u64(resume.compared);
    },
    read: (r) => ({
      type: 'hello',
      protocol: r.u16(),
      vm: r.text(VM_MAX),
      nonce: r.id(),
      identity: {
        engine: r.text(ENGINE_MAX),
        logVersion: r.u32(),
        qemuVersion: r.text(QEMU_VERSION_MAX),
        deviceHash: r.text(DEVICE_HASH_MAX),
      },
      ringBytes: r.u64(),
      resume: r.flag() ? { primary: r.id(), received: r.u64(), consumed: r.u64(), compared: r.u64() } : null,
    }),
  },
  welcome: {
    code: 2,
    bytesMax: ID + 1 + U64,
    write(w, { nonce, resumeFrom }) {
      w.id(nonce);
      w.flag(resumeFrom !== null);
      if (resumeFrom !== null) w.u64(resumeFrom);
    },
    read: (r) => ({ type: 'welcome', nonce: r.id(), resumeFrom: r.flag() ? r.u64() : null }),
  },
  refuse: {
    code: 3,
    bytesMax: text(WORD_MAX) + text(DETAIL_MAX),
    write(w, { reason, detail }) {
      w.text(reason, WORD_MAX);
      w.text(fitText(detail, DETAIL_MAX), DETAIL_MAX);
    },
    read: (r) => ({ type: 'refuse', reason: r.word(REFUSE_REASONS, WORD_MAX), detail: r.text(DETAIL_MAX) }),
  },
  clonePoint: {
    code: 4,
    bytesMax: U64,
    write: (w, { lsn }) => w.u64(lsn),
    read: (r) => ({ type: 'clonePoint', lsn: r.u64() }),
  },
  loaded: {
    code: 5,
    bytesMax: 0,
    write: () => undefined,
    read: () => ({ type: 'loaded' }),
  },
  digest: {
    code: 7,
    bytesMax: 2 * U64 + ID,
    write(w, { n, lsn, hash }) {
      w.u64(n);
      w.u64(lsn);
      w.id(hash);
    },
    read: (r) => ({ type: 'digest', n: r.u64(), lsn: r.u64(), hash: r.id() }),
  },
  released: {
    code: 8,
    bytesMax: U64,
    write: (w, { n }) => w.u64(n),
    read: (r) => ({ type: 'released', n: r.u64() }),
  },
  ack: {
    code: 9,
    bytesMax: 3 * U64,
    write(w, { received, consumed, compared }) {
      w.u64(received);
      w.u64(consumed);
      w.u64(compared);
    },
    read: (r) => ({ type: 'ack', received: r.u64(), consumed: r.u64(), compared: r.u64() }),
  },
  beat: {
    code: 10,
    bytesMax: 2 * U64,
    write(w, { seq, echo }) {
      w.u64(seq);
      w.u64(echo);
    },
    read: (r) => ({ type: 'beat', seq: r.u64(), echo: r.u64() }),
  },
  prepare: {
    code: 11,
    bytesMax: U64 + ID,
    write(w, { epoch, store }) {
      w.u64(epoch);
      w.id(store);
    },
    read: (r) => ({ type: 'prepare', epoch: r.u64(), store: r.id() }),
  },
  prepared: {
    code: 12,
    bytesMax: U64 + ID,
    write(w, { epoch, store }) {
      w.u64(epoch);
      w.id(store);
    },
    read: (r) => ({ type: 'prepared', epoch: r.u64(), store: r.id() }),
  },
  armed: {
    code: 13,
    bytesMax: U64,
    write: (w, { epoch }) => w.u64(epoch),
    read: (r) => ({ type: 'armed', epoch: r.u64() }),
  },
  handover: {
    code: 14,
    bytesMax: text(WORD_MAX),
    write: (w, { reason }) => w.text(reason, WORD_MAX),
    read: (r) => ({ type: 'handover', reason: r.word(HANDOVER_REASONS, WORD_MAX) }),
  },
  barred: {
    code: 15,
    bytesMax: text(WORD_MAX) + text(DETAIL_MAX),
    write(w, { reason, detail }) {
      w.text(reason, WORD_MAX);
      w.text(fitText(detail, DETAIL_MAX), DETAIL_MAX);
    },
    read: (r) => ({ type: 'barred', reason: r.word(BAR_REASONS, WORD_MAX), detail: r.text(DETAIL_MAX) }),
  },
  goodbye: {
    code: 16,
    bytesMax: text(WORD_MAX),
    write: (w, { reason }) => w.text(reason, WORD_MAX),
    read: (r) => ({ type: 'goodbye', reason: r.word(GOODBYE_REASONS, WORD_MAX) }),
  },
  diskOutcome: {
    code: 18,
    bytesMax: 1 + U64 + 2 * 4,
    write(w, { disk, k, error, written }) {
      w.u8(disk);
      w.u64(k);
      w.u32(error);
      w.u32(written);
    },
    read: (r) => ({ type: 'diskOutcome', disk: r.u8(), k: r.u64(), error: r.u32(), written: r.u32() }),
  },
  packets: {
    code: 17,
    bytesMax: PACKETS_PAYLOAD_MAX,
    write: writePackets,
    read: readPackets,
  },
};

export const LOG_CODE = 6;

/** What the decoder needs of a row. */
export interface ReadableRow {
  readonly bytesMax: number;
  read(r: WireReader): WholeFrame;
}

const ROWS: readonly (ReadableRow & { readonly code: number })[] = Object.values(LAYOUT);
const ROW_OF_CODE = new Map<number, ReadableRow>(ROWS.map((row) => [row.code, row]));

/** Longest payload of any frame but `log`. */
export const PAYLOAD_MAX = Math.max(...ROWS.map((row) => row.bytesMax));

export function rowOfCode(code: number): ReadableRow | undefined {
  return ROW_OF_CODE.get(code);
}

/** What to reserve for a frame's payload: the most that its type may have, where that is little. */
export function payloadRoom(frame: WholeFrame): number {
  return frame.type === 'packets' ? payloadBytes(frame) : LAYOUT[frame.type].bytesMax;
}

export function writePayload(w: WireWriter, frame: WholeFrame): void {
  // Row and frame belong together by the table's type, which TypeScript does not follow through the index.
  const row = LAYOUT[frame.type] as unknown as Row<WholeFrame>;
  row.write(w, frame);
}
