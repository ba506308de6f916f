// SPDX-License-Identifier: Apache-2.0
// The programs of the cluster, built from Go modules whose checksums are in the repository (go/*/go.sum).
import { chmod, copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ask, runLong } from './command.js';
import { folderStage, type FolderStage } from './folder-stage.js';
import { GO_MODULES, KUBERNETES_VERSION, KUBEVIRT_VERSION, PROGRAMS } from './settings.js';
import { fileInputs } from './stage.js';

const BUILD_TIMEOUT_MS = 25 * 60_000;
const GO_VERSION_MIN = [1, 24] as const;

export interface Build {
  readonly name: string;
  readonly usually: string;
  /** Import paths; none: read from the module's tools.go. */
  readonly packages?: readonly string[];
  readonly cgo: boolean;
  /** Files and folders of a module that are kept beside the programs. */
  readonly files?: { readonly module: string; readonly paths: readonly string[] };
  /** Values set at link time. */
  readonly set: Readonly<Record<string, string>>;
}

function versionOf(prefix: string, version: string): Record<string, string> {
  const [major = '', minor = ''] = version.slice(1).split('.');
  return {
    [`${prefix}.gitVersion`]: version,
    [`${prefix}.gitMajor`]: major,
    [`${prefix}.gitMinor`]: minor,
    [`${prefix}.gitTreeState`]: 'clean',
  };
}

/** What helm believes it talks to when it renders without a cluster. */
function helmsKubernetes(version: string): Record<string, string> {
  const [major = '', minor = ''] = version.slice(1).split('.');
  return Object.fromEntries(
    ['helm.sh/helm/v3/pkg/chartutil', 'helm.sh/helm/v3/pkg/lint/rules'].flatMap((prefix) => [
      [`${prefix}.k8sVersionMajor`, major],
      [`${prefix}.k8sVersionMinor`, minor],
    ]),
  );
}

export const BUILDS = {
  kubernetes: {
    name: 'kubernetes',
    usually: '7 to 10 minutes',
    cgo: false,
    set: versionOf('k8s.io/component-base/version', KUBERNETES_VERSION),
  },
  // All in one build with cgo: the handler and the launcher need it, and a second setting compiles all again.
  kubevirt: {
    name: 'kubevirt',
    usually: '4 to 6 minutes',
    cgo: true,
    set: versionOf('kubevirt.io/client-go/version', KUBEVIRT_VERSION),
    files: {
      module: 'kubevirt.io/kubevirt',
      paths: [
        'manifests/generated/kv-resource.yaml',
        'manifests/generated/rbac-operator.authorization.k8s.yaml.in',
        'cmd/virt-launcher/qemu.conf',
        'cmd/virt-launcher/virtqemud.conf',
        'cmd/virt-launcher/node-labeller/node-labeller.sh',
        'cmd/container-disk-v2alpha/main.c',
      ],
    },
  },
  etcd: { name: 'etcd', usually: '1 minute', packages: ['.'], cgo: false, set: {} },
  coredns: { name: 'coredns', usually: '1 minute', packages: ['.'], cgo: false, set: {} },
  storage: { name: 'storage', usually: '1 minute', cgo: false, set: {} },
  multus: { name: 'multus', usually: '1 minute', cgo: false, set: {} },
  tools: { name: 'tools', usually: '2 minutes', cgo: false, set: helmsKubernetes(KUBERNETES_VERSION) },
} as const satisfies Record<string, Build>;

/** The packages that a tools.go imports, in its order. Pure. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(/^\s*(?:import )?_ "([^"]+)"$/gm)].map((match) => match[1] ?? '');
}

/** Go's linker flags: no debug tables, and the values to set. Pure. */
export function linkerFlags(set: Readonly<Record<string, string>>): string {
  return ['-s', '-w', ...Object.entries(set).map(([name, value]) => `-X ${name}=${value}`)].join(' ');
}

/** Whether `go version`'s words name a Go that can build the modules. Pure. */
export function goIsNewEnough(words: string): boolean {
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(words) ?? [];
  const [wantMajor, wantMinor] = GO_VERSION_MIN;
  return Number(major) > wantMajor || (Number(major) === wantMajor && Number(minor) >= wantMinor);
}

/** Builds a module's programs into `folder`, and copies the module's files that are wanted beside them. */
async function goBuild(build: Build, folder: string): Promise<void> {
  const module = join(GO_MODULES, build.name);
  const packages = build.packages ?? importsOf(await readFile(join(module, 'tools.go'), 'utf8'));
  await runLong(
    'go',
    [
      'build',
      '-mod=readonly',
      '-trimpath',
      '-ldflags',
      linkerFlags(build.set),
      '-o',
      `${folder}/`,
      ...packages,
    ],
    {
      cwd: module,
      env: { CGO_ENABLED: build.cgo ? '1' : '0' },
      timeoutMs: BUILD_TIMEOUT_MS,
      log: build.name,
    },
  );
  if (build.files === undefined) return;
  const template = ['list', '-m', '-f', '{{.Dir}}', build.files.module];
  const source = (await ask('go', ['-C', module, ...template])).trim();
  for (const path of build.files.paths) {
    // The module cache is read-only, and its modes with it.
    await copyFile(join(source, path), join(folder, basename(path)));
    await chmod(join(folder, basename(path)), 0o644);
  }
}

export async function programStage(build: Build): Promise<FolderStage> {
  const inputs = {
    ...(await fileInputs(join(GO_MODULES, build.name), ['.'])),
    go: (await ask('go', ['version'])).trim(),
    cgo: String(build.cgo),
    flags: linkerFlags(build.set),
    files: build.files?.paths.join(' ') ?? '',
  };
  return folderStage(build.name, build.usually, PROGRAMS, inputs, (folder) => goBuild(build, folder));
}
