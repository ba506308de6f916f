// SPDX-License-Identifier: Apache-2.0
/** A host of the local pair as a sidecar's site: everything by the names and files of its settings. */
import { readFileSync } from 'node:fs';
import { Tap } from '../../native/addon/index.js';
import type { ChannelTls } from '../io/channel/tls.js';
import { RedisLease, type LeaseOptions } from '../io/lease/redis.js';
import type { Site } from '../runtime/site.js';
import { withoutUndefined } from '../settings.js';
import type { Config } from './config.js';

/** Opens what the site holds. */
export function openSite(config: Config): Site {
  return {
    ...config,
    tls: readTls(config.tls),
    tap: Tap.open(config.tap, { mtu: null }),
    lease: new RedisLease(leaseOptions(config)),
  };
}

const read = (file: string): string => readFileSync(file, 'utf8');

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
