// SPDX-License-Identifier: Apache-2.0
/** What QEMU says on a QMP connection. Shapes: QEMU's docs/interop/qmp-spec.rst. */
import { z } from 'zod';
import { QmpError } from './errors.js';

const GREETING = z.object({
  QMP: z.object({
    version: z.object({
      qemu: z.object({ major: z.number().int(), minor: z.number().int(), micro: z.number().int() }),
      package: z.string(),
    }),
  }),
});

const EVENT = z.object({
  event: z.string(),
  data: z.record(z.string(), z.unknown()).default({}),
  timestamp: z.object({ seconds: z.number(), microseconds: z.number() }),
});

const RETURN = z.object({ id: z.number().int(), return: z.unknown() });

const FAILURE = z.object({
  id: z.number().int().optional(),
  error: z.object({ class: z.string(), desc: z.string() }),
});

export interface QmpVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
  /** The distribution's build, for instance `Debian 1:10.0.2+ds-2~bpo12+1`; may be empty. */
  readonly package: string;
}

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type QmpMessage =
  | { readonly kind: 'greeting'; readonly version: QmpVersion }
  | { readonly kind: 'event'; readonly event: QmpEvent }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number | null; readonly qemuClass: string; readonly desc: string };

const SHOWN_CHARS = 80;

function malformed(line: string): QmpError {
  return new QmpError('QMP_MALFORMED', `not QMP: ${JSON.stringify(line.slice(0, SHOWN_CHARS))}`);
}

/** @throws QmpError QMP_MALFORMED */
export function parseMessage(line: string): QmpMessage {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw malformed(line);
  }
  const message = messageOf(json);
  if (message === null) throw malformed(line);
  return message;
}

function messageOf(json: unknown): QmpMessage | null {
  if (typeof json !== 'object' || json === null) return null;
  if ('return' in json) {
    const parsed = RETURN.safeParse(json);
    return parsed.success ? { kind: 'return', id: parsed.data.id, value: parsed.data.return } : null;
  }
  if ('event' in json) {
    const parsed = EVENT.safeParse(json);
    return parsed.success
      ? { kind: 'event', event: { name: parsed.data.event, data: parsed.data.data } }
      : null;
  }
  if ('error' in json) {
    const parsed = FAILURE.safeParse(json);
    if (!parsed.success) return null;
    const { id, error } = parsed.data;
    return { kind: 'error', id: id ?? null, qemuClass: error.class, desc: error.desc };
  }
  const parsed = GREETING.safeParse(json);
  if (!parsed.success) return null;
  const { qemu, package: build } = parsed.data.QMP.version;
  return { kind: 'greeting', version: { ...qemu, package: build } };
}
