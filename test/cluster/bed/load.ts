// SPDX-License-Identifier: Apache-2.0
// Brings images from podman's store, or archives, into the containerd of the nodes. Of an image only those layers
// travel that a node does not have yet: with the product's own code in the last layers that is a matter of seconds.
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { LocalError } from '../../../cli/local/errors.js';
import { ask, onNode, runLong } from './command.js';
import { CACHE } from './settings.js';

const PUSH_TIMEOUT_MS = 5 * 60_000;
const IMPORT_TIMEOUT_MS = 5 * 60_000;
/** containerd's namespace of Kubernetes' images. */
const CTR = ['ctr', '--namespace', 'k8s.io'] as const;
const LAYOUT = { imageLayoutVersion: '1.0.0' };

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

const blobPath = (digest: string): string => join('blobs', digest.replace(':', '/'));

/** index.json of a layout with one image, under the full name that containerd shall know it by. Pure. */
export function indexOf(image: string, manifest: Descriptor): string {
  return JSON.stringify({
    schemaVersion: 2,
    manifests: [{ ...manifest, annotations: { 'io.containerd.image.name': image } }],
  });
}

/** Paths of the blobs that must travel: manifest and configuration always, layers that are not there. Pure. */
export function travelling(manifestDigest: string, manifest: Manifest, there: ReadonlySet<string>): string[] {
  const layers = manifest.layers.map((layer) => layer.digest).filter((digest) => !there.has(digest));
  return [manifestDigest, manifest.config.digest, ...new Set(layers)].map(blobPath);
}

interface Layout {
  readonly folder: string;
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
}

/** The image as an OCI layout in a folder that is kept: only new layers are written. */
async function layoutOf(
  image: string,
): Promise<{ folder: string; descriptor: Descriptor; manifest: Manifest }> {
  const folder = join(CACHE, 'layouts', image.replaceAll(/[^A-Za-z0-9.-]/g, '_'));
  await mkdir(folder, { recursive: true });
  // Earlier images of this name are no longer meant; their blobs that are still of use are found by digest.
  await rm(join(folder, 'index.json'), { force: true });
  await runLong(
    'buildah',
    ['push', '--quiet', '--disable-compression', '--format=oci', image, `oci:${folder}`],
    {
      timeoutMs: PUSH_TIMEOUT_MS,
      log: 'load',
    },
  );
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
    readonly manifests: readonly Descriptor[];
  };
  const descriptor = index.manifests[0];
  if (descriptor === undefined) throw new LocalError('COMMAND_FAILED', `buildah wrote no image to ${folder}`);
  const manifest = JSON.parse(await readFile(join(folder, blobPath(descriptor.digest)), 'utf8')) as Manifest;
  return { folder, descriptor, manifest };
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

async function loadOnNode(node: string, from: Layout, folder: string): Promise<void> {
  const listed = await onNode(node, [...CTR, 'content', 'ls', '-q']);
  const blobs = travelling(from.descriptor.digest, from.manifest, new Set(listed.split('\n')));
  const archive = join(folder, `${node}.tar`);
  await ask('tar', ['-cf', archive, '-C', folder, 'oci-layout', 'index.json', '-C', from.folder, ...blobs], {
    timeoutMs: PUSH_TIMEOUT_MS,
  });
  await importArchive(node, archive);
  await rm(archive);
}

/** @param image full name in podman's store, `localhost/lockstep/sidecar:dev` */
export async function loadImage(image: string, nodes: readonly string[]): Promise<void> {
  const from = await layoutOf(image);
  const folder = await mkdtemp(join(CACHE, 'making-'));
  try {
    await writeFile(join(folder, 'oci-layout'), JSON.stringify(LAYOUT));
    await writeFile(join(folder, 'index.json'), indexOf(image, from.descriptor));
    await Promise.all(nodes.map((node) => loadOnNode(node, from, folder)));
  } finally {
    await rm(folder, { recursive: true });
  }
  await pruneLayout(from);
}

/** Blobs of earlier images of the name go, so that the cache does not grow with each build. */
async function pruneLayout({ folder, descriptor, manifest }: Layout): Promise<void> {
  const wanted = new Set(
    travelling(descriptor.digest, manifest, new Set()).map((path) => join(folder, path)),
  );
  const blobs = (await ask('find', [join(folder, 'blobs'), '-type', 'f'])).split('\n');
  for (const blob of blobs) if (blob !== '' && !wanted.has(blob)) await rm(blob);
}

/** @param archive a file that `podman save` or `docker save` wrote */
export async function loadArchive(archive: string, nodes: readonly string[]): Promise<void> {
  await Promise.all(nodes.map((node) => importArchive(node, archive)));
}
