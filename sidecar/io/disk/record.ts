// SPDX-License-Identifier: Apache-2.0
/**
 * What an image knows by itself: who had it last, in which epoch. It lies beside the image (`IMAGE.lockstep`), so that a
 * start from the older one of two images is found out when nobody is left to ask. In place and in one sector, for it
 * must be written when the file system is full, and whole or not at all.
 */
import { closeSync, constants, fdatasync, openSync, readFileSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { z } from 'zod';
import { IMAGE_STATES } from '../../protocol/disk/newest.js';
import { ImageError, type Image } from './image.js';

const writeAt = promisify(write);
const syncData = promisify(fdatasync);

const RECORD_BYTES = 512;

export const recordPath = (image: string): string => `${image}.lockstep`;

export const recordSchema = z.strictObject({
  version: z.literal(1),
  vm: z.string(),
  /** These are explained in newest.ts. */
  state: z.enum(IMAGE_STATES),
  life: z.int().positive(),
  epoch: z.int().nonnegative(),
  side: z.string(),
  of: z.string().nullable(),
  /** Log's head when it was written: for people. */
  position: z.int().nonnegative(),
});
export type ImageRecord = z.infer<typeof recordSchema>;

/** Null: there is none. @throws ImageError when it cannot be understood */
export function readRecord(image: string): ImageRecord | null {
  const path = recordPath(image);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  if (text.trim() === '') return null; // made, and never written: so was the image
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    const words = `${path} is damaged, so nobody knows how new ${image} is: remove it if you are sure of the image`;
    throw new ImageError(words, { cause: error });
  }
}

/**
 * A backup's image is wiped before the primary's comes: it must be one that this VM has had before, or have nothing in it.
 * @throws ImageError
 */
export function requireWipeable(image: Pick<Image, 'path' | 'nextData'>, vm: string): void {
  const { path } = image;
  const record = readRecord(path);
  if (record?.vm === vm) return;
  if (record !== null) {
    throw new ImageError(
      `${path} is a disk of VM '${record.vm}', and a new backup of '${vm}' would wipe it: move it away together with ${recordPath(path)}, or remove both`,
    );
  }
  if (image.nextData(0) === null) return;
  throw new ImageError(
    `${path} holds data, and nothing says that they are of VM '${vm}' (there is no ${recordPath(path)}): a new backup would wipe it. Move it away, or remove it`,
  );
}

/** Writes one image's record, one at a time, the newest last. */
export class RecordFile {
  private isClosed = false;
  private last: Promise<void> = Promise.resolve();

  private constructor(private readonly fd: number) {}

  /** @throws when the folder cannot be written to */
  static open(image: string): RecordFile {
    return new RecordFile(openSync(recordPath(image), constants.O_RDWR | constants.O_CREAT, 0o600));
  }

  /** Resolves when it is on the medium. */
  write(record: ImageRecord): Promise<void> {
    const bytes = Buffer.alloc(RECORD_BYTES, ' ');
    bytes.write(JSON.stringify(record));
    bytes[RECORD_BYTES - 1] = 0x0a;
    this.last = this.last
      .catch(() => undefined) // told to whoever asked for it
      .then(async () => {
        await writeAt(this.fd, bytes, 0, RECORD_BYTES, 0);
        await syncData(this.fd);
      });
    return this.last;
  }

  /** After what is being written. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.last.catch(() => undefined);
    closeSync(this.fd);
  }
}
