// SPDX-License-Identifier: Apache-2.0
/**
 * What the network brought to a backup's host lately. When the primary's host loses its link, the switch forgets
 * behind which port the guest was and sends its packets everywhere: here they are what the dead host did not get.
 * A client's TCP sends a lost request again after 200 ms and then only after 400 more, so that a packet forgotten
 * while the primary is being missed costs more than the whole failover. One that the guest had already is a repetition,
 * which any network may make.
 */

/** Longer than missing a primary, claiming and going live usually take together. */
const RECENT_MS = 1000;
const FRAMES_MAX = 256;
const BYTES_MAX = 512 * 1024;

interface Kept {
  readonly frame: Buffer;
  readonly at: number;
}

export class RecentFrames {
  private kept: Kept[] = [];
  private bytes = 0;

  /** Forgets what is too old or too much, oldest first. `now`: monotonic, ms. */
  put(frames: readonly Buffer[], now: number): void {
    for (const frame of frames) {
      this.kept.push({ frame, at: now });
      this.bytes += frame.length;
    }
    this.forget(now);
  }

  /** In the order of arrival; nothing is kept any more. */
  take(now: number): Buffer[] {
    this.forget(now);
    const frames = this.kept.map(({ frame }) => frame);
    this.kept = [];
    this.bytes = 0;
    return frames;
  }

  private forget(now: number): void {
    for (;;) {
      const [oldest] = this.kept;
      if (oldest === undefined || !this.excess(oldest, now)) return;
      this.kept.shift();
      this.bytes -= oldest.frame.length;
    }
  }

  private excess(oldest: Kept, now: number): boolean {
    return now - oldest.at > RECENT_MS || this.kept.length > FRAMES_MAX || this.bytes > BYTES_MAX;
  }
}
