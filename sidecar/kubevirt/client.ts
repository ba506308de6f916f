// SPDX-License-Identifier: Apache-2.0
/** Asks the sidecar in a launcher pod: HTTPS with certificates on both sides. For the operator, and for a backup. */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { z } from 'zod';
import { namesVm, type ChannelTls } from '../io/channel/tls.js';
import { vmiStatusSchema, type VmiStatus } from '../observe/status-schema.js';
import { machineSchema, type Machine } from './machine.js';

export type CallErrorCode =
  | 'UNREACHABLE' // nobody listens there, or the connection broke
  | 'TIMEOUT' // no answer in time
  | 'TLS' // the other side is not who it must be, or does not take our certificate
  | 'REFUSED' // a status of 400 or above, with its words
  | 'BAD_ANSWER'; // not what the schema says

export class CallError extends Error {
  /** @param status of HTTP, when the other side answered */
  constructor(
    readonly code: CallErrorCode,
    message: string,
    readonly status: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CallError';
  }
}

export const COMMANDS = ['test-failover', 'stop', 'protect', 'unprotect'] as const;
export type Command = (typeof COMMANDS)[number];

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  /** The certificate of the other side must name this VM (`lockstep:<vm>`). */
  readonly vm: string;
  /** Of the caller; asked for each connection, because it is renewed. */
  readonly tls: () => ChannelTls;
  /** For one call, from the connection to the last byte. */
  readonly timeoutMs?: number;
  /** A stream of status that says nothing for so long is dead: a sidecar tells at least one a second. */
  readonly silenceMsMax?: number;
}

const TIMEOUT_MS = 3_000;
const SILENCE_MS_MAX = 5_000;
const ANSWER_CHARACTERS_MAX = 4 * 1024 * 1024;

export class SidecarClient {
  constructor(private readonly options: ClientOptions) {}

  /** @throws CallError */
  async status(): Promise<VmiStatus> {
    return parsed(vmiStatusSchema, await this.call('GET', '/status'));
  }

  /** @throws CallError; REFUSED with status 409 as long as no machine runs there */
  async machine(): Promise<Machine> {
    return parsed(machineSchema, await this.call('GET', '/machine'));
  }

  /** Resolves when the order was taken; what comes of it shows in status. @throws CallError */
  async command(command: Command): Promise<void> {
    await this.call('POST', `/${command}`);
  }

  /**
   * Tells each status, the present one first, until `signal` aborts (then it resolves) or the stream ends.
   * @throws CallError: the caller connects anew, after a pause
   */
  async watch(onStatus: (status: VmiStatus) => void, signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.open('GET', '/watch', signal);
      for await (const line of linesOf(answer, this.options.silenceMsMax ?? SILENCE_MS_MAX))
        onStatus(parsed(vmiStatusSchema, line));
      throw new CallError('UNREACHABLE', `${this.name}: the stream of status has ended`);
    } catch (error) {
      if (!signal.aborted) throw this.explained(error);
    }
  }

  private get name(): string {
    return `sidecar at ${this.options.host}:${this.options.port}`;
  }

  private async call(method: 'GET' | 'POST', path: string): Promise<string> {
    const signal = AbortSignal.timeout(this.options.timeoutMs ?? TIMEOUT_MS);
    try {
      return await textOf(await this.open(method, path, signal));
    } catch (error) {
      throw this.explained(error);
    }
  }

  /** The answer's head is here, and says yes. */
  private async open(method: 'GET' | 'POST', path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { host, port, vm, tls } = this.options;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          host,
          port,
          method,
          path,
          agent: false,
          signal,
          ...tls(),
          minVersion: 'TLSv1.3',
          checkServerIdentity: (_host, certificate) =>
            namesVm(certificate, vm)
              ? undefined
              : new CallError('TLS', `the certificate there does not name VM ${vm}`),
        },
        resolve,
      );
      sent.on('error', reject);
      sent.end();
    });
    answer.setEncoding('utf8');
    const status = answer.statusCode ?? 0;
    if (status < 400) return answer;
    throw new CallError('REFUSED', `${this.name}: ${refusal(await textOf(answer))}`, status);
  }

  private explained(error: unknown): CallError {
    if (error instanceof CallError) return error;
    const { name, code = '', message } = error as NodeJS.ErrnoException;
    const words = `${this.name}: ${code} ${message}`;
    if (name === 'TimeoutError' || (error as Error).cause instanceof DOMException)
      return new CallError('TIMEOUT', `${this.name}: no answer in time`, null, { cause: error });
    const isTls = /^ERR_(TLS|SSL)|CERT|^UNABLE_TO|^DEPTH_ZERO|EPROTO/.test(code);
    return new CallError(isTls ? 'TLS' : 'UNREACHABLE', words, null, { cause: error });
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer) {
    text += chunk as string;
    if (text.length > ANSWER_CHARACTERS_MAX) throw new CallError('BAD_ANSWER', 'the answer is too long');
  }
  return text;
}

async function* linesOf(answer: IncomingMessage, silenceMsMax: number): AsyncGenerator<string> {
  const silence = setTimeout(() => {
    answer.destroy(new CallError('TIMEOUT', `no status for ${silenceMsMax} ms`));
  }, silenceMsMax);
  let rest = '';
  try {
    for await (const chunk of answer) {
      silence.refresh();
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > ANSWER_CHARACTERS_MAX) throw new CallError('BAD_ANSWER', 'a line is too long');
      yield* lines;
    }
  } finally {
    clearTimeout(silence);
  }
}

/** The words of a refusal: `{"error": "..."}`, or the text as it is. */
function refusal(text: string): string {
  try {
    const body = JSON.parse(text) as { error?: unknown };
    if (typeof body.error === 'string') return body.error;
  } catch {
    // not JSON: the text is all there is
  }
  return text.slice(0, 200).trim();
}

function parsed<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CallError('BAD_ANSWER', `not JSON: ${text.slice(0, 200)}`, null, { cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CallError('BAD_ANSWER', `not understood: ${result.error.message}`);
}
