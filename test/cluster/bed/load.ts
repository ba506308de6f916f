// SPDX-License-Identifier: Apache-2.0
// Brings images from podman's store, or archives, into the containerd of the nodes. Of an image only those layers
// travel that a node does not have yet: with the product's own code in the last layers that is a matter of seconds.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { LocalError } from '../../../cli/local/errors.js';
import { ask, onNode, podman, runLong } from './command.js';
import { CACHE } from './settings.js';

const PUSH_TIMEOUT_MS = 5 * 60_000;
const IMPORT_TIMEOUT_MS = 5 * 60_000;
/** containerd's namespace of Kubernetes' images. */
const CTR = ['ctr', '--namespace', 'k8s.io'] as const;
const LAYOUT = { imageLayoutVersion: '1.0.0' };
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** A file that is called by its digest. */
const DIGEST = /^[0-9a-f]{64}$/;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** index.json of a layout with one image, under the full name that containerd shall know it by. Pure. */
export function indexOf(image: string, manifest: Descriptor): string {
  return JSON.stringify({
    schemaVersion: 2,
    manifests: [{ ...manifest, annotations: { 'io.containerd.image.name': image } }],
  });
}

/** Digests of the blobs that must travel: the configuration always, layers that are not there. Pure. */
export function travelling(manifest: Manifest, there: ReadonlySet<string>): string[] {
  const layers = manifest.layers.map((layer) => layer.digest).filter((digest) => !there.has(digest));
  return [manifest.config.digest, ...new Set(layers)];
}

const hexOf = (digest: string): string => digest.replace(/^sha256:/, '');

/** An image as a folder of files that bear their digests, layers as they are: packing them would take longer than all else. */
interface Unpacked {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Writes the image into `folder`, with what makes a layout of the Open Container Initiative of it. */
async function unpack(image: string, folder: string): Promise<Unpacked> {
  const files = join(folder, 'files');
  await runLong('buildah', ['push', '--quiet', '--format=oci', image, `dir:${files}`], {
    timeoutMs: PUSH_TIMEOUT_MS,
    log: 'load',
  });
  const text = await readFile(join(files, 'manifest.json'));
  const manifest = JSON.parse(text.toString()) as Manifest;
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const descriptor = { mediaType: MANIFEST_TYPE, digest, size: text.length };
  await writeFile(join(folder, hexOf(digest)), text);
  await writeFile(join(folder, 'oci-layout'), JSON.stringify(LAYOUT));
  await writeFile(join(folder, 'index.json'), indexOf(image, descriptor));
  return { folder, manifest };
}

async function importArchive(node: string, archive: string): Promise<void> {
  const child = spawn('podman', ['exec', '-i', node, ...CTR, 'images', 'import', '-'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: IMPORT_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  // A program that ended before it read all: its own words tell why.
  const fed = pipeline(createReadStream(archive), child.stdin).catch((error: unknown) => error);
  const code = await ended;
  await fed;
  if (code !== 0) throw new LocalError('COMMAND_FAILED', `${node}: import of ${archive}: ${said.trim()}`);
}

async function loadOnNode(node: string, { folder, manifest }: Unpacked): Promise<void> {
  const listed = await onNode(node, [...CTR, 'content', 'ls', '-q']);
  const blobs = travelling(manifest, new Set(listed.split('\n'))).map(hexOf);
  const archive = join(folder, `${node}.tar`);
  const manifestFile = (await readdir(folder)).filter((name) => DIGEST.test(name));
  const places = [
    '-C',
    folder,
    'oci-layout',
    'index.json',
    ...manifestFile,
    '-C',
    join(folder, 'files'),
    ...blobs,
  ];
  await ask('tar', ['-cf', archive, '--transform=s,^\\([0-9a-f]\\{64\\}\\)$,blobs/sha256/\\1,', ...places]);
  await importArchive(node, archive);
  await rm(archive);
}

/** Digest that a line of `ctr images ls` tells of an image: NAME TYPE DIGEST SIZE ... Pure. */
export function listedDigest(listed: string, image: string): string | undefined {
  const line = listed.split('\n').find((one) => one.startsWith(`${image} `));
  return line?.split(/\s+/).find((word) => word.startsWith('sha256:'));
}

/** Whether the node means by the image's name what podman means by it: an image's identity is its configuration's digest. */
async function hasImage(node: string, image: string, id: string): Promise<boolean> {
  const digest = listedDigest(await onNode(node, [...CTR, 'images', 'ls', `name==${image}`]), image);
  if (digest === undefined) return false;
  const manifest = JSON.parse(await onNode(node, [...CTR, 'content', 'get', digest])) as Partial<Manifest>;
  return manifest.config?.digest === `sha256:${id}`;
}

/** @param image full name in podman's store, `localhost/lockstep/sidecar:dev` */
export async function loadImage(image: string, nodes: readonly string[]): Promise<void> {
  const id = (await podman(['image', 'inspect', '--format', '{{.Id}}', image])).trim();
  const have = await Promise.all(nodes.map((node) => hasImage(node, image, id)));
  const without = nodes.filter((_, index) => have[index] !== true);
  if (without.length === 0) return;
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, 'making-'));
  try {
    const unpacked = await unpack(image, folder);
    await Promise.all(without.map((node) => loadOnNode(node, unpacked)));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** @param archive a file that `podman save` or `docker save` wrote */
export async function loadArchive(archive: string, nodes: readonly string[]): Promise<void> {
  await Promise.all(nodes.map((node) => importArchive(node, archive)));
}
