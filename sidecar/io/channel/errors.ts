// SPDX-License-Identifier: Apache-2.0

/** What is wrong with a connection of the channel. The words are log words, too. */
export type ChannelErrorCode =
  | 'CHANNEL_BAD_PREFACE' // not a lockstep peer, or a purpose that this side does not know
  | 'CHANNEL_BAD_VERSION' // framing of another version: use the same release on both hosts
  | 'CHANNEL_BAD_SEQUENCE' // a frame is missing or came twice
  | 'CHANNEL_UNKNOWN_TYPE'
  | 'CHANNEL_FRAME_TOO_LONG'
  | 'CHANNEL_MALFORMED' // the frame's inside does not fit its type
  | 'CHANNEL_BACKLOG' // the peer does not read, and more would have to be kept than is allowed
  | 'CHANNEL_FULL' // the listener has as many connections as it takes
  | 'CHANNEL_IDENTITY' // the peer's certificate does not name the VM
  | 'CHANNEL_TLS' // handshake failed: see the detail, compare CA and certificates of both hosts
  | 'CHANNEL_TIMEOUT' // the peer did not answer in time
  | 'CHANNEL_UNREACHABLE'; // refused, no route, or reset before the peer answered

export class ChannelError extends Error {
  constructor(
    readonly code: ChannelErrorCode,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${detail}`, options);
    this.name = 'ChannelError';
  }
}
