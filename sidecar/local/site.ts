// SPDX-License-Identifier: Apache-2.0
/** A host of the local pair as a sidecar's site: everything by the names and files of its settings. */
import { readFileSync } from 'node:fs';
import { Tap } from '../../native/addon/index.js';
import type { ChannelTls } from '../io/channel/tls.js';
import { RedisLease, type LeaseOptions } from '../io/lease/redis.js';
import { Image } from '../io/disk/image.js';
import { RecordFile, requireWipeable } from '../io/disk/record.js';
import type { SiteDisk, SiteDisks } from '../runtime/disks/disks.js';
import type { Site } from '../runtime/site.js';
import { withoutUndefined } from '../settings.js';
import type { Config } from './config.js';

/** Opens what the site holds. */
export function openSite(config: Config): Site {
  return {
    ...config,
    tls: readTls(config.tls),
    disks: openDisks(config),
    tap: Tap.open(config.tap, { mtu: null }),
    lease: new RedisLease(leaseOptions(config)),
  };
}

const read = (file: string): string => readFileSync(file, 'utf8');

const MIB = 1024 * 1024;

function openDisk(
  { vm, start }: Config,
  { id, socket, image: path, bytes }: Config['disks'][number],
): SiteDisk {
  const isFilled = start.role === 'backup';
  const image = Image.open({ path, bytes, isFilled });
  try {
    if (isFilled) requireWipeable(image, vm);
    return { id, socket, image, record: RecordFile.open(path) };
  } catch (error) {
    image.close();
    throw error;
  }
}

/** A backup's images are made when they are missing: they are filled from the primary's. @throws ImageError */
function openDisks(config: Config): SiteDisks {
  const { disks, life, copyMiBPerSecond } = config;
  return {
    list: disks.map((disk) => openDisk(config, disk)),
    life,
    bytesPerSecondMax: copyMiBPerSecond === undefined ? Infinity : copyMiBPerSecond * MIB,
  };
}

function readTls({ ca, cert, key }: Config['tls']): ChannelTls {
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

function leaseOptions({ vm, store, limits }: Config): LeaseOptions {
  const { tls, ...rest } = store;
  return {
    vm,
    ...withoutUndefined(rest),
    callTimeoutMs: limits.leaseTimeoutMs,
    ...(tls === undefined
      ? {}
      : {
          tls: withoutUndefined({
            ca: read(tls.ca),
            cert: tls.cert === undefined ? undefined : read(tls.cert),
            key: tls.key === undefined ? undefined : read(tls.key),
            servername: tls.servername,
          }),
        }),
  };
}
