// SPDX-License-Identifier: Apache-2.0
/**
 * The installation's own certificate authority and what it signs: one certificate for each incarnation, the operator's
 * own, and the webhook's. The CA is a Secret that is made once; all replicas read the same.
 */
import { X509Certificate } from 'node:crypto';
import type { ChannelTls } from '../sidecar/io/channel/tls.js';
import {
  makeCa,
  makeHostCertificate,
  OPERATOR_URI,
  validity,
  type HostNames,
  type Pair,
} from '../sidecar/io/channel/pki.js';
import { base64, textOf } from './api/base64.js';
import type { Secret } from './api/objects.js';
import { SECRETS } from './api/resources.js';
import type { ObjectClient } from './kit/apply.js';
import { CA_SECRET, LABELS, MANAGED_BY } from './names.js';

/** Long enough for a weekend without an operator, short enough that a stolen key soon is worth nothing. */
export const CERTIFICATE_DAYS = 30;
/** What is left of a certificate's life when it is made anew: a third. */
const RENEW_BEFORE_MS = (CERTIFICATE_DAYS / 3) * 86_400_000;

/** True when it must be made anew now; also when it can't be read. */
export function isDue(certificatePem: string, now: Date): boolean {
  try {
    return Date.parse(new X509Certificate(certificatePem).validTo) - now.getTime() < RENEW_BEFORE_MS;
  } catch {
    return true; // no certificate at all
  }
}

/** The CA of this installation; of several who make it at once, the first one's counts for all. */
export async function loadCa(client: ObjectClient, namespace: string): Promise<Pair> {
  const there = await client.find<Secret>(SECRETS, { name: CA_SECRET, namespace });
  if (there !== null) return pairOf(there);
  const made = await makeCa('lockstep');
  const { object } = await client.createIfAbsent<Secret>(SECRETS, {
    metadata: { name: CA_SECRET, namespace, labels: { [LABELS.managedBy]: MANAGED_BY } },
    type: 'Opaque',
    data: { 'ca.crt': base64(made.certificatePem), 'ca.key': base64(made.privateKeyPem) },
  });
  return pairOf(object);
}

/** A CA's Secret that somebody has broken: nothing can be signed, and nothing that was signed can be told apart. */
export class CaError extends Error {
  readonly code = 'LOCKSTEP_CA';
}

function pairOf(secret: Secret): Pair {
  const pair = { certificatePem: textOf(secret, 'ca.crt'), privateKeyPem: textOf(secret, 'ca.key') };
  if (pair.certificatePem !== '' && pair.privateKeyPem !== '') return pair;
  throw new CaError(
    `Secret ${CA_SECRET} has no ca.crt or no ca.key: put its copy back, or delete it and all VMs to begin with a new one`,
  );
}

export class Authority {
  constructor(private readonly ca: Pair) {}

  get certificatePem(): string {
    return this.ca.certificatePem;
  }

  /** For the sidecar of one incarnation of a VM. */
  ofSide(vmId: string, vmi: string): Promise<ChannelTls> {
    return this.#sign({ commonName: vmi.slice(0, COMMON_NAME_CHARACTERS_MAX), vms: [vmId], dnsNames: [] });
  }

  /** With which the operator asks sidecars. */
  ofOperator(): Promise<ChannelTls> {
    return this.#sign({ commonName: 'lockstep-operator', vms: [], dnsNames: [], uris: [OPERATOR_URI] });
  }

  /** For a server within the cluster, by the names of its Service. */
  ofService(service: string, namespace: string): Promise<ChannelTls> {
    const dnsNames = [service, `${service}.${namespace}`, `${service}.${namespace}.svc`];
    return this.#sign({ commonName: service, vms: [], dnsNames });
  }

  async #sign(names: HostNames): Promise<ChannelTls> {
    const pair = await makeHostCertificate(this.ca, names, validity(CERTIFICATE_DAYS));
    return { ca: this.ca.certificatePem, cert: pair.certificatePem, key: pair.privateKeyPem };
  }
}

/** ub-common-name of RFC 5280. */
const COMMON_NAME_CHARACTERS_MAX = 64;

/** A certificate that is renewed when it is due; asked for as often as one likes. */
export class Renewed {
  #current: ChannelTls | null = null;

  constructor(
    private readonly make: () => Promise<ChannelTls>,
    private readonly now: () => Date,
    private readonly onRenewed: (tls: ChannelTls) => void = () => undefined,
  ) {}

  /** The one of now. @throws Error before the first renewal */
  get current(): ChannelTls {
    if (this.#current === null) throw new Error('the certificate was never made: call renew first');
    return this.#current;
  }

  async renew(): Promise<void> {
    if (this.#current !== null && !isDue(this.#current.cert, this.now())) return;
    this.#current = await this.make();
    this.onRenewed(this.#current);
  }
}
