// SPDX-License-Identifier: Apache-2.0
/** What a side's sidecar gets to know: its keys and its settings, in one Secret. Pure. */
import type { ChannelTls } from '../../sidecar/io/channel/tls.js';
import { PORTS } from '../../sidecar/kubevirt/config.js';
import { base64 } from '../api/base64.js';
import type { Side, StoredFtvm } from '../api/ftvm.js';
import type { Secret } from '../api/objects.js';
import type { PeerAddress } from '../logging-network.js';
import { LABELS, MANAGED_BY, secretNameOf, vmIdOf } from '../names.js';
import type { StoreAccess } from '../store.js';
import { ownerOf } from './owner.js';
import { guestMacOf } from './vmi.js';

export interface SecretInput {
  readonly side: Side;
  /** Of a backup: its primary's sidecar. */
  readonly peer: PeerAddress | null;
  readonly tls: ChannelTls;
  readonly store: StoreAccess;
}

/** A backup without the address of its primary: it has gone since this was decided. */
export class NoPeerError extends Error {
  readonly code = 'LOCKSTEP_NO_PEER';
}

/** The primary's pod is there, and is not on the network that the two sides shall talk over. */
export class LoggingNetworkError extends Error {
  readonly code = 'LOCKSTEP_LOGGING_NETWORK';
}

function startOf({ role, expectEpoch, vmi }: Side, peer: PeerAddress | null, network: string): object {
  if (role === 'primary') {
    const coldStart = expectEpoch === undefined ? { kind: 'found' } : { kind: 'refound', expectEpoch };
    return { role, coldStart };
  }
  if (peer === null) throw new NoPeerError(`${vmi}: its primary has no address`);
  const { channel, api } = peer;
  if (channel === null) {
    throw new LoggingNetworkError(
      `the primary has no address on ${network}, so that nobody can follow it: ` +
        'that network must assign addresses (ipam), of the kind that pods have',
    );
  }
  const apiHost = api === channel ? {} : { apiHost: api };
  return { role, peer: { host: channel, port: PORTS.channel, api: PORTS.api, ...apiHost } };
}

/** `sidecar.json`, in the form that sidecar/kubevirt/config.ts takes. */
export function settingsOf(ftvm: StoredFtvm, { side, peer, store }: Omit<SecretInput, 'tls'>): object {
  const { name, namespace = 'default', uid } = ftvm.metadata;
  const { failureDetection, lag, cpuModel, placement } = ftvm.spec;
  return {
    vm: vmIdOf(name, uid),
    vmi: side.vmi,
    namespace,
    start: startOf(side, peer, placement.loggingNetwork ?? 'its logging network'),
    cpuModel,
    mac: guestMacOf(ftvm),
    limits: { deadAfterMs: failureDetection.timeoutMs, lagBoundMs: lag.boundMs },
    store,
  };
}

/** @throws NoPeerError, LoggingNetworkError */
export function buildSecret(ftvm: StoredFtvm, input: SecretInput): Secret {
  const { namespace, name } = ftvm.metadata;
  const { tls, side } = input;
  return {
    metadata: {
      name: secretNameOf(side.vmi),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.vm]: name, [LABELS.vmi]: side.vmi, [LABELS.managedBy]: MANAGED_BY },
      ownerReferences: [ownerOf(ftvm)],
    },
    type: 'Opaque',
    data: {
      'ca.crt': base64(tls.ca),
      'tls.crt': base64(tls.cert),
      'tls.key': base64(tls.key),
      'sidecar.json': base64(JSON.stringify(settingsOf(ftvm, input), null, 2)),
    },
  };
}
