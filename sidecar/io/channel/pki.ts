// SPDX-License-Identifier: Apache-2.0
/**
 * The certificates of the logging channel: one CA per installation, one certificate per host and VM. ECDSA P-256.
 * What a certificate may speak for is its URI names `lockstep:<vm>`; roles change hands and are not in it.
 */
import 'reflect-metadata'; // @peculiar/x509 wants it before itself
import * as x509 from '@peculiar/x509';
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

x509.cryptoProvider.set(webcrypto);

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Hosts' clocks need not agree to the hour. */
const BACKDATE_MS = 3_600_000;
const CA_DAYS = 3650;
const HOST_DAYS = 825;
const SERIAL_BYTES = 16;

/** A certificate and its private key (PKCS#8), PEM texts. */
export interface Pair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface HostNames {
  readonly commonName: string;
  /** VMs for which the holder may speak on the logging channel. */
  readonly vms: readonly string[];
  readonly dnsNames: readonly string[];
  /** What else it may speak for, as URIs: OPERATOR_URI. */
  readonly uris?: readonly string[];
}

/** The name by which an operator may ask every sidecar of its installation everything. No VM has it: they begin `lockstep:`. */
export const OPERATOR_URI = 'lockstep-operator:';

/** VM names are DNS labels, so that they need no quoting anywhere: in certificates, keys, file names. */
export const VM_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The name that a certificate must carry to speak for a VM. */
export function vmUri(vm: string): string {
  if (!VM_NAME.test(vm)) {
    throw new Error(`VM name ${JSON.stringify(vm)} must be 1-63 of a-z, 0-9 and '-', not at its ends`);
  }
  return `lockstep:${vm}`;
}

/** From now on, for so many days. */
export function validity(days: number): Validity {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes.readUInt8(0) & 0x7f) | 0x40; // positive, and never shorter
  return bytes.toString('hex');
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n';
}

function distinguishedName(commonName: string): x509.JsonName {
  return [{ CN: [commonName] }];
}

export async function makeCa(commonName: string): Promise<Pair> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: distinguishedName(commonName),
    ...validity(CA_DAYS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificatePem: certificate.toString('pem') + '\n',
    privateKeyPem: await privatePem(keys.privateKey),
  };
}

async function importCaKey(ca: Pair): Promise<webcrypto.CryptoKey> {
  const [der] = x509.PemConverter.decode(ca.privateKeyPem);
  if (der === undefined) throw new Error('the CA key file holds no PEM block; make the CA anew');
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}

/** A certificate for both ends of a connection. */
export async function makeHostCertificate(
  ca: Pair,
  names: HostNames,
  valid: Validity = validity(HOST_DAYS),
): Promise<Pair> {
  const issuer = new x509.X509Certificate(ca.certificatePem);
  const keys = await newKeys();
  const alternatives: x509.JsonGeneralNames = [
    ...[...names.vms.map(vmUri), ...(names.uris ?? [])].map((value) => ({ type: 'url' as const, value })),
    ...names.dnsNames.map((value) => ({ type: 'dns' as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: distinguishedName(names.commonName),
    issuer: issuer.subjectName,
    ...valid,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importCaKey(ca),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(alternatives),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return {
    certificatePem: certificate.toString('pem') + '\n',
    privateKeyPem: await privatePem(keys.privateKey),
  };
}

/** Writes `<name>.crt` and `<name>.key` (0600) into `dir`, which is made if need be. Returns their paths. */
export async function writePair(
  dir: string,
  name: string,
  pair: Pair,
): Promise<{ cert: string; key: string }> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const cert = join(dir, `${name}.crt`);
  const key = join(dir, `${name}.key`);
  await writeFile(key, pair.privateKeyPem, { mode: 0o600 });
  await writeFile(cert, pair.certificatePem, { mode: 0o644 });
  return { cert, key };
}

export async function readPair(dir: string, name: string): Promise<Pair> {
  return {
    certificatePem: await readFile(join(dir, `${name}.crt`), 'utf8'),
    privateKeyPem: await readFile(join(dir, `${name}.key`), 'utf8'),
  };
}
