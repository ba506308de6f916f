// SPDX-License-Identifier: Apache-2.0
/** Carries out effects, one small function each. Any of them may be done again: by us after a restart, or by another. */
import { base64, textOf } from './api/base64.js';
import type { Ftvm, Side, StoredFtvm } from './api/ftvm.js';
import type { Pod, Secret, Service } from './api/objects.js';
import { FTVMS, PODS, SECRETS, SERVICES, VMIS } from './api/resources.js';
import type { Effect } from './effects.js';
import { isDue, type Authority } from './identity.js';
import type { ObjectClient } from './kit/apply.js';
import { keyOf, type KubeObject, type Resource, type Stored } from './kit/object.js';
import type { Leases } from './leases.js';
import type { PeerAddress } from './logging-network.js';
import { ANNOTATIONS, FINALIZER, LABELS, LIVE_GATE, secretNameOf, vmIdOf } from './names.js';
import { buildSecret } from './resources/secret.js';
import { buildService, sameService } from './resources/service.js';
import { buildVmi } from './resources/vmi.js';
import type { Sides } from './sides.js';
import type { StoreOf } from './store.js';
import type { Caches } from './world.js';

/** Own writes of one kind: the VM is not looked at again before its informer shows what came back. */
export interface Held {
  write<O extends KubeObject>(key: string, perform: () => Promise<Stored<O>>): Promise<Stored<O>>;
  create<O extends KubeObject>(
    key: string,
    perform: () => Promise<{ readonly object: Stored<O>; readonly created: boolean }>,
  ): Promise<{ readonly object: Stored<O>; readonly created: boolean }>;
  remove(
    key: string,
    uid: string,
    perform: () => Promise<'deleted' | 'absent'>,
  ): Promise<'deleted' | 'absent'>;
}

export interface OwnWrites {
  readonly ftvms: Held;
  readonly vmis: Held;
  readonly pods: Held;
  readonly secrets: Held;
  readonly services: Held;
}

export interface ActPorts {
  readonly client: ObjectClient;
  readonly caches: Pick<Caches, 'pods' | 'secrets' | 'services' | 'vmis'>;
  readonly own: OwnWrites;
  readonly sides: Pick<Sides, 'order'>;
  readonly leases: Pick<Leases, 'remove'>;
  readonly authority: Authority;
  readonly storeOf: StoreOf;
  readonly wallClock: () => Date;
}

/** An object of the name that we need is there, and is not ours: it is never taken over. */
export class ForeignObjectError extends Error {
  readonly code = 'LOCKSTEP_FOREIGN_OBJECT';
}

/** What was seen is not so any more; the next look knows better. */
export class StaleViewError extends Error {
  readonly code = 'LOCKSTEP_STALE_VIEW';
}

type Handler<T extends Effect['type']> = (
  ftvm: StoredFtvm,
  effect: Extract<Effect, { type: T }>,
) => Promise<void>;
type Handlers = { readonly [T in Effect['type']]: Handler<T> };

export class Actor {
  readonly #handlers: Handlers;

  constructor(private readonly ports: ActPorts) {
    this.#handlers = {
      addFinalizer: (ftvm) => this.#finalizers(ftvm, [...(ftvm.metadata.finalizers ?? []), FINALIZER]),
      removeFinalizer: (ftvm) =>
        this.#finalizers(
          ftvm,
          (ftvm.metadata.finalizers ?? []).filter((one) => one !== FINALIZER),
        ),
      removeConsent: async (ftvm) => {
        const patch = { metadata: { annotations: { [ANNOTATIONS.coldStart]: null } } };
        const ref = this.#ref(ftvm, ftvm.metadata.name);
        await this.#write(ftvm, 'ftvms', () =>
          ports.client.mergePatch<Ftvm>(FTVMS, ref, patch, { uid: ftvm.metadata.uid }),
        );
      },
      makeSecret: (ftvm, { side, peer }) => this.#makeSecret(ftvm, side, peer),
      makeVmi: (ftvm, { side }) => this.#makeVmi(ftvm, side),
      makeService: (ftvm) => this.#makeService(ftvm),
      deleteVmi: (ftvm, { vmi, uid }) => this.#delete(ftvm, 'vmis', VMIS, vmi, { uid }),
      removePod: (ftvm, { pod, uid }) => this.#delete(ftvm, 'pods', PODS, pod, { uid, gracePeriodS: 0 }),
      removeSecret: async (ftvm, { vmi }) => {
        await ports.client.delete(SECRETS, this.#ref(ftvm, secretNameOf(vmi)));
      },
      sweepSecret: (ftvm, { vmi, uid }) => this.#sweepSecret(ftvm, vmi, uid),
      setRole: async (ftvm, { pod, uid, role }) => {
        const labels = { [LABELS.role]: role };
        await this.#write(ftvm, 'pods', () =>
          ports.client.patchLabels<Pod>(PODS, this.#ref(ftvm, pod), labels, { uid }),
        );
      },
      setLive: (ftvm, { pod, uid, live }) => this.#setLive(ftvm, pod, uid, live),
      order: async (ftvm, { vmi, command }) => {
        const pod = ports.caches.pods
          .list()
          .find(
            (one) =>
              one.metadata.namespace === ftvm.metadata.namespace && one.metadata.labels?.[LABELS.vmi] === vmi,
          );
        if (pod !== undefined) await ports.sides.order(pod.metadata.uid, command);
      },
      removeLease: async (ftvm) => {
        await ports.leases.remove(vmIdOf(ftvm.metadata.name, ftvm.metadata.uid), await ports.storeOf(ftvm));
      },
    };
  }

  async carryOut(ftvm: StoredFtvm, effect: Effect): Promise<void> {
    // The table's type ties each handler to its effect; TypeScript cannot follow that through the index.
    const handler = this.#handlers[effect.type] as (ftvm: StoredFtvm, effect: Effect) => Promise<void>;
    await handler(ftvm, effect);
  }

  /** Makes certificates anew that will soon have run out; the kubelet carries them into the pods. */
  async renew(ftvm: StoredFtvm, sides: readonly Side[]): Promise<void> {
    const { caches, authority, client, wallClock } = this.ports;
    const { name, uid } = ftvm.metadata;
    for (const { vmi } of sides) {
      const ref = this.#ref(ftvm, secretNameOf(vmi));
      const secret = caches.secrets.get(keyOf({ metadata: ref }));
      if (secret === undefined) continue;
      if (!isDue(textOf(secret, 'tls.crt'), wallClock())) continue;
      const tls = await authority.ofSide(vmIdOf(name, uid), vmi);
      const data = { 'tls.crt': base64(tls.cert), 'tls.key': base64(tls.key) };
      await this.#write(ftvm, 'secrets', () =>
        client.mergePatch<Secret>(SECRETS, ref, { data }, { uid: secret.metadata.uid }),
      );
    }
  }

  #ref({ metadata: { namespace } }: StoredFtvm, name: string): { name: string; namespace: string } {
    return { name, namespace: namespace ?? 'default' };
  }

  async #write<T extends KubeObject>(
    ftvm: StoredFtvm,
    kind: keyof OwnWrites,
    write: () => Promise<Stored<T>>,
  ): Promise<void> {
    await this.ports.own[kind].write(keyOf(ftvm), write);
  }

  async #finalizers(ftvm: StoredFtvm, finalizers: readonly string[]): Promise<void> {
    const { resourceVersion } = ftvm.metadata;
    const patch = { metadata: { finalizers } };
    const ref = this.#ref(ftvm, ftvm.metadata.name);
    if (ftvm.metadata.deletionTimestamp !== undefined) {
      // With its last finalizer the object itself goes: no informer will show this version.
      await this.ports.client.mergePatch(FTVMS, ref, patch, { resourceVersion });
      return;
    }
    await this.#write(ftvm, 'ftvms', () =>
      this.ports.client.mergePatch<Ftvm>(FTVMS, ref, patch, { resourceVersion }),
    );
  }

  async #makeSecret(ftvm: StoredFtvm, side: Side, peer: PeerAddress | null): Promise<void> {
    const { authority, caches, storeOf } = this.ports;
    const ref = this.#ref(ftvm, secretNameOf(side.vmi));
    if (caches.secrets.get(keyOf({ metadata: ref })) !== undefined) return;
    const { name, uid } = ftvm.metadata;
    const tls = await authority.ofSide(vmIdOf(name, uid), side.vmi);
    const secret = buildSecret(ftvm, { side, peer, tls, store: await storeOf(ftvm) });
    await this.#create(ftvm, 'secrets', SECRETS, secret);
  }

  /**
   * A plan is carried out only while it stands: by a late cache a side that has come and gone would be made once more,
   * and nobody would know of it.
   */
  async #makeVmi(ftvm: StoredFtvm, side: Side): Promise<void> {
    const now = await this.ports.client.get<Ftvm>(FTVMS, this.#ref(ftvm, ftvm.metadata.name));
    const stands = now.status?.sides?.some(({ vmi, uid }) => vmi === side.vmi && uid === undefined) ?? false;
    if (!stands || now.metadata.uid !== ftvm.metadata.uid || now.metadata.deletionTimestamp !== undefined) {
      throw new StaleViewError(`${side.vmi} is not to be made any more`);
    }
    await this.#create(ftvm, 'vmis', VMIS, buildVmi(ftvm, side));
  }

  /** A late cache may not show yet that its side was decided, or that it is there: the API server itself is asked. */
  async #sweepSecret(ftvm: StoredFtvm, vmi: string, uid: string): Promise<void> {
    const { client } = this.ports;
    const now = await client.get<Ftvm>(FTVMS, this.#ref(ftvm, ftvm.metadata.name));
    const isKnown = now.status?.sides?.some((side) => side.vmi === vmi) ?? false;
    if (isKnown || (await client.find(VMIS, this.#ref(ftvm, vmi))) !== null)
      throw new StaleViewError(`Secret ${secretNameOf(vmi)} has a side that needs it`);
    await this.#delete(ftvm, 'secrets', SECRETS, secretNameOf(vmi), { uid });
  }

  async #create(
    ftvm: StoredFtvm,
    kind: keyof OwnWrites,
    resource: Resource,
    object: KubeObject,
  ): Promise<void> {
    await this.ports.own[kind].create(keyOf(ftvm), async () => {
      const answer = await this.ports.client.createIfAbsent(resource, object);
      // Not ours: no informer of ours will show it, so that it must not be waited for.
      if (!isOurs(answer.object, ftvm)) throw foreign(resource.kind, object.metadata.name);
      return answer;
    });
  }

  async #makeService(ftvm: StoredFtvm): Promise<void> {
    const { caches, client } = this.ports;
    const wanted = buildService(ftvm);
    const there = caches.services.get(keyOf(ftvm));
    if (wanted === null) return;
    if (there === undefined) await this.#create(ftvm, 'services', SERVICES, wanted);
    else if (!isOurs(there, ftvm)) throw foreign(SERVICES.kind, wanted.metadata.name);
    else if (!sameService(there, wanted))
      await this.#write(ftvm, 'services', () => client.apply<Service>(SERVICES, wanted));
  }

  async #delete(
    ftvm: StoredFtvm,
    kind: keyof OwnWrites,
    resource: Resource,
    name: string,
    { uid, gracePeriodS }: { readonly uid: string; readonly gracePeriodS?: number },
  ): Promise<void> {
    const options = { uid, ...(gracePeriodS === undefined ? {} : { gracePeriodS }) };
    await this.ports.own[kind].remove(keyOf(ftvm), uid, () =>
      this.ports.client.delete(resource, this.#ref(ftvm, name), options),
    );
  }

  /** By server-side apply: the conditions of others, of kubelet and KubeVirt, stay theirs. */
  async #setLive(ftvm: StoredFtvm, name: string, uid: string, live: boolean): Promise<void> {
    const condition = {
      type: LIVE_GATE,
      status: live ? 'True' : 'False',
      reason: live ? 'RunsTheVm' : 'StandsBy',
      message: live ? 'this side runs the VM' : 'this side follows the VM and answers nobody',
      lastTransitionTime: this.ports
        .wallClock()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z'),
    };
    const pod: Pod = { metadata: this.#ref(ftvm, name), status: { conditions: [condition] } };
    await this.#write(ftvm, 'pods', () => this.ports.client.applyStatus<Pod>(PODS, pod, { uid }));
  }
}

const isOurs = ({ metadata }: Stored, ftvm: StoredFtvm): boolean =>
  (metadata.ownerReferences ?? []).some(({ uid }) => uid === ftvm.metadata.uid);

const foreign = (kind: string, name: string): ForeignObjectError =>
  new ForeignObjectError(
    `${kind} ${name} is there already and belongs to something else: rename or remove it`,
  );
