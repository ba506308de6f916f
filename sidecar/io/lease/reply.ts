// SPDX-License-Identifier: Apache-2.0
/** Checks and types what the lease script answers (scripts.ts has its shape), and words it as the protocol does. */
import { z } from 'zod';
import type { LeaseAnswer, LeaseRecord, LeaseRequest } from '../../protocol/lease/messages.js';
import type { LeaseTrouble } from '../../protocol/reasons.js';

export interface LeaseReply {
  readonly result: string;
  readonly reason: string;
  /** Life of the server that answered. */
  readonly run: string;
  readonly record: LeaseRecord | null;
}

/** The answer is not one that the script gives: another program wrote the key. */
export class LeaseReplyError extends Error {
  readonly code = 'LEASE_REPLY';
}

const FIELDS_WITHOUT_RECORD = 3;
const FIELDS_WITH_RECORD = 11;
const ID_CHARS_MAX = 64;

const REPLY_SHAPE = z
  .array(z.string())
  .refine((fields) => fields.length === FIELDS_WITHOUT_RECORD || fields.length === FIELDS_WITH_RECORD);

const RECORD_SHAPE = z.object({
  store: z.string().min(1).max(ID_CHARS_MAX),
  epoch: z.coerce.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  primary: z.string().max(ID_CHARS_MAX),
  backup: z.string().max(ID_CHARS_MAX),
  winner: z
    .string()
    .max(ID_CHARS_MAX)
    .transform((value) => (value === '' ? null : value)),
  claimable: z.enum(['0', '1']).transform((value) => value === '1'),
});

const SCRIPT_TROUBLES: readonly LeaseTrouble[] = [
  'damaged',
  'missing',
  'foreignStore',
  'epochLower',
  'epochHigher',
  'notNamed',
  'run',
  'notDurable',
];
const ARM_REFUSALS = ['missing', 'foreignStore', 'epochHigher', 'notOwner', 'run'] as const;

/** @throws LeaseReplyError when the answer is of another shape */
export function parseReply(raw: unknown): LeaseReply {
  const parsed = REPLY_SHAPE.safeParse(raw);
  if (!parsed.success) throw new LeaseReplyError('the lease script answered in an unknown shape');
  const [result = '', reason = '', run = '', ...fields] = parsed.data;
  const readable = fields.length > 0 && reason !== 'damaged';
  return { result, reason, run, record: readable ? parseRecord(fields, run) : null };
}

function parseRecord(fields: readonly string[], run: string): LeaseRecord {
  const [store, epoch, primary, backup, winner, , , claimable] = fields;
  const parsed = RECORD_SHAPE.safeParse({ store, epoch, primary, backup, winner, claimable });
  if (!parsed.success) throw new LeaseReplyError(`the stored record is damaged: ${parsed.error.message}`);
  return { ...parsed.data, run };
}

/** @throws LeaseReplyError when the answer does not fit the question */
export function answerOf(request: LeaseRequest, reply: LeaseReply): LeaseAnswer {
  if (reply.result === 'unknown')
    return { op: request.op, result: 'unknown', reason: troubleOf(reply.reason) };
  const answer = certainAnswerOf(request.op, reply);
  if (answer === null) throw new LeaseReplyError(`${request.op} answered ${reply.result} ${reply.reason}`);
  return answer;
}

function troubleOf(reason: string): LeaseTrouble {
  const known = SCRIPT_TROUBLES.find((word) => word === reason);
  if (known === undefined) throw new LeaseReplyError(`unknown reason ${reason}`);
  return known;
}

function certainAnswerOf(op: LeaseRequest['op'], reply: LeaseReply): LeaseAnswer | null {
  switch (op) {
    case 'found':
    case 'refound':
      return foundAnswer(op, reply);
    case 'reopen':
      return reply.result === 'ok' || reply.result === 'refused' ? { op, result: reply.result } : null;
    case 'arm':
      return armAnswer(reply);
    case 'claim':
      return reply.result === 'won' || reply.result === 'lost' ? { op, result: reply.result } : null;
    case 'peek':
      return peekAnswer(reply);
  }
}

function foundAnswer(op: 'found' | 'refound', reply: LeaseReply): LeaseAnswer | null {
  const { result, record } = reply;
  if (result === 'refused') return { op, result, detail: refusalInWords(reply) };
  if (result !== 'ok' || record === null) return null;
  return { op, result, store: record.store, epoch: record.epoch };
}

function refusalInWords({ reason, record }: LeaseReply): string {
  if (record === null) return 'there is no lease of this VM; `lockstep up` founds it';
  const holder = `epoch ${record.epoch}, primary ${record.primary}, winner ${record.winner ?? 'none'}`;
  return reason === 'exists' ? `the VM has a lease already: ${holder}` : `the lease has moved on: ${holder}`;
}

function armAnswer({ result, reason }: LeaseReply): LeaseAnswer | null {
  if (result === 'ok') return { op: 'arm', result };
  const refusal = ARM_REFUSALS.find((word) => word === reason);
  if (result !== 'refused' || refusal === undefined) return null;
  return { op: 'arm', result, reason: refusal };
}

function peekAnswer({ result, record }: LeaseReply): LeaseAnswer | null {
  if (result === 'missing') return { op: 'peek', result };
  if (result !== 'present' || record === null) return null;
  return { op: 'peek', result, record };
}
