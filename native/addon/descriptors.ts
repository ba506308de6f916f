// SPDX-License-Identifier: Apache-2.0
import { explain, explained, type Meanings } from './errors.js';
import { checkBytes, checkFd, checkInteger, checkPath } from './check.js';
import { native } from './native.js';

/** Descriptors in one message. */
export const FDS_MAX = 16;
/** Bytes that go with them. */
export const FDS_DATA_BYTES_MAX = 65536;
/** A waiting recvFds or acceptUnix holds one thread of libuv's pool: not for ever. */
export const FDS_TIMEOUT_MS_MAX = 30_000;

/** The kernel takes less, if that is its bound (net.core.somaxconn). */
const BACKLOG_MAX = 65535;

const MEANINGS: Meanings = {
  FDS_TRUNCATED: ['FDS_TRUNCATED', `at most ${FDS_MAX} descriptors can be taken at once; all were closed`],
  ETIMEDOUT: ['FDS_TIMEOUT', 'nothing came in time'],
};

/** Two connected unix stream sockets, as descriptors that the caller closes. */
export function socketPair(): [number, number] {
  return explained('socket pair', MEANINGS, () => native.socketPair());
}

/**
 * Sends copies of descriptors over a unix socket, without waiting.
 * @param data goes with them; at least a byte, or the descriptors would not be sent
 * @returns bytes of data that were sent; the descriptors went with the first
 */
export function sendFds(socketFd: number, fds: readonly number[], data: Uint8Array): number {
  checkFd('socketFd', socketFd);
  checkInteger('number of descriptors', fds.length, 1, FDS_MAX);
  for (const fd of fds) checkFd('descriptor', fd);
  checkBytes('data', data, 1, FDS_DATA_BYTES_MAX);
  return explained('sending descriptors', MEANINGS, () =>
    native.sendFds(socketFd, Int32Array.from(fds), data),
  );
}

/**
 * Waits for one message. The descriptors are the caller's to close; data of length 0 means that the other end
 * has closed.
 * @throws FDS_TIMEOUT, FDS_TRUNCATED
 */
export async function recvFds(
  socketFd: number,
  options: { readonly bytesMax: number; readonly timeoutMs: number },
): Promise<{ readonly fds: number[]; readonly data: Buffer }> {
  checkFd('socketFd', socketFd);
  checkInteger('bytesMax', options.bytesMax, 1, FDS_DATA_BYTES_MAX);
  checkInteger('timeoutMs', options.timeoutMs, 0, FDS_TIMEOUT_MS_MAX);
  try {
    return await native.recvFds(socketFd, options.bytesMax, options.timeoutMs);
  } catch (error) {
    throw explain(error, 'receiving descriptors', MEANINGS);
  }
}

/**
 * A unix stream socket that listens at `path`; the descriptor is the caller's to close. With `acceptUnix`, for who
 * needs the descriptor of a connection: Node's own server does not give it away.
 * @param backlog how many wait to be accepted, besides the first
 * @throws SYSTEM, also when there is something at `path`
 */
export function listenUnix(path: string, backlog = 1): number {
  checkPath('path', path);
  checkInteger('backlog', backlog, 0, BACKLOG_MAX);
  return explained(`listening at ${path}`, MEANINGS, () => native.listenUnix(path, backlog));
}

/**
 * Waits for one connection. The descriptor (blocking) is the caller's to close.
 * @throws FDS_TIMEOUT, SYSTEM
 */
export async function acceptUnix(listenerFd: number, timeoutMs: number): Promise<number> {
  checkFd('listenerFd', listenerFd);
  checkInteger('timeoutMs', timeoutMs, 0, FDS_TIMEOUT_MS_MAX);
  try {
    return await native.acceptUnix(listenerFd, timeoutMs);
  } catch (error) {
    throw explain(error, 'accepting a connection', MEANINGS);
  }
}

/**
 * Ends both directions of a connection: who waits in a read or a write of it, here or at the other end, goes on. The
 * descriptor stays open.
 */
export function shutdownSocket(socketFd: number): void {
  checkFd('socketFd', socketFd);
  explained('ending a connection', MEANINGS, () => {
    native.shutdownSocket(socketFd);
  });
}

/** The process at the other end of a unix socket: who had connected, or listened. 0: it is in no pid namespace of ours. */
export function peerPid(socketFd: number): number {
  checkFd('socketFd', socketFd);
  return explained('the peer of a connection', MEANINGS, () => native.peerPid(socketFd));
}

/** Bytes written to a socket that the kernel has not sent (for TCP: not had acknowledged) yet. */
export function unsentBytes(socketFd: number): number {
  checkFd('socketFd', socketFd);
  return explained('unsent bytes', MEANINGS, () => native.unsentBytes(socketFd));
}
