// SPDX-License-Identifier: Apache-2.0
/**
 * What the network brought to a backup's host lately, and not to the primary's. When the primary's host loses its link,
 * the switch forgets behind which port the guest was and sends its packets everywhere: here they are what the dead host
 * did not get. A client's TCP sends a lost request again after 200 ms and then only after 400 more, so that a packet
 * forgotten while the primary is being missed costs more than the whole failover.
 *
 * A broadcast, or what a switch floods, comes to both hosts. Each packet that the primary forwards as its own cancels one
 * of the same bytes here, whichever came first. When the primary did not forward all, what came here until then may be
 * such a packet, and is forgotten: better lost than twice. One that slips through is a repetition, which any network may
 * make.
 */

/** Longer than missing a primary, claiming and going live usually take together. */
const RECENT_MS = 1000;
const FRAMES_MAX = 256;
const BYTES_MAX = 512 * 1024;

export class RecentFrames {
  private readonly own = new FrameShelf();
  /** Came to the primary's host, and not here yet. */
  private readonly elsewhere = new FrameShelf();

  /** What came here. `now`: monotonic, ms. */
  put(frames: readonly Uint8Array[], now: number): void {
    pair(frames, now, this.elsewhere, this.own);
  }

  /** What came to the primary's host. */
  cancel(frames: readonly Uint8Array[], now: number): void {
    pair(frames, now, this.own, this.elsewhere);
  }

  /** Some came to the primary's host and nobody knows which. */
  doubt(now: number): void {
    this.own.take(now);
  }

  /** In the order of arrival; nothing is kept any more. */
  take(now: number): Uint8Array[] {
    this.elsewhere.take(now);
    return this.own.take(now);
  }
}

/** Each frame meets its like of the other side, or waits for it. */
function pair(frames: readonly Uint8Array[], now: number, others: FrameShelf, mine: FrameShelf): void {
  others.forget(now);
  for (const frame of frames) {
    if (!others.remove(frame)) mine.put(frame, now);
  }
  mine.forget(now);
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0;

interface Kept {
  readonly frame: Uint8Array;
  readonly at: number;
}

/** Frames of the last moment, so many at most. */
class FrameShelf {
  private kept: Kept[] = [];
  private bytes = 0;

  put(frame: Uint8Array, now: number): void {
    this.kept.push({ frame, at: now });
    this.bytes += frame.length;
  }

  /** One of these bytes, the oldest. False: there is none. */
  remove(frame: Uint8Array): boolean {
    const at = this.kept.findIndex((one) => isSame(one.frame, frame));
    if (at < 0) return false;
    this.kept.splice(at, 1);
    this.bytes -= frame.length;
    return true;
  }

  take(now: number): Uint8Array[] {
    this.forget(now);
    const frames = this.kept.map(({ frame }) => frame);
    this.kept = [];
    this.bytes = 0;
    return frames;
  }

  /** What is too old or too much, oldest first. */
  forget(now: number): void {
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
