// SPDX-License-Identifier: Apache-2.0
/**
 * A stand-in for what surrounds the operator in a cluster: nodes with kubelets, the scheduler, KubeVirt's controllers
 * and the garbage collector, as far as the life of a VMI and its launcher pod goes, in steps. It works on the stand-in of
 * an API server. What must be true of the real ones is tested on the real ones.
 */
import type { KubeObject, Stored } from '../kit/object.js';
import type { FakeApi } from '../kit/test/fake-api.js';
import { FTVMS, NODES, PODS, SECRETS, SERVICES, VMIS } from '../api/resources.js';
import type { ContainerStatus, Node, Pod, Secret, Vmi } from '../api/objects.js';
import { LOGGING_INTERFACE, NETWORK_STATUS_ANNOTATION } from '../logging-network.js';
import { ANNOTATIONS, LABELS, secretNameOf, SIDECAR_CONTAINER } from '../names.js';
import { parseConfig } from '../../sidecar/kubevirt/config.js';
import type { LeaseAnswer, LeaseRequest } from '../../sidecar/protocol/lease/messages.js';
import { Store } from '../../test/sim/store.js';
import { FakeSidecar, type Surroundings } from './sidecar.js';

export const NAMESPACE = 'default';

/** `cut`: all on it runs on, and reaches nobody outside. */
type NodeState = 'up' | 'down' | 'cut';

interface NodeModel {
  state: NodeState;
  /** Steps until the others notice that its kubelet is not heard. */
  noticedIn: number;
}

const STEPS_UNTIL_NOTICED = 4;
const FINAL = ['Succeeded', 'Failed'];
const KUBEVIRT_FINALIZER = 'kubevirt.io/foregroundDeleteVirtualMachine';
const STEP_MS = 1_000;

export class FakeCluster implements Surroundings {
  readonly sidecars = new Map<string, FakeSidecar>();
  readonly store = new Store(true, (epoch, nonce) => this.wins.push({ epoch, nonce }));
  readonly wins: { readonly epoch: number; readonly nonce: string }[] = [];
  /** Networks beside the pods' assign addresses. */
  ipam = true;
  readonly #nodes = new Map<string, NodeModel>();
  /** Certificates are made by the real clock: this one begins there. */
  #nowMs = Math.floor(Date.now() / STEP_MS) * STEP_MS;
  #count = 0;

  /** @param addressOf the nth pod */
  constructor(
    private readonly api: FakeApi,
    nodes: readonly string[],
    private readonly addressOf = (n: number): string => `10.244.0.${n}`,
  ) {
    for (const name of nodes) {
      this.#nodes.set(name, { state: 'up', noticedIn: 0 });
      this.#putNode(name, true);
    }
  }

  now(): Date {
    return new Date(this.#nowMs);
  }

  // -- what happens to nodes --

  /** Its power is gone, and all that ran on it. */
  kill(name: string): void {
    this.#set(name, 'down');
    for (const sidecar of this.#on(name)) sidecar.alive = false;
  }

  cut(name: string): void {
    this.#set(name, 'cut');
  }

  /** Its kubelet is not heard; all else on it is, and runs. */
  unready(name: string): void {
    this.#putNode(name, false);
  }

  /** It is heard again; what a power loss ended is found ended. */
  bringBack(name: string): void {
    this.#nodes.set(name, { state: 'up', noticedIn: 0 });
    this.#putNode(name, true);
  }

  stateOf(name: string): NodeState | undefined {
    return this.#nodes.get(name)?.state;
  }

  // -- what sidecars have around them --

  reaches(from: FakeSidecar, to: FakeSidecar): boolean {
    return from.place.node === to.place.node || (this.#isUp(from.place.node) && this.#isUp(to.place.node));
  }

  peerAt(from: FakeSidecar, host: string): FakeSidecar | null {
    const there = [...this.sidecars.values()].find(
      ({ place, runs }) => runs && (place.loggingIp ?? place.ip) === host,
    );
    return there === undefined || !this.reaches(from, there) ? null : there;
  }

  joinerOf(primary: FakeSidecar): FakeSidecar | null {
    const joins = ({ runs, stage, phase, peer }: FakeSidecar): boolean =>
      runs && stage === 'running' && phase === 'joining' && peer === primary;
    return [...this.sidecars.values()].find((one) => joins(one) && this.reaches(one, primary)) ?? null;
  }

  ask(from: FakeSidecar, request: LeaseRequest): LeaseAnswer | null {
    return this.store.up && this.#isUp(from.place.node) ? this.store.ask(request) : null;
  }

  /** The sidecar of a pod, as somebody outside its node finds it: null when it does not answer. */
  heard(podUid: string): FakeSidecar | null {
    const sidecar = this.sidecars.get(podUid);
    return sidecar?.runs === true && !sidecar.mute && this.#isUp(sidecar.place.node) ? sidecar : null;
  }

  sidecarOf(vmi: string): FakeSidecar | undefined {
    return [...this.sidecars.values()].find(({ place }) => place.vmi === vmi);
  }

  get owners(): readonly FakeSidecar[] {
    return [...this.sidecars.values()].filter(({ owns }) => owns);
  }

  // -- the controllers --

  step(): void {
    this.#nowMs += STEP_MS;
    for (const [name, node] of this.#nodes) this.#notice(name, node);
    for (const vmi of this.vmis) this.#control(vmi);
    for (const pod of this.pods) this.#schedule(pod);
    for (const pod of this.pods) this.#kubelet(pod);
    for (const sidecar of this.sidecars.values()) sidecar.step();
    this.#endOrphans();
    this.#collectGarbage();
  }

  get vmis(): readonly Stored<Vmi>[] {
    return this.api.list<Vmi>(VMIS, NAMESPACE);
  }

  get pods(): readonly Stored<Pod>[] {
    return this.api.list<Pod>(PODS, NAMESPACE);
  }

  #isUp(node: string): boolean {
    return this.#nodes.get(node)?.state === 'up';
  }

  #on(node: string): FakeSidecar[] {
    return [...this.sidecars.values()].filter(({ place }) => place.node === node);
  }

  #set(name: string, state: NodeState): void {
    this.#nodes.set(name, { state, noticedIn: STEPS_UNTIL_NOTICED });
  }

  #putNode(name: string, ready: boolean): void {
    const status = ready ? 'True' : 'Unknown';
    this.api.put<Node>(NODES, { metadata: { name }, status: { conditions: [{ type: 'Ready', status }] } });
  }

  #notice(name: string, node: NodeModel): void {
    if (node.state === 'up' || node.noticedIn === 0) return;
    node.noticedIn -= 1;
    if (node.noticedIn === 0) this.#putNode(name, false);
  }

  #podOf(vmi: Stored<Vmi>): Stored<Pod> | undefined {
    return this.pods.find((pod) => isOwnedBy(pod, vmi.metadata.uid));
  }

  /** virt-controller. */
  #control(vmi: Stored<Vmi>): void {
    const pod = this.#podOf(vmi);
    const phase = vmi.status?.phase ?? '';
    if (vmi.metadata.deletionTimestamp !== undefined) {
      if (pod === undefined) this.api.remove(VMIS, vmi.metadata);
      else if (pod.metadata.deletionTimestamp === undefined) this.#deletePod(pod);
    } else if (phase === '') this.#launch(vmi);
    else if (pod === undefined && !FINAL.includes(phase)) this.#putPhase(vmi, 'Failed');
  }

  #deletePod({ metadata: { name, namespace } }: Stored<Pod>): void {
    this.api.store.delete({ table: 'api/v1/pods', namespace, name }, {}, null);
  }

  #launch(vmi: Stored<Vmi>): void {
    const { name, namespace, labels, annotations } = vmi.metadata;
    this.#count += 1;
    const metadata = {
      name: `virt-launcher-${name}-${this.#count}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...labels, 'kubevirt.io': 'virt-launcher' },
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [
        { apiVersion: 'kubevirt.io/v1', kind: VMIS.kind, name, uid: vmi.metadata.uid, controller: true },
      ],
    };
    this.api.put<Pod>(PODS, { metadata, spec: {}, status: { phase: 'Pending' } });
    this.#putPhase({ ...vmi, metadata: { ...vmi.metadata, finalizers: [KUBEVIRT_FINALIZER] } }, 'Scheduling');
  }

  #putPhase(vmi: Stored<Vmi>, phase: string, nodeName?: string): void {
    if (vmi.status?.phase === phase) return;
    this.api.put<Vmi>(VMIS, {
      ...vmi,
      status: { ...vmi.status, phase, ...(nodeName === undefined ? {} : { nodeName }) },
    });
  }

  #schedule(pod: Stored<Pod>): void {
    if (pod.spec?.nodeName !== undefined) return;
    const vm = pod.metadata.labels?.[LABELS.vm];
    const taken = this.pods
      .filter((one) => one.metadata.labels?.[LABELS.vm] === vm && !FINAL.includes(one.status?.phase ?? ''))
      .map(({ spec }) => spec?.nodeName);
    const free = this.api.list<Node>(NODES).find(({ metadata: { name }, status }) => {
      const ready = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');
      return ready === true && !taken.includes(name);
    });
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: 'no node is free',
    };
    const conditions = [{ type: 'PodScheduled', status: 'True' }];
    if (free !== undefined) this.#putPod(pod, { conditions }, free.metadata.name);
    else if (pod.status?.conditions?.some(({ type }) => type === 'PodScheduled') !== true)
      this.#putPod(pod, { conditions: [condition] });
  }

  #putPod(pod: Stored<Pod>, status: NonNullable<Pod['status']>, nodeName = pod.spec?.nodeName): void {
    const before = this.api.find<Pod>(PODS, pod.metadata) ?? pod;
    this.api.put<Pod>(PODS, {
      ...before,
      spec: { ...before.spec, ...(nodeName === undefined ? {} : { nodeName }) },
      status: { ...before.status, ...status },
    });
  }

  #kubelet(pod: Stored<Pod>): void {
    const node = pod.spec?.nodeName;
    if (node === undefined || !this.#isUp(node)) return;
    const { uid, deletionTimestamp } = pod.metadata;
    const sidecar = this.sidecars.get(uid);
    if (deletionTimestamp !== undefined) {
      if (sidecar !== undefined) sidecar.alive = false;
      this.api.remove(PODS, pod.metadata);
    } else if (FINAL.includes(pod.status?.phase ?? '')) return;
    else if (sidecar === undefined) this.#startContainers(pod, node);
    else if (sidecar.runs) this.#follow(pod, sidecar);
    else this.#reportEnd(pod, sidecar);
  }

  #startContainers(pod: Stored<Pod>, node: string): void {
    const vmi = pod.metadata.labels?.[LABELS.vmi] ?? '';
    const secret = this.api.find<Secret>(SECRETS, { name: secretNameOf(vmi), namespace: NAMESPACE });
    if (secret === undefined) {
      const state = { waiting: { reason: 'ContainerCreating', message: 'the Secret is not there' } };
      if (pod.status?.containerStatuses === undefined)
        this.#putPod(pod, { containerStatuses: [{ name: SIDECAR_CONTAINER, state }] });
      return;
    }
    const text = Buffer.from(secret.data?.['sidecar.json'] ?? '', 'base64').toString();
    const ip = this.addressOf(this.#count);
    const loggingIp = this.#attach(pod);
    const place = { podUid: pod.metadata.uid, vmi, node, ip, loggingIp };
    this.sidecars.set(pod.metadata.uid, new FakeSidecar(place, parseConfig(JSON.parse(text)), this));
    this.#putPod(pod, {
      phase: 'Running',
      podIP: ip,
      containerStatuses: [{ name: SIDECAR_CONTAINER, state: {} }],
    });
  }

  /** As Multus does, of a pod that the webhook has let through; null when it asks for no more networks. */
  #attach({ metadata }: Stored<Pod>): string | null {
    if (metadata.annotations?.[ANNOTATIONS.loggingNetwork] === undefined) return null;
    const ip = `192.168.9.${this.#count}`;
    const networks = [
      { name: 'pods', interface: 'eth0', default: true },
      { interface: LOGGING_INTERFACE, ips: this.ipam ? [ip] : [] },
    ];
    const annotations = { ...metadata.annotations, [NETWORK_STATUS_ANNOTATION]: JSON.stringify(networks) };
    const pod = this.api.find<Pod>(PODS, metadata);
    if (pod !== undefined) this.api.put<Pod>(PODS, { ...pod, metadata: { ...pod.metadata, annotations } });
    return ip;
  }

  #follow(pod: Stored<Pod>, sidecar: FakeSidecar): void {
    const vmi = this.api.find<Vmi>(VMIS, { name: sidecar.place.vmi, namespace: NAMESPACE });
    if (vmi === undefined || !isOwnedBy(pod, vmi.metadata.uid)) return;
    if (FINAL.includes(vmi.status?.phase ?? '')) return;
    this.#putPhase(vmi, sidecar.stage === 'running' ? 'Running' : 'Scheduled', sidecar.place.node);
  }

  #reportEnd(pod: Stored<Pod>, sidecar: FakeSidecar): void {
    const onPurpose = sidecar.end?.reason === 'userAction' || sidecar.end?.reason === 'vmNotRunning';
    const message = sidecar.end === null ? {} : { message: JSON.stringify(sidecar.epitaph) };
    const terminated = { exitCode: onPurpose ? 0 : 1, ...message };
    const containerStatuses: ContainerStatus[] = [{ name: SIDECAR_CONTAINER, state: { terminated } }];
    this.#putPod(pod, { phase: onPurpose ? 'Succeeded' : 'Failed', containerStatuses });
    const vmi = this.api.find<Vmi>(VMIS, { name: sidecar.place.vmi, namespace: NAMESPACE });
    if (vmi !== undefined) this.#putPhase(vmi, onPurpose ? 'Succeeded' : 'Failed');
  }

  /** A kubelet that is heard ends what no pod stands for any more. */
  #endOrphans(): void {
    const pods = new Set(this.pods.map(({ metadata }) => metadata.uid));
    for (const [uid, sidecar] of this.sidecars) {
      if (!pods.has(uid) && this.#isUp(sidecar.place.node)) sidecar.alive = false;
    }
  }

  #collectGarbage(): void {
    const owners = new Set(
      [FTVMS, VMIS].flatMap((resource) => this.api.list(resource).map(({ metadata }) => metadata.uid)),
    );
    for (const resource of [SECRETS, SERVICES, VMIS]) {
      for (const { metadata } of this.api.list(resource, NAMESPACE)) {
        const references = metadata.ownerReferences ?? [];
        if (references.length === 0 || references.some(({ uid }) => owners.has(uid))) continue;
        if (metadata.deletionTimestamp !== undefined) continue;
        const { group, version, plural } = resource;
        const table = group === '' ? `api/${version}/${plural}` : `apis/${group}/${version}/${plural}`;
        this.api.store.delete({ table, namespace: NAMESPACE, name: metadata.name }, {}, null);
      }
    }
  }
}

const isOwnedBy = ({ metadata }: KubeObject, owner: string): boolean =>
  (metadata.ownerReferences ?? []).some(({ uid }) => uid === owner);
