// SPDX-License-Identifier: Apache-2.0
/**
 * The way in and out: mutual TLS 1.3, own CA only, and a peer whose certificate names the VM. After the handshake each
 * side sends a preface (codec.ts); a dialled connection counts as standing when the answer is there, because in TLS 1.3
 * a client that the server refuses learns of it only then.
 */
import type { DropArgument } from 'node:net';
import { connect, createSecureContext, createServer } from 'node:tls';
import type { PeerCertificate, SecureContext, SecureContextOptions, Server, TLSSocket } from 'node:tls';
import type { Nonce } from '../../protocol/types.js';
import { PREFACE_BYTES, decodePreface, encodePreface, type Preface, type Purpose } from './codec.js';
import { ChannelError } from './errors.js';
import { vmUri } from './pki.js';

/** PEM texts of one host. */
export interface ChannelTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ChannelIdentity {
  readonly vm: string;
  readonly nonce: Nonce;
  readonly tls: ChannelTls;
}

/** A connection that is encrypted, whose peer may speak for the VM, and whose purpose is known. Paused. */
export interface OpenConnection {
  readonly socket: TLSSocket;
  /** What the peer said. */
  readonly preface: Preface;
}

/** AES first: it is in hardware nearly everywhere. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
const HANDSHAKE_MS_MAX = 2_000;
const PREFACE_MS_MAX = 2_000;
/** Sockets that a listener has at once, of all purposes and states. */
export const CONNECTIONS_MAX = 32;

/** What a secure context is made of; the same for all that this product lets in or dials. */
export const contextOptions = ({ ca, cert, key }: ChannelTls): SecureContextOptions => ({
  ca,
  cert,
  key,
  ciphers: CIPHERS,
  minVersion: 'TLSv1.3',
});

/** Made once: reading keys takes several ms, and a dial that finds a dead peer is part of each failover. */
const contexts = new WeakMap<ChannelTls, SecureContext>();

function secureContext(tls: ChannelTls): SecureContext {
  const known = contexts.get(tls);
  if (known !== undefined) return known;
  const made = createSecureContext(contextOptions(tls));
  contexts.set(tls, made);
  return made;
}

/** True when one of the certificate's URI names is the VM's. Names hold no comma, so the list can be split. */
export function namesVm(certificate: Pick<PeerCertificate, 'subjectaltname'>, vm: string): boolean {
  const names = (certificate.subjectaltname ?? '').split(', ');
  return names.includes(`URI:${vmUri(vm)}`);
}

function identityError(vm: string): ChannelError {
  return new ChannelError('CHANNEL_IDENTITY', `the peer's certificate does not name ${vmUri(vm)}`);
}

/** The next 24 bytes of the connection. What follows them stays unread. */
function readPreface(socket: TLSSocket): Promise<Preface> {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0);
    const timer = setTimeout(
      () => finish(new ChannelError('CHANNEL_TIMEOUT', 'no preface in time')),
      PREFACE_MS_MAX,
    );
    const onData = (chunk: Buffer): void => {
      got = Buffer.concat([got, chunk]);
      if (got.length >= PREFACE_BYTES) finish(null);
    };
    const onError = (error: Error): void => finish(connectionError(error));
    const onClose = (): void => finish(new ChannelError('CHANNEL_UNREACHABLE', 'closed before the preface'));
    const finish = (error: ChannelError | null): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('error', onError).off('close', onClose).pause();
      if (error !== null) {
        reject(error);
        return;
      }
      if (got.length > PREFACE_BYTES) socket.unshift(got.subarray(PREFACE_BYTES));
      try {
        resolve(decodePreface(got.subarray(0, PREFACE_BYTES)));
      } catch (cause) {
        reject(connectionError(cause as Error));
      }
    };
    socket.on('data', onData).on('error', onError).on('close', onClose);
  });
}

const UNREACHABLE = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
];

/** What went wrong below TLS, or in it. */
function connectionError(error: Error): ChannelError {
  if (error instanceof ChannelError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const kind = UNREACHABLE.includes(code) ? 'CHANNEL_UNREACHABLE' : 'CHANNEL_TLS';
  return new ChannelError(kind, `${code} ${error.message}`.trim(), { cause: error });
}

/** Nobody listens to a socket between two of its owners; its errors are told by what follows (`close`). */
function ignoreErrors(socket: TLSSocket): void {
  socket.on('error', () => undefined);
}

export interface DialOptions {
  readonly identity: ChannelIdentity;
  readonly purpose: Purpose;
  readonly host: string;
  readonly port: number;
  /** For connection, handshake and preface together. */
  readonly timeoutMs: number;
}

/** @throws ChannelError; its `cause` has the system's code */
export async function dial(options: DialOptions): Promise<OpenConnection> {
  const socket = connect({
    host: options.host,
    port: options.port,
    secureContext: secureContext(options.identity.tls),
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    checkServerIdentity: (_host, certificate) =>
      namesVm(certificate, options.identity.vm) ? undefined : identityError(options.identity.vm),
  });
  socket.setNoDelay(true);
  ignoreErrors(socket);
  const timer = setTimeout(
    () => socket.destroy(new ChannelError('CHANNEL_TIMEOUT', `no connection within ${options.timeoutMs} ms`)),
    options.timeoutMs,
  );
  try {
    await secured(socket);
    socket.write(encodePreface({ purpose: options.purpose, nonce: options.identity.nonce }));
    return { socket, preface: await readPreface(socket) };
  } catch (error) {
    socket.destroy();
    throw connectionError(error as Error);
  } finally {
    clearTimeout(timer);
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', (error: Error) => reject(connectionError(error)));
    socket.once('close', () =>
      reject(new ChannelError('CHANNEL_UNREACHABLE', 'closed during the handshake')),
    );
  });
}

export interface ListenOptions {
  readonly identity: ChannelIdentity;
  /** Address to bind to. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  onConnection(connection: OpenConnection): void;
  /** Somebody came and was not let in. */
  onRefused(error: ChannelError, from: string): void;
}

export interface ChannelListener {
  readonly port: number;
  /** Who connects from now on meets these keys. @throws when they cannot be used; the old ones stay */
  useTls(tls: ChannelTls): void;
  /** Ends listening and every connection that came by it; links that were closed just before still flush. */
  close(): Promise<void>;
}

/** @throws the system's error when the address cannot be had */
export async function listen(options: ListenOptions): Promise<ChannelListener> {
  const sockets = new Set<TLSSocket>();
  const server = createServer({
    secureContext: secureContext(options.identity.tls),
    ...contextOptions(options.identity.tls),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS_MAX,
    noDelay: true,
  });
  server.maxConnections = CONNECTIONS_MAX;
  // Node drops the connection before anybody has it: without this a full listener looks like one that is not there.
  server.on('drop', (dropped?: DropArgument) => {
    const error = new ChannelError('CHANNEL_FULL', `${CONNECTIONS_MAX} connections are open already`);
    options.onRefused(error, dropped?.remoteAddress ?? '?');
  });
  server.on('tlsClientError', (error, socket) => {
    // Node drops an unauthorized peer without a word of its own; why is noted at the socket (a code, against its type).
    const why: unknown = socket.authorizationError;
    const refusal =
      typeof why === 'string'
        ? new ChannelError('CHANNEL_TLS', `certificate: ${why}`)
        : connectionError(error);
    options.onRefused(refusal, socket.remoteAddress ?? '?');
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    ignoreErrors(socket);
    welcome(socket, options.identity).then(
      (connection) => options.onConnection(connection),
      (error: unknown) => {
        const from = socket.remoteAddress ?? '?';
        socket.destroy();
        options.onRefused(connectionError(error as Error), from);
      },
    );
  });
  await listening(server, options);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TLS listener without a port');
  return {
    port: address.port,
    useTls: (tls) => server.setSecureContext(contextOptions(tls)),
    close: () => closeAll(server, sockets),
  };
}

async function welcome(socket: TLSSocket, identity: ChannelIdentity): Promise<OpenConnection> {
  if (!socket.authorized || !namesVm(socket.getPeerCertificate(), identity.vm))
    throw identityError(identity.vm);
  const preface = await readPreface(socket);
  socket.write(encodePreface({ purpose: preface.purpose, nonce: identity.nonce }));
  return { socket, preface };
}

function listening(server: Server, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** A socket that its owner has ended gets the time to say its last words: the owner bounds it. */
function closeAll(server: Server, sockets: ReadonlySet<TLSSocket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) {
      if (!socket.writableEnded) socket.destroy();
    }
  });
}
