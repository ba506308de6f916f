// SPDX-License-Identifier: Apache-2.0
/** Resources as the API server hands them out, for tests of pure functions. */
import type { FtvmSpec, FtvmStatus, Side, StoredFtvm, VmiSpec } from '../api/ftvm.js';
import { FINALIZER, LABELS } from '../names.js';
import type { RawSide } from '../observe.js';
import type { VmiStatus } from '../../sidecar/observe/status-schema.js';
import type { LeaseRecord } from '../../sidecar/protocol/lease/messages.js';

export const UID = '0f8fad5b-d9cb-469f-a165-70867728950e';

/** On the pod network. */
export const MASQUERADE: VmiSpec = {
  domain: {
    memory: { guest: '256Mi' },
    devices: { interfaces: [{ name: 'default', masquerade: {}, ports: [{ port: 80 }] }] },
  },
  networks: [{ name: 'default', pod: {} }],
};

/** On a secondary network. */
export const BRIDGE: VmiSpec = {
  domain: { memory: { guest: '256Mi' }, devices: { interfaces: [{ name: 'l2', bridge: {} }] } },
  networks: [{ name: 'l2', multus: { networkName: 'l2' } }],
};

export const SPEC: FtvmSpec = {
  template: { spec: MASQUERADE },
  failureDetection: { timeoutMs: 300 },
  lag: { boundMs: 1_000 },
  engine: 'Replay',
  disks: { mode: 'Replicated' },
  cpuModel: 'EPYC',
  store: {},
  suspended: false,
  placement: {},
};

export function sampleFtvm({
  spec = {},
  template,
  status,
  metadata = {},
}: {
  readonly spec?: Partial<FtvmSpec>;
  readonly template?: VmiSpec;
  readonly status?: FtvmStatus;
  readonly metadata?: Partial<StoredFtvm['metadata']>;
} = {}): StoredFtvm {
  return {
    metadata: {
      name: 'db',
      namespace: 'shop',
      uid: UID,
      resourceVersion: '1',
      generation: 3,
      finalizers: [FINALIZER],
      ...metadata,
    },
    spec: { ...SPEC, ...(template === undefined ? {} : { template: { spec: template } }), ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

export const PRIMARY: Side = { vmi: 'db-0001', role: 'primary', sinceEpoch: 0 };
export const BACKUP: Side = { vmi: 'db-0002', role: 'backup', follows: 'db-0001', sinceEpoch: 1 };

/** What a sidecar says that runs the VM alone. */
export function sampleStatus(changes: Partial<VmiStatus> = {}): VmiStatus {
  return {
    vm: 'db-0f8fad5b',
    vmi: 'db-0001',
    host: 'node-a',
    role: 'primary',
    phase: 'alone',
    epoch: 1,
    nonce: 'A',
    peer: null,
    stage: 'running',
    trouble: null,
    protection: { word: 'Not Protected', state: 'Need Secondary VM', reason: 'initializing' },
    lease: null,
    numbers: null,
    certificate: { notAfter: '2100-01-01T00:00:00Z', trouble: null },
    ...changes,
  };
}

/** A side whose VMI and pod are there, on a node that is heard. */
export function sampleSide(side: Side, changes: Partial<RawSide> = {}): RawSide {
  const { vmi } = side;
  const labels = { [LABELS.vm]: 'db', [LABELS.vmi]: vmi };
  const meta = { namespace: 'shop', resourceVersion: '1', labels };
  return {
    side,
    vmi: { metadata: { ...meta, name: vmi, uid: `uid of ${vmi}` }, status: { phase: 'Running' } },
    pod: {
      metadata: { ...meta, name: `virt-launcher-${vmi}`, uid: `uid of the pod of ${vmi}` },
      spec: { nodeName: `node of ${vmi}` },
      status: { phase: 'Running', podIP: '10.0.0.1' },
    },
    nodeReady: true,
    status: null,
    silentMs: 0,
    ...changes,
  };
}

export const RECORD: LeaseRecord = {
  store: 's',
  epoch: 1,
  primary: 'A',
  backup: '',
  winner: 'A',
  run: 'r',
  claimable: true,
};
