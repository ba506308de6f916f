// SPDX-License-Identifier: Apache-2.0
// Names, versions and places of the test cluster.
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';

/** kind's name of the cluster; its nodes are `lockstep-control-plane`, `lockstep-worker`, `lockstep-worker2`, ... */
export const CLUSTER = 'lockstep';
export const WORKERS = 3;
export const CONTROL_PLANE = `${CLUSTER}-control-plane`;
export const workerName = (index: number): string => `${CLUSTER}-worker${index === 0 ? '' : index + 1}`;
export const WORKER_NAMES: readonly string[] = Array.from({ length: WORKERS }, (_, index) =>
  workerName(index),
);
export const NODE_NAMES: readonly string[] = [CONTROL_PLANE, ...WORKER_NAMES];

export const KUBERNETES_VERSION = 'v1.34.4';
export const KUBEVIRT_VERSION = 'v1.7.0';
/** Node.js of the image that stands in for `node:24-bookworm-slim`, and the npm in it. */
export const NODEJS_VERSION = '24.21.0';
export const NPM_VERSION = '11.21.2';

/** Public names that the locally made bases bear, so that a Dockerfile's FROM finds them without a registry. */
export const DEBIAN_IMAGE = 'docker.io/library/debian:bookworm-slim';
export const NODEJS_IMAGE = 'docker.io/library/node:24-bookworm-slim';
/** Prefix of the images of cached stages: `PREFIX/STAGE:KEY`. */
export const STAGE_PREFIX = 'localhost/lockstep-bed';
export const KUBEVIRT_PREFIX = 'localhost/kubevirt';
/** Makes volumes on a node's own disk; named in the node's default-storage.yaml. */
export const PROVISIONER_IMAGE = 'docker.io/rancher/local-path-provisioner:v0.0.30';
/** kernel and initrd of the test guest, in /boot, for a VMI's kernelBoot. */
export const GUEST_IMAGE = 'localhost/lockstep/guest:dev';

/** Sources of the bed itself; programs run from the build folder, these files are read from the checkout. */
export const BED = join(REPO, 'test/cluster/bed');
export const GO_MODULES = join(BED, 'go');
export const IMAGES = join(BED, 'images');
export const MANIFESTS = join(BED, 'manifests');
export const KIND_CONFIG = join(REPO, 'test/cluster/kind.yaml');
/** How the tests install the chart. */
export const CLUSTER_VALUES = join(REPO, 'test/cluster/values.yaml');

/** What is kept between starts and survives a clean clone. */
export const CACHE = process.env['LOCKSTEP_CACHE'] ?? '/var/cache/lockstep/cluster';
export const PROGRAMS = join(CACHE, 'programs');
export const ARCHIVES = join(CACHE, 'archives');
export const LOGS = join(CACHE, 'log');

/** What belongs to the running cluster. */
export const STATE = join(REPO, 'build/cluster');
export const KUBECONFIG = join(STATE, 'kubeconfig');
/** Links to kubectl, helm, kind and kubeconform of this cluster's versions. */
export const BIN = join(STATE, 'bin');

/** For podman and buildah, which kind calls as well. */
export const CONTAINERS_CONF = join(IMAGES, 'containers.conf');
