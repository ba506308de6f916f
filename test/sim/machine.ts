// SPDX-License-Identifier: Apache-2.0
import type { Answer, GuestDisk, GuestRequest } from './guest-disk.js';

/**
 * A guest as an abstract machine. All that happens to it are inputs; its state is the hash chain over them. An
 * input may lead to an output, whose content is the state: two machines that had the same inputs make the same
 * outputs, and any other machine does not.
 */
export interface LogEvent {
  readonly from: number;
  readonly to: number;
  readonly input: number;
  /** The disk request that is answered with this; how, each side knows by its own disk. */
  readonly done?: number;
}

/** What the world sees. The position is where the log stood when it was made. */
export interface Output {
  readonly lsn: number;
  readonly hash: string;
  readonly bytes: number;
  /** Position of the output before this one in the same history; 0: there is none. */
  readonly previous: number;
  /** Newest request by cell of the disk that was flushed when it was made. */
  readonly flushed: readonly number[];
}

/** What an event led to. */
export interface Reaction {
  readonly output: Output | null;
  readonly request: GuestRequest | null;
}

const OUTPUT_EVERY = 3;
/** Inputs of which one leads to a disk request. */
export const REQUEST_EVERY = 5;
const OUTPUT_BYTES_MIN = 42;
const OUTPUT_BYTES_SPREAD = 129;

export class Machine {
  /** Log that was taken up. */
  lsn: number;
  #state: number;
  #lastOutput: number;
  /** Outputs made in this life of the VM, by position: what this machine's history says. */
  readonly made: Map<number, string>;
  diverged = false;

  /** Null: this VM has no disk. */
  readonly disk: GuestDisk | null;

  constructor(disk: GuestDisk | null, lsn = 12, state = 1, lastOutput = 0, made = new Map<number, string>()) {
    this.disk = disk;
    this.lsn = lsn;
    this.#state = state;
    this.#lastOutput = lastOutput;
    this.made = made;
  }

  clone(): Machine {
    return new Machine(
      this.disk?.clone() ?? null,
      this.lsn,
      this.#state,
      this.#lastOutput,
      new Map(this.made),
    );
  }

  /** Takes up one event. `answer`: of the request that is done by it. */
  take(event: LogEvent, answer: Answer | null = null): Reaction {
    this.#state = mix(this.#state ^ event.input, event.to);
    this.lsn = event.to;
    if (event.done !== undefined && answer !== null) this.#hear(event.done, answer);
    const isRequest = event.input % REQUEST_EVERY === 1;
    const request = isRequest ? (this.disk?.ask(this.#state) ?? null) : null;
    return { output: this.#output(event), request };
  }

  /** How its request came out is an input of the guest like any other. */
  #hear(done: number, answer: Answer): void {
    this.disk?.take(done, answer, this.diverged);
    for (const part of [answer.error, ...answer.found])
      this.#state = mix(this.#state ^ (part % 2 ** 31), done);
  }

  #output(event: LogEvent): Output | null {
    if (event.input % OUTPUT_EVERY !== 0) return null;
    const hash = this.#state.toString(16).padStart(32, '0');
    const bytes = OUTPUT_BYTES_MIN + (this.#state % OUTPUT_BYTES_SPREAD);
    const flushed = this.disk?.flushed ?? [];
    const output = { lsn: event.to, hash, bytes, previous: this.#lastOutput, flushed };
    this.#lastOutput = event.to;
    this.made.set(output.lsn, output.hash);
    return output;
  }

  /** Something that replay was to exclude has happened: from now on this machine is another. */
  diverge(): void {
    this.#state ^= 0x5bd1e995;
    this.diverged = true;
  }
}

function mix(a: number, b: number): number {
  let h = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ b;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
