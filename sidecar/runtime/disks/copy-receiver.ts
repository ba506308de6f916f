// SPDX-License-Identifier: Apache-2.0
/** Takes in the disks' images from the primary, while the replay already works on them. */
import type { Duplex } from 'node:stream';
import { encode, type CopyMessage } from '../../io/disk/copy-wire.js';
import { COPY_BLOCK_BYTES } from '../../protocol/disk/copy-source.js';
import { CopyTarget } from '../../protocol/disk/copy-target.js';
import { CopyError, hear, progressOf, type CopyProgress } from './copy-end.js';
import type { Disk } from './disk.js';

/** Come, and not written yet: beyond it the connection is not read. */
const UNWRITTEN_BYTES_MAX = 8 * 1024 * 1024;

export class CopyReceiver {
  private readonly targets: readonly CopyTarget[];
  private readonly wanted = new Set<string>();
  private unwritten = 0;
  private hasEnded = false;
  private begun = 0;
  private socket: Duplex | null = null;
  private settle: { readonly whole: () => void; readonly fail: (error: Error) => void } | null = null;

  /** @param disks whose images read as zeroes all over */
  constructor(private readonly disks: readonly Disk[]) {
    this.targets = disks.map((disk, index) => {
      const target = new CopyTarget(disk.image.bytes);
      disk.receives({
        target,
        want: (block) => {
          this.want(index, block);
        },
      });
      return target;
    });
  }

  /** Life of the VM that the primary told. */
  get life(): number {
    return this.begun;
  }

  get progress(): CopyProgress {
    return progressOf(this.targets);
  }

  /** Resolves when all of it has come, and is on the medium. @throws CopyError and what breaks the connection */
  async run(socket: Duplex): Promise<void> {
    this.socket = socket;
    await this.all(socket);
    for (const { image } of this.disks) {
      const error = await image.flush();
      if (error !== 0) throw new CopyError(`${image.path} cannot be flushed: error ${String(error)}`);
    }
    for (const disk of this.disks) {
      disk.receives(null);
    }
  }

  /** The primary may count on it. */
  confirm(): void {
    this.socket?.write(encode({ type: 'whole' }));
  }

  private all(socket: Duplex): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settle = { whole: resolve, fail: reject };
      hear(socket, {
        peer: 'primary',
        onMessage: (message) => {
          this.take(message);
        },
        onBroken: (error) => {
          reject(error);
          socket.destroy();
        },
      });
      for (const key of this.wanted) this.ask(key);
    });
  }

  private take(message: CopyMessage): void {
    switch (message.type) {
      case 'begin':
        this.begin(message.life, message.bytes);
        return;
      case 'block':
        this.takeBlock(message.disk, message.block, message.data);
        return;
      case 'zeroes':
        this.targetOf(message.disk, message.to - 1).zeroes(message.from, message.to);
        this.disks[message.disk]?.retry();
        return;
      case 'end':
        this.hasEnded = true;
        this.look();
        return;
      case 'want':
      case 'whole':
        throw new CopyError(`the primary sent ${message.type}`);
    }
  }

  private begin(life: number, bytes: readonly number[]): void {
    const own = this.targets.map((target) => target.bytes);
    if (bytes.length !== own.length || bytes.some((size, index) => size !== own[index])) {
      throw new CopyError(
        `the primary's disks have ${bytes.join(', ')} bytes, this side's ${own.join(', ')}`,
      );
    }
    this.begun = life;
  }

  private targetOf(disk: number, block: number): CopyTarget {
    const target = this.targets[disk];
    if (target === undefined || block < 0 || block >= target.blocks || this.begun === 0) {
      throw new CopyError(`block ${String(block)} of disk ${String(disk)}, which there is not`);
    }
    return target;
  }

  private takeBlock(index: number, block: number, data: Buffer): void {
    const target = this.targetOf(index, block);
    const disk = this.disks[index];
    if (disk === undefined || !target.arrives(block)) return;
    this.unwritten += data.length;
    if (this.unwritten > UNWRITTEN_BYTES_MAX) this.socket?.pause();
    disk.image.write(block * COPY_BLOCK_BYTES, data).then(
      ({ error }) => {
        this.unwritten -= data.length;
        if (error !== 0) {
          this.settle?.fail(new CopyError(`${disk.image.path} cannot be written: error ${String(error)}`));
          return;
        }
        if (this.unwritten <= UNWRITTEN_BYTES_MAX) this.socket?.resume();
        target.arrived(block);
        disk.retry();
        this.look();
      },
      (error: unknown) => {
        this.settle?.fail(error as Error);
      },
    );
  }

  private look(): void {
    if (!this.hasEnded || this.unwritten > 0) return;
    if (this.targets.every(({ isWhole }) => isWhole)) this.settle?.whole();
    else this.settle?.fail(new CopyError('the primary has sent all, and blocks are missing'));
  }

  /** Asked for once. */
  private want(disk: number, block: number): void {
    const key = `${String(disk)} ${String(block)}`;
    if (this.wanted.has(key)) return;
    this.wanted.add(key);
    this.ask(key);
  }

  private ask(key: string): void {
    const [disk = 0, block = 0] = key.split(' ').map(Number);
    this.socket?.write(encode({ type: 'want', disk, block }));
  }
}
