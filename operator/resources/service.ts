// SPDX-License-Identifier: Apache-2.0
/** The Service that follows the live side. Pure. */
import type { StoredFtvm } from '../api/ftvm.js';
import type { Service, ServicePort } from '../api/objects.js';
import { LABELS, MANAGED_BY } from '../names.js';
import { ownerOf } from './owner.js';

/** Null for a VM that is on no pod network, or declares no ports. */
export function buildService(ftvm: StoredFtvm): Service | null {
  const { name, namespace } = ftvm.metadata;
  const ports = ftvm.spec.template.spec.domain.devices.interfaces?.flatMap((one) =>
    one.masquerade === undefined ? [] : (one.ports ?? []),
  );
  if (ports === undefined || ports.length === 0) return null;
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [LABELS.vm]: name, [LABELS.managedBy]: MANAGED_BY },
      ownerReferences: [ownerOf(ftvm)],
    },
    spec: {
      selector: { [LABELS.vm]: name, [LABELS.role]: 'primary' },
      ports: ports.map(({ port, protocol = 'TCP', name: called }): ServicePort => ({
        name: called ?? `${protocol.toLowerCase()}-${port}`,
        port,
        targetPort: port,
        protocol,
      })),
    },
  };
}

/** What matters of it is so already. */
export function sameService(there: Service, wanted: Service): boolean {
  const essence = ({ spec }: Service): string =>
    JSON.stringify([
      Object.entries(spec?.selector ?? {}).sort(),
      spec?.ports?.map(({ name, port, targetPort, protocol }) => [name, port, targetPort, protocol]),
    ]);
  return essence(there) === essence(wanted);
}
