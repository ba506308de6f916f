// SPDX-License-Identifier: Apache-2.0
import { QmpError } from './errors.js';

const NEWLINE = 0x0a;

/** Cuts a byte stream into lines, and holds at most one line's worth of it. */
export class LineSplitter {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws QmpError QMP_MALFORMED when a line is longer than allowed */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#hold(chunk.subarray(from, at));
      lines.push(this.#take());
      from = at + 1;
    }
    this.#hold(chunk.subarray(from));
    return lines;
  }

  #hold(part: Buffer): void {
    this.#held += part.length;
    if (this.#held > this.#bytesMax)
      throw new QmpError('QMP_MALFORMED', `a line of more than ${this.#bytesMax} bytes`);
    if (part.length > 0) this.#parts.push(part);
  }

  #take(): string {
    const line = Buffer.concat(this.#parts, this.#held).toString('utf8');
    this.#parts = [];
    this.#held = 0;
    return line;
  }
}
