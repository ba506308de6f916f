// SPDX-License-Identifier: Apache-2.0
/** A raw image: a file of exactly the disk's bytes, opened by this process alone. */
import { closeSync, constants, fdatasync, fstatSync, ftruncate, openSync, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { imageBytes, lockImage, nextData, punchHole, AddonError } from '../../../native/addon/index.js';
import { FINE, type DiskOutcome } from '../../protocol/disk/request.js';
import { NBD_ERROR } from '../nbd/constants.js';

const readAt = promisify(read);
const writeAt = promisify(write);
const truncate = promisify(ftruncate);
const syncData = promisify(fdatasync);

/** An image that cannot be used; the message says what to do. */
export class ImageError extends Error {
  readonly code = 'LOCKSTEP_IMAGE';
}

export interface ImageChoice {
  readonly path: string;
  readonly bytes: number;
  /** A new backup's, which is filled from the primary's: made when it is missing, of any size before. */
  readonly isFilled: boolean;
}

const ZEROES = Buffer.alloc(1024 * 1024);

/** What the guest is told; both sides must tell the same, so it is one of few. */
function errorOf(code: string | null | undefined): number {
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return NBD_ERROR.ENOSPC;
  return NBD_ERROR.EIO;
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof AddonError ? (error.errno ?? undefined) : (error as NodeJS.ErrnoException).code;

function openFile({ path, isFilled }: ImageChoice): number {
  try {
    return openSync(path, constants.O_RDWR | (isFilled ? constants.O_CREAT : 0), 0o600);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') throw new ImageError(`there is no image ${path}: make one, or name its size`);
    if (code === 'EISDIR') throw new ImageError(`${path} is a folder: name a file`);
    if (code === 'EROFS') throw new ImageError(`${path} is on a read-only file system: a disk is written to`);
    if (code === 'EACCES' || code === 'EPERM') throw new ImageError(`${path} may not be written to: ${code}`);
    throw new ImageError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function checkFile(fd: number, { path, bytes, isFilled }: ImageChoice): void {
  if (!fstatSync(fd).isFile()) throw new ImageError(`${path} is not a file: images are raw files`);
  try {
    lockImage(fd);
  } catch (error) {
    if (!(error instanceof AddonError) || error.code !== 'IMAGE_LOCKED') throw error;
    const words = `${path} is in use by another process: each side of a VM needs an image of its own, and a tool such as qemu-img must be done with it`;
    throw new ImageError(words, { cause: error });
  }
  const found = imageBytes(fd);
  if (isFilled || found === bytes) return;
  throw new ImageError(`${path} has ${String(found)} bytes, the disk ${String(bytes)}: they must be equal`);
}

export class Image {
  private isClosed = false;

  private constructor(
    private readonly fd: number,
    readonly path: string,
    readonly bytes: number,
  ) {}

  /** @throws ImageError */
  static open(choice: ImageChoice): Image {
    const fd = openFile(choice);
    try {
      checkFile(fd, choice);
      return new Image(fd, choice.path, choice.bytes);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** All of it reads as zeroes afterwards, whatever was there, and it has its size. */
  async clear(): Promise<void> {
    await truncate(this.fd, 0);
    await truncate(this.fd, this.bytes);
    await syncData(this.fd);
  }

  /** Data of their own memory, or an error of NBD's. */
  async read(offset: number, length: number): Promise<{ readonly error: number; readonly data: Buffer }> {
    const data = Buffer.allocUnsafeSlow(length);
    let got = 0;
    try {
      while (got < length) {
        const { bytesRead } = await readAt(this.fd, data, got, length - got, offset + got);
        if (bytesRead === 0) return { error: NBD_ERROR.EIO, data }; // somebody has made the file shorter
        got += bytesRead;
      }
      return { error: 0, data };
    } catch (error) {
      return { error: errorOf(codeOf(error)), data };
    }
  }

  async write(offset: number, data: Uint8Array): Promise<DiskOutcome> {
    let written = 0;
    try {
      while (written < data.length) {
        const { bytesWritten } = await writeAt(
          this.fd,
          data,
          written,
          data.length - written,
          offset + written,
        );
        written += bytesWritten;
      }
      return FINE;
    } catch (error) {
      return { error: errorOf(codeOf(error)), written };
    }
  }

  /** Reads as zeroes afterwards, with room kept for it or not. */
  async zero(offset: number, length: number, mayPunch: boolean): Promise<DiskOutcome> {
    if (mayPunch) {
      try {
        await punchHole(this.fd, offset, length);
        return FINE;
      } catch (error) {
        if (!(error instanceof AddonError) || error.code !== 'IMAGE_NO_HOLES') {
          return { error: errorOf(codeOf(error)), written: 0 };
        }
      }
    }
    return this.writeZeroes(offset, length);
  }

  /** What was written before is on the medium when it resolves. Its error of NBD's, or 0. */
  async flush(): Promise<number> {
    try {
      await syncData(this.fd);
      return 0;
    } catch (error) {
      return errorOf(codeOf(error));
    }
  }

  /** Where data begin at or behind `from`; null: nowhere. */
  nextData(from: number): number | null {
    return nextData(this.fd, from);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    closeSync(this.fd);
  }

  private async writeZeroes(offset: number, length: number): Promise<DiskOutcome> {
    for (let done = 0; done < length; done += ZEROES.length) {
      const piece = ZEROES.subarray(0, Math.min(ZEROES.length, length - done));
      const { error, written } = await this.write(offset + done, piece);
      if (error !== 0) return { error, written: done + written };
    }
    return FINE;
  }
}
