// SPDX-License-Identifier: Apache-2.0
/** Clones under way, as the protocol numbers them; at most one at a time. */
import { CloneError, receiveClone, sendClone } from '../io/clone.js';
import type { Qmp } from '../io/qmp/client.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { LinkId, Lsn, Millis } from '../protocol/types.js';
import type { Links } from './links.js';

export interface ClonesOptions {
  readonly qmp: Qmp;
  readonly links: Pick<Links, 'cloneFrom' | 'cloneTo'>;
  readonly socketPath: string;
  readonly post: (event: ProtocolEvent) => void;
  /** Time from the request to the last byte sent. The guest has long gone on: how long it stood still is known. */
  readonly onSent: (tookMs: Millis) => void;
  /** The last moment at which a clone point that the migration came to is still known to be its own. */
  readonly onMigrationOver: () => void;
}

/** Often enough to tell a clone that gets on from one that hangs (`cloneGiveUpMs`). */
const PROGRESS_MS = 1_000;

interface UnderWay {
  readonly attempt: number;
  readonly abort: AbortController;
}

export class Clones {
  private underWay: UnderWay | null = null;
  /** The attempt whose migration QEMU has, also after it was aborted: cancelling does not prevent its clone point. */
  private migrating: number | null = null;
  private loading: AbortController | null = null;
  private began: (() => void) | null = null;
  /** A migration that was given up must have ended in QEMU before the next one. */
  private last: Promise<void> = Promise.resolve();

  /** Clones that were asked for and are not over, those given up included. */
  private sending = 0;

  constructor(private readonly options: ClonesOptions) {}

  /** QEMU's migration may come to its clone point. */
  get isSending(): boolean {
    return this.sending > 0;
  }

  /** Ends in `cloneSent` or `cloneFailed`, with a `clonePoint` on the way. */
  send(attempt: number, link: LinkId): void {
    const abort = new AbortController();
    this.underWay = { attempt, abort };
    this.sending += 1;
    const startedAt = performance.now();
    this.last = this.last
      .then(() => this.transfer(attempt, link, abort.signal))
      .then(
        () => {
          this.options.onSent(performance.now() - startedAt);
          this.options.post({ type: 'cloneSent', attempt });
        },
        (error: unknown) => {
          this.options.post({ type: 'cloneFailed', attempt, detail: (error as Error).message });
        },
      )
      .finally(() => {
        this.sending -= 1;
      });
  }

  /** The guest came to rest: for the clone that is under way. */
  point(lsn: Lsn, frames: number): void {
    if (this.migrating === null) return;
    this.options.post({ type: 'clonePoint', attempt: this.migrating, lsn, frames });
  }

  abort(attempt: number): void {
    if (this.underWay?.attempt !== attempt) return;
    this.underWay.abort.abort();
    this.underWay = null;
  }

  /** The ring knows where the log begins: the load may go to its end. */
  positionKnown(): void {
    this.began?.();
  }

  /** Ends in `loaded` or `loadFailed`. */
  receive(): void {
    this.loading = new AbortController();
    this.load(this.loading.signal).then(
      () => {
        this.options.post({ type: 'loaded' });
      },
      (error: unknown) => {
        this.options.post({ type: 'loadFailed', detail: (error as Error).message });
      },
    );
  }

  shutdown(): void {
    this.underWay?.abort.abort();
    this.loading?.abort();
  }

  private async transfer(attempt: number, link: LinkId, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const stream = await this.options.links.cloneFrom(link, signal);
    this.migrating = attempt;
    try {
      await sendClone(this.options.qmp, stream, this.options.socketPath, signal, this.progressOf(attempt));
    } finally {
      this.options.onMigrationOver();
    }
  }

  private progressOf(attempt: number): (bytes: number) => void {
    let toldAt = performance.now();
    return (bytes) => {
      const now = performance.now();
      if (now - toldAt < PROGRESS_MS) return;
      toldAt = now;
      this.options.post({ type: 'cloneProgress', attempt, bytes });
    };
  }

  private async load(signal: AbortSignal): Promise<void> {
    const { qmp, links, socketPath } = this.options;
    // The log's position comes on the other connection; without it QEMU could not take up the log when it is loaded.
    const known = new Promise<void>((resolve, reject) => {
      this.began = resolve;
      signal.addEventListener('abort', () => {
        reject(new CloneError('given up before the clone point'));
      });
    });
    known.catch(() => undefined); // it may come before anybody awaits it
    const stream = await links.cloneTo();
    try {
      await known;
    } catch (error) {
      stream.destroy();
      throw error;
    }
    await receiveClone(qmp, stream, socketPath, signal);
  }
}
