// SPDX-License-Identifier: Apache-2.0
/** Certificates for tests, and a folder that changes as the kubelet changes a Secret volume. */
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCa, makeHostCertificate, OPERATOR_URI, validity, type Pair } from '../../io/channel/pki.js';
import type { ChannelTls } from '../../io/channel/tls.js';

export const VM = 'db1-0a1b2c3d';

const DAY_MS = 86_400_000;
const EXPIRED = { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) };

export interface Keys {
  readonly ca: Pair;
  /** Of the VM's own sidecars. */
  readonly side: ChannelTls;
  /** The same name once more, as after a renewal. */
  readonly renewed: ChannelTls;
  readonly otherVm: ChannelTls;
  readonly operator: ChannelTls;
  readonly expired: ChannelTls;
  /** The right names, by another CA. */
  readonly foreign: ChannelTls;
}

interface Names {
  readonly vms?: readonly string[];
  readonly uris?: readonly string[];
}

async function keysOf(ca: Pair, { vms = [], uris = [] }: Names, valid = validity(1)): Promise<ChannelTls> {
  const names = { commonName: 'side', vms, uris, dnsNames: [] };
  const pair = await makeHostCertificate(ca, names, valid);
  return { ca: ca.certificatePem, cert: pair.certificatePem, key: pair.privateKeyPem };
}

export async function makeKeys(): Promise<Keys> {
  const ca = await makeCa('test');
  const foreignCa = await makeCa('foreign');
  const uris = [OPERATOR_URI];
  const foreign = await keysOf(foreignCa, { vms: [VM], uris });
  return {
    ca,
    side: await keysOf(ca, { vms: [VM] }),
    renewed: await keysOf(ca, { vms: [VM] }),
    otherVm: await keysOf(ca, { vms: ['web-1'] }),
    operator: await keysOf(ca, { uris }),
    expired: await keysOf(ca, { vms: [VM], uris }, EXPIRED),
    foreign: { ...foreign, ca: ca.certificatePem },
  };
}

let versions = 0;

/** As the kubelet does it: a new folder, a link to it, and one rename. */
export function writeSecret(dir: string, tls: ChannelTls): void {
  versions += 1;
  const version = `..2026_${versions}`;
  mkdirSync(join(dir, version), { recursive: true });
  writeFileSync(join(dir, version, 'ca.crt'), tls.ca);
  writeFileSync(join(dir, version, 'tls.crt'), tls.cert);
  writeFileSync(join(dir, version, 'tls.key'), tls.key);
  symlinkSync(version, join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
}
