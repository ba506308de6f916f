// SPDX-License-Identifier: Apache-2.0
/**
 * The sidecars of a stand-in of a cluster, as the operator finds them: each at the address of its pod, behind the real
 * API with its certificates, which are those that the operator has put into the pod's Secret.
 */
import { textOf } from '../api/base64.js';
import type { Secret } from '../api/objects.js';
import { SECRETS } from '../api/resources.js';
import { PORTS, secretNameOf } from '../names.js';
import { Api } from '../../sidecar/kubevirt/api.js';
import { NAMESPACE } from './cluster.js';
import type { Installation } from './installation.js';
import type { FakeSidecar } from './sidecar.js';

/** Of loopback, whose addresses all are this host's; another net for each process, so that tests may run beside tests. */
export function loopbackOf(pid: number): (pod: number) => string {
  const net = `127.${64 + ((pid >> 8) % 128)}.${pid & 0xff}`;
  return (pod) => `${net}.${pod}`;
}

export class Stations {
  readonly #open = new Map<string, Api>();
  readonly #closing: Promise<void>[] = [];
  /** Who came and was not let in. */
  readonly refused: string[] = [];

  constructor(private readonly installation: Installation) {}

  /** As it is now: who is heard answers, and tells what has changed. */
  async follow(): Promise<void> {
    const { cluster } = this.installation;
    for (const [podUid, sidecar] of cluster.sidecars) {
      const there = this.#open.get(podUid);
      const isHeard = cluster.heard(podUid) !== null;
      if (there === undefined && isHeard) this.#open.set(podUid, await this.#serve(sidecar));
      else if (isHeard) there?.changed();
      else this.#close(podUid);
    }
  }

  async close(): Promise<void> {
    for (const podUid of [...this.#open.keys()]) this.#close(podUid);
    await Promise.all(this.#closing);
  }

  #close(podUid: string): void {
    const there = this.#open.get(podUid);
    this.#open.delete(podUid);
    if (there !== undefined) this.#closing.push(there.close());
  }

  #serve(sidecar: FakeSidecar): Promise<Api> {
    const { vmi, ip } = sidecar.place;
    const secret = this.installation.api.find<Secret>(SECRETS, {
      name: secretNameOf(vmi),
      namespace: NAMESPACE,
    });
    if (secret === undefined) throw new Error(`${vmi} runs without its Secret`);
    const [ca, cert, key] = ['ca.crt', 'tls.crt', 'tls.key'].map((name) => textOf(secret, name));
    return Api.serve({
      host: ip,
      port: PORTS.api,
      vm: sidecar.config.vm,
      tls: { ca: ca ?? '', cert: cert ?? '', key: key ?? '' },
      subject: {
        status: () => sidecar.status,
        machine: () => null,
        command: (command) => {
          sidecar.command(command);
          return null;
        },
      },
      onRefused: (reason, from) => this.refused.push(`${from}: ${reason}`),
    });
  }
}
