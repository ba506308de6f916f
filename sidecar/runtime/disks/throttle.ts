// SPDX-License-Identifier: Apache-2.0
/** How long to wait so that a stream keeps to a rate. Pure: time is handed in. */
export class Throttle {
  private freeAt = 0;

  /** @param bytesPerSecond Infinity: as fast as it goes */
  constructor(private readonly bytesPerSecond: number) {}

  /** `bytes` were sent at `now`. Returns how long to wait before the next, ms. */
  spend(bytes: number, now: number): number {
    this.freeAt = Math.max(this.freeAt, now) + (bytes / this.bytesPerSecond) * 1000;
    return Math.max(0, this.freeAt - now);
  }
}
