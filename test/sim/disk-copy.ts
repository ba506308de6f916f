// SPDX-License-Identifier: Apache-2.0
import { COPY_BLOCK_BYTES, type CopySource } from '../../sidecar/protocol/disk/copy-source.js';
import type { CopyTarget } from '../../sidecar/protocol/disk/copy-target.js';
import { CELL_BYTES, DISK_BYTES } from './disk-image.js';
import type { Incarnation } from './incarnation.js';
import type { Connection, CopyPart } from './network.js';
import type { SimDisk } from './sim-disk.js';

const BLOCK_CELLS = COPY_BLOCK_BYTES / CELL_BYTES;
const TURN_MS = [0.2, 12] as const;
const READ_MS = [0.1, 2] as const;
const CLEAR_MS = [2, 20] as const;
const SAVED_MAX = 2;

/** One end of a copy's connection. */
abstract class CopyEnd {
  protected connection: Connection | null = null;
  protected isOver = false;

  constructor(
    protected readonly disk: SimDisk,
    private readonly side: 0 | 1,
  ) {}

  killed(silent: boolean): void {
    this.isOver = true;
    if (silent) this.connection?.vanish(this.side);
    else this.connection?.close(this.side);
  }

  protected attach(connection: Connection): void {
    this.connection = connection;
    connection.attach(this.side, {
      message: (message) => {
        if (message.kind === 'copy' && !this.isOver) this.hear(message.what);
      },
      down: () => {
        this.fail();
      },
    });
  }

  protected send(what: CopyPart): void {
    this.connection?.send(this.side, { kind: 'copy', what });
  }

  protected abstract hear(what: CopyPart): void;
  protected abstract fail(): void;
}

/** The primary's end: the image as it was at the clone point. */
export class CopyOut extends CopyEnd {
  private readonly source: CopySource;
  private readonly saved: { readonly block: number; readonly values: readonly number[] }[] = [];
  private reading = 0;

  constructor(
    disk: SimDisk,
    private readonly attempt: number,
    private readonly peer: Incarnation | null,
  ) {
    super(disk, 1);
    this.source = new disk.owner.world.product.disk.CopySource(DISK_BYTES);
    disk.desk.outgoing = { source: this.source, isFull: () => this.saved.length > SAVED_MAX };
  }

  offer(from: Incarnation, connection: Connection): void {
    if (from !== this.peer || this.connection !== null) return;
    this.attach(connection);
    this.turn();
  }

  stop(): void {
    this.isOver = true;
    this.connection?.close(1);
  }

  save(block: number): void {
    this.source.begin(block);
    this.reading += 1;
    this.disk.later(READ_MS, () => {
      this.reading -= 1;
      const first = block * BLOCK_CELLS;
      this.saved.push({ block, values: this.disk.image.cells.slice(first, first + BLOCK_CELLS) });
      this.source.finish(block);
      this.disk.run();
    });
  }

  protected hear(what: CopyPart): void {
    if (what.type === 'want') this.source.want(what.block);
    if (what.type !== 'whole') return;
    this.isOver = true;
    this.disk.desk.outgoing = null;
    this.disk.run();
    this.disk.owner.hand({ type: 'copied', attempt: this.attempt });
  }

  protected fail(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.disk.owner.hand({ type: 'copyFailed', attempt: this.attempt, detail: 'the connection broke' });
  }

  private turn(): void {
    this.disk.later(TURN_MS, () => {
      if (!this.isOver && this.step()) this.turn();
    });
  }

  /** False: all is sent. */
  private step(): boolean {
    const item = this.saved.shift();
    if (item !== undefined) {
      this.send({ type: 'block', ...item });
      this.disk.owner.hand({ type: 'copyProgress', attempt: this.attempt, bytes: this.source.doneBytes });
      this.disk.run();
      return true;
    }
    const block = this.source.next();
    if (block !== null) this.save(block);
    else if (this.reading === 0) this.send({ type: 'end' });
    return block !== null || this.reading > 0;
  }
}

/** The backup's end. */
export class CopyIn extends CopyEnd {
  private readonly target: CopyTarget;
  private readonly asked = new Set<number>();
  private writing = 0;
  private hasEnded = false;

  constructor(
    disk: SimDisk,
    private readonly primary: Incarnation | null,
  ) {
    super(disk, 0);
    this.target = new disk.owner.world.product.disk.CopyTarget(DISK_BYTES);
    disk.desk.incoming = this.target;
    this.clear();
  }

  want(block: number): void {
    if (this.asked.has(block)) return;
    this.asked.add(block);
    this.send({ type: 'want', block });
  }

  protected hear(what: CopyPart): void {
    if (what.type === 'block') this.take(what.block, what.values);
    if (what.type === 'end') {
      this.hasEnded = true;
      this.look();
    }
  }

  protected fail(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.disk.owner.hand({ type: 'copyFailed', attempt: 0, detail: 'the connection broke' });
  }

  /** What was in the image is of no use from here on, and it says so before that goes. */
  private clear(): void {
    this.disk.record('incomplete', 0, null, () => {
      this.disk.later(CLEAR_MS, () => {
        this.disk.image.clear();
        this.disk.cleared();
        this.dial();
      });
    });
  }

  private dial(): void {
    const { owner } = this.disk;
    const { network, schedule } = owner.world;
    schedule.after(network.delay() * 2, () => {
      owner.arrives(() => {
        const { primary } = this;
        const isCut =
          primary === null ||
          network.isCut(owner.host, primary.host) ||
          network.isCut(primary.host, owner.host);
        if (isCut || primary.dead) {
          this.fail();
          return;
        }
        const connection = network.connect(owner, primary);
        this.attach(connection);
        for (const block of this.asked) this.send({ type: 'want', block });
        primary.arrives(() => primary.disk?.accept(owner, connection));
      });
    });
  }

  private take(block: number, values: readonly number[]): void {
    if (!this.target.arrives(block)) return;
    this.writing += 1;
    this.disk.later(READ_MS, () => {
      this.writing -= 1;
      this.disk.image.write(block * BLOCK_CELLS, values);
      this.target.arrived(block);
      this.disk.run();
      this.look();
    });
  }

  private look(): void {
    if (!this.hasEnded || this.writing > 0 || this.isOver) return;
    if (!this.target.isWhole) {
      this.fail();
      return;
    }
    this.isOver = true;
    this.disk.later(READ_MS, () => {
      this.disk.image.flush();
      this.disk.desk.incoming = null;
      this.disk.run();
      this.disk.record('copy', 0, null, () => {
        this.disk.owner.hand({ type: 'copied', attempt: 0 });
        this.send({ type: 'whole' });
      });
    });
  }
}
