// SPDX-License-Identifier: Apache-2.0
import { AddonError, explain, explained, type Meanings } from './errors.js';
import { checkBytes, checkFd, checkFunction, checkInteger } from './check.js';
import { native, type TapHandle } from './native.js';

/** An Ethernet header. Shorter is refused by the kernel. */
export const FRAME_BYTES_MIN = 14;
/** MTU 65535, Ethernet header, VLAN tag. */
export const FRAME_BYTES_MAX = 65535 + 18;

// IFNAMSIZ - 1; what the kernel allows in a name, less what would be a pattern ('%').
const NAME = /^[^\s/%:\0]{1,15}$/;
const MTU_MIN = 68;
const MTU_MAX = 65535;

const NOT_PERMITTED =
  'needs CAP_NET_ADMIN, or a tap made for this user (ip tuntap add NAME mode tap user USER)';

const OPENING: Meanings = {
  EBUSY: ['TAP_BUSY', 'another process has it open; stop that one first'],
  EPERM: ['TAP_NOT_PERMITTED', NOT_PERMITTED],
  EACCES: ['TAP_NOT_PERMITTED', 'this user may not open /dev/net/tun'],
  ENOENT: ['TAP_NO_DEVICE', '/dev/net/tun is missing: modprobe tun, or give the container the device'],
  ENODEV: ['TAP_NO_DEVICE', 'the kernel has no tun driver: modprobe tun'],
  ENXIO: ['TAP_NO_DEVICE', 'the kernel has no tun driver: modprobe tun'],
  'TUNSETIFF:EINVAL': [
    'TAP_REFUSED',
    'the name is taken by something that is not a single-queue tap without header',
  ],
  'TUNGETIFF:EBADFD': ['TAP_REFUSED', 'the descriptor is not attached to a tap'],
  'TUNGETIFF:ENOTTY': ['TAP_REFUSED', 'the descriptor is not one of a tap'],
  'TUNGETIFF:EINVAL': ['TAP_REFUSED', 'the descriptor is not one of a tap'],
  'dup:EBADF': ['TAP_REFUSED', 'no such descriptor'],
  TAP_REFUSED: ['TAP_REFUSED', 'open it as IFF_TAP | IFF_NO_PI'],
};

const USING: Meanings = {
  TAP_CLOSED: ['TAP_CLOSED', 'it was closed before'],
  TAP_STARTED: ['TAP_STARTED', 'start() was called before'],
  EIO: ['TAP_DOWN', 'the interface is down: ip link set NAME up'],
  ENETDOWN: ['TAP_DOWN', 'the interface is down: ip link set NAME up'],
  ENODEV: ['TAP_GONE', 'the interface was deleted'],
  EBADFD: ['TAP_GONE', 'the interface was deleted'],
};

export interface TapListener {
  /** Whole Ethernet frames in the order they came; views of one buffer that nobody writes to again. */
  readonly onFrames: (frames: Buffer[]) => void;
  /** The last call: no frame comes any more. */
  readonly onError: (error: AddonError) => void;
}

function split(bytes: Buffer, lengths: Uint32Array): Buffer[] {
  const frames: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    frames.push(bytes.subarray(at, at + length));
    at += length;
  }
  return frames;
}

/**
 * A tap interface: Ethernet frames without a header, no offloads. Bringing the interface up is not its business.
 * Every call after close() throws TAP_CLOSED, except close() itself.
 */
export class Tap {
  /** As the kernel knows it. */
  readonly name: string;
  readonly #handle: TapHandle;

  private constructor(handle: TapHandle) {
    this.#handle = handle;
    this.name = native.tapName(handle);
  }

  /**
   * Attaches to a tap, made now (and gone with close()) when there is none of that name.
   * @param options.mtu set it, or null to leave it as it is
   * @throws TAP_BUSY, TAP_NOT_PERMITTED, TAP_NO_DEVICE, TAP_REFUSED, INVALID_ARGUMENT
   */
  static open(name: string, options: { readonly mtu: number | null }): Tap {
    if (!NAME.test(name)) throw new AddonError('INVALID_ARGUMENT', `'${name}' cannot be an interface's name`);
    if (options.mtu !== null) checkInteger('mtu', options.mtu, MTU_MIN, MTU_MAX);
    return new Tap(explained(`tap ${name}`, OPENING, () => native.tapOpen(name, options.mtu ?? 0)));
  }

  /**
   * Uses a descriptor attached by someone else; a copy of it, so the caller closes the original. With or without a
   * virtio-net header before each frame (IFF_VNET_HDR): frames are given and taken without.
   */
  static adopt(fd: number): Tap {
    checkFd('fd', fd);
    return new Tap(explained(`tap descriptor ${fd}`, OPENING, () => native.tapAdopt(fd)));
  }

  /**
   * Begins to read, off the main thread. At most two batches of 128 frames are outside the kernel's queue.
   * @throws TAP_STARTED the second time
   */
  start(listener: TapListener): void {
    checkFunction('onFrames', listener.onFrames);
    checkFunction('onError', listener.onError);
    this.#call(() =>
      native.tapStart(this.#handle, (bytes, lengths, errno) => {
        if (lengths.length > 0) listener.onFrames(split(bytes, lengths));
        if (errno !== null) listener.onError(this.#failure(errno));
      }),
    );
  }

  /** No frame comes until resume(): the kernel holds them, as many as the interface's txqueuelen. */
  pause(): void {
    this.#call(() => native.tapPause(this.#handle));
  }

  resume(): void {
    this.#call(() => native.tapResume(this.#handle));
  }

  /** @returns false when the kernel takes no more now: try again later. @throws TAP_DOWN, TAP_GONE */
  write(frame: Uint8Array): boolean {
    checkBytes('frame', frame, FRAME_BYTES_MIN, FRAME_BYTES_MAX);
    return this.#call(() => native.tapWrite(this.#handle, frame));
  }

  close(): void {
    native.tapClose(this.#handle);
  }

  #call<T>(call: () => T): T {
    return explained(`tap ${this.name}`, USING, call);
  }

  #failure(errno: string): AddonError {
    const raised = Object.assign(new Error('read'), { code: errno, operation: 'read' });
    return explain(raised, `tap ${this.name}`, USING) as AddonError;
  }
}
