// SPDX-License-Identifier: Apache-2.0
/** What disk images need of the operating system. */
import { checkFd, checkInteger } from './check.js';
import { explain, explained, type Meanings } from './errors.js';
import { native } from './native.js';

const LOCKED = 'another process has it: a VM, or a tool such as qemu-img';

const MEANINGS: Meanings = {
  'lock:EAGAIN': ['IMAGE_LOCKED', LOCKED],
  'lock:EACCES': ['IMAGE_LOCKED', LOCKED],
  'fallocate:EOPNOTSUPP': ['IMAGE_NO_HOLES', 'this file system or device makes no holes'],
};

/**
 * Takes the open file for this process alone, as long as it has it open; nobody is waited for. QEMU and its tools keep to it.
 * @throws IMAGE_LOCKED
 */
export function lockImage(fd: number): void {
  checkFd('fd', fd);
  explained('the image', MEANINGS, () => {
    native.imageLock(fd);
  });
}

/** Bytes of a file or of a block device. */
export function imageBytes(fd: number): number {
  checkFd('fd', fd);
  return explained('size of the image', MEANINGS, () => native.imageBytes(fd));
}

/** Where data begin at or behind `from`; all before is a hole, which reads as zeroes. Null: nowhere. */
export function nextData(fd: number, from: number): number | null {
  checkFd('fd', fd);
  checkInteger('from', from, 0, Number.MAX_SAFE_INTEGER);
  const found = explained('looking for data', MEANINGS, () => native.imageNextData(fd, from));
  return found < 0 ? null : found;
}

/** A range reads as zeroes afterwards, and takes no room. @throws IMAGE_NO_HOLES; SYSTEM with the errno */
export async function punchHole(fd: number, offset: number, length: number): Promise<void> {
  checkFd('fd', fd);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('length', length, 1, Number.MAX_SAFE_INTEGER);
  try {
    await native.imagePunch(fd, offset, length);
  } catch (error) {
    throw explain(error, 'making a hole', MEANINGS);
  }
}
