// SPDX-License-Identifier: Apache-2.0

/**
 * QMP_UNREACHABLE: nobody listens at the socket; has QEMU started?
 * QMP_TIMEOUT: no answer in time; QEMU's main loop may be held, the command may still be carried out.
 * QMP_CLOSED: the connection ended; QEMU is gone or ending.
 * QMP_ERROR: QEMU refused the command; `qemuClass` and the message are its own words.
 * QMP_MALFORMED: what came is not QMP, or beyond its bounds; the connection is closed.
 */
export type QmpErrorCode = 'QMP_UNREACHABLE' | 'QMP_TIMEOUT' | 'QMP_CLOSED' | 'QMP_ERROR' | 'QMP_MALFORMED';

export class QmpError extends Error {
  constructor(
    readonly code: QmpErrorCode,
    detail: string,
    /** QEMU's error class, with QMP_ERROR only: `GenericError`, `CommandNotFound`, `DeviceNotFound`, ... */
    readonly qemuClass: string | null = null,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${detail}`, options);
    this.name = 'QmpError';
  }
}
