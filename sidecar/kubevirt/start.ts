// SPDX-License-Identifier: Apache-2.0
/** A start of QEMU by libvirt, as it comes through the door, and what is said to it. */

export interface StartRequest {
  /** libvirt's command line; argv[0] is the emulator's path. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The NIC's tap, opened by libvirt; null when it hands over none. Whoever wants to keep it makes a copy. */
  readonly tapFd: number | null;
}

/** What is to be started instead. */
export interface Start {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A refusal is a sentence for people. */
export type StartAnswer = Start | { readonly refused: string };
