// SPDX-License-Identifier: Apache-2.0
// Two sides of one disk, joined as the protocol joins them: the primary's outcome is told, then answered, and the backup's
// request comes out alike. The images fail at random.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Image } from '../../io/disk/image.js';
import type { NbdRequest } from '../../io/nbd/requests.js';
import type { DiskOutcome, DiskRequest } from '../../protocol/disk/request.js';
import { Disk, type DiskHooks } from './disk.js';

const BYTES = 64;
const EIO = 5;
const ENOSPC = 28;

/** Of bytes in memory; each call may fail, a write after some of its bytes. */
class FaultyImage {
  readonly path = 'image';
  readonly bytes = BYTES;
  readonly contents = Buffer.alloc(BYTES);

  constructor(private readonly nextError: () => number) {}

  read(offset: number, length: number): Promise<{ error: number; data: Buffer }> {
    return Promise.resolve({
      error: this.nextError(),
      data: Buffer.from(this.contents.subarray(offset, offset + length)),
    });
  }

  write(offset: number, data: Uint8Array): Promise<DiskOutcome> {
    const error = this.nextError();
    const written = error === 0 ? data.length : Math.floor(data.length / 2);
    this.contents.set(data.subarray(0, written), offset);
    return Promise.resolve({ error, written: error === 0 ? 0 : written });
  }

  zero(offset: number, length: number): Promise<DiskOutcome> {
    return this.write(offset, Buffer.alloc(length));
  }

  flush(): Promise<number> {
    return Promise.resolve(this.nextError());
  }
}

interface Side {
  readonly image: FaultyImage;
  readonly disk: Disk;
  readonly answers: Map<number, { readonly error: number; readonly data: string }>;
  readonly differs: string[];
}

function side(nextError: () => number, onDone: DiskHooks['onDone']): Side {
  const image = new FaultyImage(nextError);
  const differs: string[] = [];
  const disk = new Disk({ id: 'disk0', socket: 'none' }, image as unknown as Image, {
    onRequest: () => undefined,
    onDone,
    onDiffers: (detail) => differs.push(detail),
    onGone: () => undefined,
    isOurs: () => true,
  });
  const answers: Side['answers'] = new Map();
  disk.serve({
    answer: (id, error, data) => {
      answers.set(id, { error, data: error === 0 ? (data?.toString('hex') ?? '') : '' });
    },
    close: () => undefined,
  });
  return { image, disk, answers, differs };
}

const request = fc
  .record({
    kind: fc.constantFrom<DiskRequest['kind'][]>('read', 'write', 'zero', 'flush'),
    offset: fc.nat(BYTES - 8),
    length: fc.integer({ min: 1, max: 8 }),
    fua: fc.boolean(),
    fill: fc.nat(255),
  })
  .map(({ kind, offset, length, fua, fill }): NbdRequest => {
    const where = kind === 'flush' ? { offset: 0, length: 0 } : { offset, length };
    return {
      cookie: 0n,
      request: { kind, ...where, fua: fua && kind !== 'read', mayPunch: true },
      data: kind === 'write' ? Buffer.alloc(length, fill) : Buffer.alloc(0),
    };
  });

function errorFrom(stream: fc.Stream<number>): number {
  const { value } = stream.next() as IteratorYieldResult<number>; // it never ends
  return value;
}

/** What is under way is done when nothing is left in the queue of promises. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a disk whose image fails', () => {
  it('tells both guests the same, answers each request, and leaves the images equal', async () => {
    const errors = fc.infiniteStream(fc.constantFrom(0, 0, 0, EIO, ENOSPC));
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 60 }),
        errors,
        async (requests, stream) => {
          const follower: Side = side(
            () => 0,
            (id) => {
              follower.disk.answer(id);
            },
          );
          const leader: Side = side(
            () => errorFrom(stream),
            (id, k, outcome) => {
              follower.disk.learn({ disk: 0, k, ...outcome });
              leader.disk.answer(id);
            },
          );
          leader.disk.own(true);
          leader.disk.lead();
          follower.disk.follow();
          requests.forEach((one, index) => {
            leader.disk.take(index, one);
          });
          await settle();
          requests.forEach((one, index) => {
            follower.disk.take(index, one);
          });
          await settle();
          expect(leader.answers.size).to.equal(requests.length);
          expect([...follower.answers].sort()).to.deep.equal([...leader.answers].sort());
          expect(follower.image.contents.equals(leader.image.contents)).to.equal(true);
          expect(follower.differs).to.deep.equal([]);
        },
      ),
    );
  });

  it('of a backup that fails where the primary did not is told as a difference, and its guest hears nothing', async () => {
    const follower: Side = side(
      () => EIO,
      (id) => {
        follower.disk.answer(id);
      },
    );
    follower.disk.follow();
    follower.disk.take(1, {
      cookie: 0n,
      request: { kind: 'read', offset: 0, length: 8, fua: false, mayPunch: true },
      data: Buffer.alloc(0),
    });
    await settle();
    expect(follower.differs).to.deep.equal([]);
    follower.disk.learn({ disk: 0, k: 1, error: 0, written: 0 });
    await settle();
    expect(follower.differs).to.deep.equal(["image: read at 0: error 5, where the primary's image had none"]);
    expect(follower.answers.size).to.equal(0);
  });
});
