// SPDX-License-Identifier: Apache-2.0
/**
 * Sends the disks' images as they were at the clone point. Blocks that the guest is about to change, and those that the
 * backup waits for, go first; the rest in its turn, holes and zeroes as a word.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { blockHead, encode, type CopyMessage } from '../../io/disk/copy-wire.js';
import { COPY_BLOCK_BYTES, CopySource } from '../../protocol/disk/copy-source.js';
import { CopyError, hear, progressOf, type CopyProgress } from './copy-end.js';
import type { Disk } from './disk.js';
import { Throttle } from './throttle.js';

/** Saved before the guest's writes and not sent yet: beyond it the guest waits. */
export const SAVED_BYTES_MAX = 32 * 1024 * 1024;
/** In the connection's hands: more would make what is urgent wait. */
const BACKLOG_BYTES = 512 * 1024;
const ZEROES = Buffer.alloc(COPY_BLOCK_BYTES);

export interface CopySenderOptions {
  readonly life: number;
  readonly bytesPerSecondMax: number;
  readonly onProgress: (bytes: number) => void;
}

/** A block that was read, on its way. Null: zeroes. */
interface Saved {
  readonly disk: number;
  readonly block: number;
  readonly data: Buffer | null;
}

export class CopySender {
  private readonly sources: readonly CopySource[];
  private readonly saved: Saved[] = [];
  private savedBytes = 0;
  private readonly throttle: Throttle;
  private readonly abort = new AbortController();
  private wake: (() => void) | null = null;
  private failure: Error | null = null;
  private isWhole = false;
  /** Reads under way. */
  private reading = 0;

  /** To be made at the clone point: from here on nothing is changed that was not saved. */
  constructor(
    private readonly disks: readonly Disk[],
    private readonly options: CopySenderOptions,
  ) {
    this.throttle = new Throttle(options.bytesPerSecondMax);
    this.sources = disks.map((disk, index) => {
      const source = new CopySource(disk.image.bytes);
      disk.sends({
        source,
        save: (block) => {
          this.save(index, block);
        },
        isFull: () => this.savedBytes > SAVED_BYTES_MAX,
      });
      return source;
    });
  }

  get progress(): CopyProgress {
    return progressOf(this.sources);
  }

  /** Resolves when the backup has all of it on its medium. @throws CopyError and what breaks the connection */
  async run(socket: Duplex): Promise<void> {
    const closed = this.listen(socket);
    closed.catch(() => undefined); // raced below
    socket.write(
      encode({ type: 'begin', life: this.options.life, bytes: this.sources.map(({ bytes }) => bytes) }),
    );
    try {
      await Promise.race([this.sendAll(socket), closed]);
      await Promise.race([this.untilWhole(), closed]);
    } catch (error) {
      throw this.failure ?? error; // what was first, not what it broke
    } finally {
      socket.destroy();
    }
  }

  stop(): void {
    this.fail(new CopyError('given up'));
    this.abort.abort();
  }

  /** The other direction; rejects when the connection ends, or makes no sense. */
  private listen(socket: Duplex): Promise<never> {
    return new Promise((_resolve, reject) => {
      hear(socket, {
        peer: 'backup',
        onMessage: (message) => {
          this.take(message);
        },
        onBroken: (error) => {
          this.fail(error);
          reject(error);
        },
      });
    });
  }

  private take(message: CopyMessage): void {
    if (message.type === 'want') this.sources[message.disk]?.want(message.block);
    else if (message.type === 'whole') this.isWhole = true;
    else throw new CopyError(`the backup sent ${message.type}`);
    this.wakeUp();
  }

  private async sendAll(socket: Duplex): Promise<void> {
    for (;;) {
      this.check();
      if (socket.writableLength > BACKLOG_BYTES) {
        await once(socket, 'drain', { signal: this.abort.signal });
        continue;
      }
      const item = this.saved.shift();
      if (item !== undefined) await this.send(socket, item);
      else if (!this.readNext(socket)) {
        if (this.sources.every(({ isDone }) => isDone) && this.reading === 0 && this.saved.length === 0)
          break;
        await this.sleepUntilWoken();
      } else if (this.saved.length === 0 && this.reading > 0) await this.sleepUntilWoken();
    }
    socket.write(encode({ type: 'end' }));
  }

  private async untilWhole(): Promise<void> {
    while (!this.isWhole) {
      this.check();
      await this.sleepUntilWoken();
    }
    this.options.onProgress(this.progress.totalBytes);
  }

  private async send(socket: Duplex, { disk, block, data }: Saved): Promise<void> {
    if (data === null) {
      socket.write(encode({ type: 'zeroes', disk, from: block, to: block + 1 }));
      return;
    }
    this.savedBytes -= data.length;
    if (this.savedBytes <= SAVED_BYTES_MAX && this.savedBytes + data.length > SAVED_BYTES_MAX)
      this.retryAll();
    socket.write(blockHead(disk, block, data.length));
    socket.write(data);
    this.options.onProgress(this.progress.doneBytes);
    const wait = this.throttle.spend(data.length, performance.now());
    if (wait >= 1) await sleep(wait, undefined, { signal: this.abort.signal });
  }

  /** Begins to read the next block in turn, of the first disk that has one. False: there is none. */
  private readNext(socket: Duplex): boolean {
    for (const [disk, source] of this.sources.entries()) {
      const block = source.next();
      if (block === null) continue;
      if (!this.skipHole(socket, disk, block)) this.save(disk, block);
      return true;
    }
    return false;
  }

  /** No data at the block: it and those behind it, as far as the hole goes, are zeroes. */
  private skipHole(socket: Duplex, disk: number, block: number): boolean {
    const source = this.sources[disk];
    const image = this.disks[disk]?.image;
    if (source === undefined || image === undefined) return false;
    const at = block * COPY_BLOCK_BYTES;
    const data = image.nextData(at) ?? source.bytes;
    const runs = source.hole(at, data);
    for (const [from, to] of runs) socket.write(encode({ type: 'zeroes', disk, from, to }));
    return runs.length > 0;
  }

  private save(disk: number, block: number): void {
    const source = this.sources[disk];
    const from = this.disks[disk];
    if (source === undefined || from === undefined) return;
    source.begin(block);
    this.reading += 1;
    from.image.read(block * COPY_BLOCK_BYTES, source.lengthOf(block)).then(
      ({ error, data }) => {
        this.reading -= 1;
        if (error !== 0)
          this.fail(new CopyError(`${from.image.path} cannot be read: error ${String(error)}`));
        this.keep(disk, block, data);
        source.finish(block);
        from.retry();
      },
      (error: unknown) => {
        this.fail(error as Error);
      },
    );
  }

  private keep(disk: number, block: number, data: Buffer): void {
    const isZero = data.equals(data.length === ZEROES.length ? ZEROES : ZEROES.subarray(0, data.length));
    if (!isZero) this.savedBytes += data.length;
    this.saved.push({ disk, block, data: isZero ? null : data });
    this.wakeUp();
  }

  private retryAll(): void {
    for (const disk of this.disks) disk.retry();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.abort.abort();
    this.wakeUp();
  }

  private check(): void {
    if (this.failure !== null) throw this.failure;
  }

  private wakeUp(): void {
    this.wake?.();
  }

  private async sleepUntilWoken(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = null;
  }
}
