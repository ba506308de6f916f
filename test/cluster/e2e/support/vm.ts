// SPDX-License-Identifier: Apache-2.0
// A FaultTolerantVM of the tests: the counting guest, and what its status says.
import { until } from '../../../qemu/support/wait.js';
import { GUEST_PORTS } from '../../../../cli/local/layout.js';
import { applyObject, get, list, remove, type KubeObject } from './kube.js';
import { theWorld } from './world.js';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** What a user sees with `kubectl get ftvm -o yaml`. */
export interface Ftvm extends KubeObject {
  readonly status?: {
    readonly status?: string;
    readonly epoch?: number;
    readonly primary?: { readonly vmi: string; readonly node?: string };
    readonly backup?: { readonly vmi: string; readonly node?: string };
    readonly lastFailover?: { readonly time: string; readonly cause: string; readonly gapMs?: number };
    readonly conditions?: readonly Condition[];
  };
}

export interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly name: string; readonly containerID?: string }[];
  };
}

/** Where a VM's only interface is. */
export type Attachment =
  | { readonly kind: 'pod'; readonly ports: readonly number[] }
  | { readonly kind: 'l2'; readonly network: string; readonly binding: string; readonly address: string };

/** A network where the address stays; on a cluster without the bed's second one, the pod network. */
export const ownNetwork = (address: string): Attachment =>
  theWorld().hasBed
    ? { kind: 'l2', network: 'default/l2', binding: 'l2tap', address: `${address}/24` }
    : { kind: 'pod', ports: [GUEST_PORTS.redis] };

export interface VmChoice {
  readonly name: string;
  readonly namespace: string;
  readonly attachment: Attachment;
  readonly guestImage: string;
  /** Silence after which a side counts as dead, ms; the product's own choice when there is none. */
  readonly deadAfterMs?: number | undefined;
  readonly memoryMiB?: number;
  /** Labels that a node must have to hold a side. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** NetworkAttachmentDefinition for what the sides tell each other. */
  readonly loggingNetwork?: string;
}

/** Nodes, QEMUs and clients share two cores where these tests run: a shorter silence would be no death. */
export const DEAD_AFTER_MS = 2_000;

/** What KubeVirt's masquerade gives every guest. */
const MASQUERADE = { address: '10.0.2.2/24', gateway: '10.0.2.1' } as const;
const MEMORY_MIB = 256;

function network(attachment: Attachment): { interface: object; network: object; kernelArgs: string } {
  if (attachment.kind === 'pod') {
    return {
      interface: { name: 'default', masquerade: {}, ports: attachment.ports.map((port) => ({ port })) },
      network: { name: 'default', pod: {} },
      kernelArgs: `lockstep.ip=${MASQUERADE.address} lockstep.gateway=${MASQUERADE.gateway}`,
    };
  }
  return {
    interface: { name: 'l2', binding: { name: attachment.binding } },
    network: { name: 'l2', multus: { networkName: attachment.network } },
    kernelArgs: `lockstep.ip=${attachment.address}`,
  };
}

/** The manifest, as a user would write it; what was not chosen is undefined, and JSON leaves it out. */
export function manifest(choice: VmChoice): object {
  const { name, namespace, attachment, guestImage, deadAfterMs, memoryMiB = MEMORY_MIB } = choice;
  const { nodeSelector, loggingNetwork } = choice;
  const net = network(attachment);
  const container = {
    image: guestImage,
    imagePullPolicy: 'IfNotPresent',
    kernelPath: '/boot/vmlinuz',
    initrdPath: '/boot/initrd.cpio',
  };
  return {
    apiVersion: 'lockstep.dev/v1alpha1',
    kind: 'FaultTolerantVM',
    metadata: { name, namespace },
    spec: {
      failureDetection: { timeoutMs: deadAfterMs },
      placement: { nodeSelector, loggingNetwork },
      template: {
        spec: {
          domain: {
            memory: { guest: `${String(memoryMiB)}Mi` },
            firmware: {
              kernelBoot: {
                container,
                kernelArgs: `console=ttyS0 quiet lockstep.tick_ms=500 ${net.kernelArgs}`,
              },
            },
            devices: { interfaces: [net.interface] },
          },
          networks: [net.network],
        },
      },
    },
  };
}

/** What a status says, in a line. */
export function words(vm: Ftvm | undefined): string {
  if (vm === undefined) return 'no such FaultTolerantVM';
  const { status } = vm;
  const sides = `primary ${place(status?.primary)}, backup ${place(status?.backup)}`;
  const conditions = (status?.conditions ?? []).map(
    ({ type, status: is, reason, message }) => `${type}=${is} ${reason}: ${message}`,
  );
  return `${status?.status ?? 'no status'}, epoch ${String(status?.epoch ?? '-')}, ${sides}; ${conditions.join('; ')}`;
}

const place = (side: { vmi: string; node?: string } | undefined): string =>
  side === undefined ? 'none' : `${side.vmi} on ${side.node ?? 'no node'}`;

export const conditionOf = (vm: Ftvm, type: string): Condition | undefined =>
  vm.status?.conditions?.find((one) => one.type === type);

/** One side of a protected VM, with its pod. */
export interface Side {
  readonly vmi: string;
  readonly node: string;
  readonly pod: Pod;
}

export class TestVm {
  constructor(readonly choice: VmChoice) {}

  get selector(): string {
    return `lockstep.dev/vm=${this.choice.name}`;
  }

  apply(): Promise<string> {
    return applyObject(manifest(this.choice));
  }

  read(): Promise<Ftvm | undefined> {
    return get<Ftvm>('ftvm', this.choice.name, this.choice.namespace);
  }

  /** Waits until the resource says so. */
  async until(what: string, timeoutMs: number, holds: (vm: Ftvm) => boolean): Promise<Ftvm> {
    let last: Ftvm | undefined;
    return until(
      `${this.choice.name}: ${what}`,
      timeoutMs,
      async () => {
        last = await this.read();
        return last !== undefined && holds(last) ? last : undefined;
      },
      () => words(last),
    );
  }

  untilProtected(timeoutMs: number, since = 0): Promise<Ftvm> {
    return this.until(
      'Protected',
      timeoutMs,
      (vm) => vm.status?.status === 'Protected' && (vm.status.epoch ?? 0) > since,
    );
  }

  pods(): Promise<Pod[]> {
    return list<Pod>('pods', this.choice.namespace, this.selector);
  }

  /** Waits until there are so many pods and VMIs of it, none of them about to go. */
  async untilOnly(timeoutMs: number, count: number): Promise<void> {
    await until(`${this.choice.name} has ${count} pods and VMIs`, timeoutMs, async () => {
      const vmis = await list('vmi', this.choice.namespace, this.selector);
      const all = [await this.pods(), vmis];
      const isSo = all.every(
        (some) =>
          some.length === count && some.every(({ metadata }) => metadata.deletionTimestamp === undefined),
      );
      return isSo ? true : undefined;
    });
  }

  /** Both sides of a protected VM. */
  async sides(): Promise<{ primary: Side; backup: Side; epoch: number }> {
    const [vm, pods] = [await this.read(), await this.pods()];
    const side = (named: { vmi: string; node?: string } | undefined): Side => {
      const pod = pods.find((one) => one.metadata.labels?.['lockstep.dev/vmi'] === named?.vmi);
      if (named?.node === undefined || pod === undefined) throw new Error(`not both sides: ${words(vm)}`);
      return { vmi: named.vmi, node: named.node, pod };
    };
    return {
      primary: side(vm?.status?.primary),
      backup: side(vm?.status?.backup),
      epoch: vm?.status?.epoch ?? 0,
    };
  }

  /** Deletes it and returns when nothing of it is left. */
  async remove(timeoutMs: number): Promise<void> {
    const { name, namespace } = this.choice;
    await remove('ftvm', name, namespace);
    await until(`nothing of ${name} is left`, timeoutMs, async () => {
      const left = [
        await this.read(),
        ...(await this.pods()),
        ...(await list('vmi', namespace, this.selector)),
        ...(await list('secrets', namespace, this.selector)),
        ...(await list('services', namespace, this.selector)),
      ];
      return left.some((one) => one !== undefined) ? undefined : true;
    });
  }
}
