// SPDX-License-Identifier: Apache-2.0
/**
 * What the operator and the peer may ask and order: HTTPS, both sides with certificates of the installation's CA. The
 * URI names of the caller's certificate say who it is: the operator may everything, a peer of the same VM reads the
 * machine, anybody else gets no answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { OPERATOR_URI } from '../io/channel/pki.js';
import { contextOptions, namesVm, type ChannelTls } from '../io/channel/tls.js';
import { json, text, type Answer } from '../observe/http.js';
import type { VmiStatus } from '../observe/status-schema.js';
import { COMMANDS, type Command } from './client.js';
import type { Machine } from './machine.js';
import { Watchers } from './watchers.js';

/** An order that cannot be carried out now: why. Null: it was taken. */
export type CommandResult = string | null;

/** What answers. */
export interface ApiSubject {
  status(): VmiStatus;
  /** Null as long as no machine runs here that a backup could follow. */
  machine(): Machine | null;
  command(command: Command): CommandResult;
}

export interface ApiOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly vm: string;
  readonly tls: ChannelTls;
  readonly subject: ApiSubject;
  /** Somebody came and was not let in. */
  readonly onRefused: (reason: string, from: string) => void;
}

/** None of the requests needs a body; a caller that sends more than this is cut off. */
export const BODY_BYTES_MAX = 4 * 1024;
export const CONNECTIONS_MAX = 32;
const HANDSHAKE_MS_MAX = 2_000;
const REQUEST_MS_MAX = 2_000;
/** How often that is looked at. */
const CHECK_MS = 500;

type Caller = 'operator' | 'peer';

const NOT_YET = 'no machine runs here yet that a backup could follow: ask again';

export class Api {
  private readonly watchers: Watchers;
  private readonly server: Server;

  private constructor(private readonly options: ApiOptions) {
    const { subject, tls, onRefused } = options;
    this.watchers = new Watchers(() => subject.status());
    this.server = createServer(
      {
        ...contextOptions(tls),
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: HANDSHAKE_MS_MAX,
        connectionsCheckingInterval: CHECK_MS,
        headersTimeout: REQUEST_MS_MAX,
        requestTimeout: REQUEST_MS_MAX,
      },
      (request, response) => {
        this.answer(request, response);
      },
    );
    this.server.maxConnections = CONNECTIONS_MAX;
    this.server.on('tlsClientError', (error, socket) => {
      // Why a peer is not authorized is noted at the socket (a code, against its type).
      const why: unknown = socket.authorizationError;
      onRefused(typeof why === 'string' ? why : error.message, socket.remoteAddress ?? '?');
    });
  }

  /** @throws the system's error when the address cannot be had */
  static async serve(options: ApiOptions): Promise<Api> {
    const api = new Api(options);
    await new Promise<void>((resolve, reject) => {
      api.server.once('error', reject);
      api.server.listen({ host: options.host, port: options.port }, () => {
        api.server.off('error', reject);
        resolve();
      });
    });
    return api;
  }

  get port(): number {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('a listener without a port');
    return address.port;
  }

  /** Who connects from now on meets these keys; who is connected goes on. */
  useTls(tls: ChannelTls): void {
    this.server.setSecureContext(contextOptions(tls));
  }

  /** The subject's status is another: those who watch are told. */
  changed(): void {
    this.watchers.changed();
  }

  /** Those who watch are told a last time. Resolves when they have it, or had their time. */
  async close(): Promise<void> {
    this.server.close();
    await this.watchers.close();
    this.server.closeAllConnections();
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { vm, onRefused } = this.options;
    limitBody(request);
    const caller = callerOf(request.socket, vm);
    const from = request.socket.remoteAddress ?? '?';
    if (caller === null) {
      onRefused('the certificate names neither this VM nor the operator', from);
      write(response, json({ error: `your certificate is not for VM ${vm}` }, 403));
      return;
    }
    const asked = `${request.method ?? ''} ${request.url ?? '/'}`;
    if (asked === 'GET /machine') write(response, this.machine());
    else if (caller === 'peer') write(response, json({ error: 'only the operator may ask that' }, 403));
    else if (asked === 'GET /watch') this.watchers.add(response);
    else write(response, this.operators(asked));
  }

  private operators(asked: string): Answer {
    if (asked === 'GET /status') return json(this.options.subject.status());
    const command = COMMANDS.find((one) => asked === `POST /${one}`);
    if (command === undefined) return text(`no such thing here: ${asked}\n`, 404);
    const refusal = this.options.subject.command(command);
    return refusal === null ? json({ accepted: true }, 202) : json({ error: refusal }, 409);
  }

  private machine(): Answer {
    const machine = this.options.subject.machine();
    return machine === null ? json({ error: NOT_YET }, 409) : json(machine);
  }
}

function callerOf(socket: Socket, vm: string): Caller | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const certificate = socket.getPeerCertificate();
  const names = (certificate.subjectaltname ?? '').split(', ');
  if (names.includes(`URI:${OPERATOR_URI}`)) return 'operator';
  return namesVm(certificate, vm) ? 'peer' : null;
}

function limitBody(request: IncomingMessage): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) request.socket.destroy();
  });
}

function write(response: ServerResponse, made: Answer): void {
  response.writeHead(made.status, { 'content-type': made.type, connection: 'close' });
  response.end(made.body);
}
