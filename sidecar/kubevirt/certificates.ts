// SPDX-License-Identifier: Apache-2.0
/**
 * This sidecar's certificate, as the pod's Secret volume has it now. The kubelet replaces all files of such a volume at
 * once, by one rename of the link `..data`; they are read through what it points to, so that key and certificate belong
 * together. Looked at in intervals: a renewal has days, and what watches files misses some.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { contextOptions, namesVm, type ChannelTls } from '../io/channel/tls.js';

/** A certificate that cannot be used; the message says why. */
export class CertificateError extends Error {
  readonly code = 'CERTIFICATE_UNUSABLE';
}

const CHECK_MS = 10_000;
const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

export interface CertificateHandlers {
  /** New connections are to be made with these. */
  readonly onRenewed: (tls: ChannelTls) => void;
  /** What is there now cannot be used; the old ones stay. Told once for each. */
  readonly onTrouble: (message: string) => void;
}

export class Certificates {
  #current: ChannelTls;
  /** What was last found in the volume, usable or not. */
  #seen: ChannelTls | null;
  #trouble: string | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** @throws CertificateError */
  constructor(
    private readonly dir: string,
    private readonly vm: string,
  ) {
    this.#current = readKeys(dir);
    this.#seen = this.#current;
    verify(this.#current, vm, new Date());
  }

  get current(): ChannelTls {
    return this.#current;
  }

  /** ISO 8601. */
  get notAfter(): string {
    return new Date(new X509Certificate(this.#current.cert).validTo).toISOString();
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  /** Follows the volume from now on. */
  follow(handlers: CertificateHandlers, everyMs = CHECK_MS): void {
    this.#timer = setInterval(() => {
      this.#check(handlers);
    }, everyMs);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #check(handlers: CertificateHandlers): void {
    try {
      const found = readKeys(this.dir);
      if (this.#seen !== null && same(found, this.#seen)) return;
      this.#seen = found;
      verify(found, this.vm, new Date());
      this.#current = found;
      this.#trouble = null;
    } catch (error) {
      this.#tell((error as Error).message, handlers);
      return;
    }
    handlers.onRenewed(this.#current);
  }

  #tell(message: string, handlers: CertificateHandlers): void {
    if (message === this.#trouble) return;
    this.#trouble = message;
    handlers.onTrouble(message);
  }
}

const same = (a: ChannelTls, b: ChannelTls): boolean => a.ca === b.ca && a.cert === b.cert && a.key === b.key;

function readKeys(dir: string): ChannelTls {
  try {
    const volume = dataFolder(dir);
    const read = (name: string): string => readFileSync(join(volume, name), 'utf8');
    return { ca: read('ca.crt'), cert: read('tls.crt'), key: read('tls.key') };
  } catch (error) {
    throw new CertificateError(`the certificate cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Where the kubelet's link points to now; a plain folder has none. */
function dataFolder(dir: string): string {
  try {
    return realpathSync(join(dir, '..data'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return dir;
  }
}

/** @throws CertificateError when `tls` would not be taken by the peer, or not by this side */
export function verify(tls: ChannelTls, vm: string, now: Date): void {
  let certificate: X509Certificate;
  let authorities: X509Certificate[];
  try {
    certificate = new X509Certificate(tls.cert);
    authorities = (tls.ca.match(PEM_BLOCK) ?? []).map((pem) => new X509Certificate(pem));
    createSecureContext(contextOptions(tls)); // also sees a key that is another certificate's
  } catch (error) {
    throw new CertificateError(`not a certificate with its key: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const refuse = (why: string): never => {
    throw new CertificateError(`the certificate in the pod's Secret ${why}`);
  };
  if (new Date(certificate.validTo) <= now) refuse(`ended at ${certificate.validTo}`);
  if (new Date(certificate.validFrom) > now) refuse(`begins at ${certificate.validFrom}`);
  if (!namesVm({ subjectaltname: certificate.subjectAltName ?? '' }, vm)) refuse(`does not name VM ${vm}`);
  const isIssued = authorities.some((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
  if (!isIssued) refuse('was not issued by the CA beside it');
}
