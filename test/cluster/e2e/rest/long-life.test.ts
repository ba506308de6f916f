// SPDX-License-Identifier: Apache-2.0
// What happens to a VM that runs for long, though nothing fails: its guest starts anew, its certificates are renewed.
import { expect } from 'chai';
import { X509Certificate } from 'node:crypto';
import { base64, textOf } from '../../../../operator/api/base64.js';
import type { Secret } from '../../../../operator/api/objects.js';
import { CA_SECRET, secretNameOf, SIDECAR_CONTAINER, vmIdOf } from '../../../../operator/names.js';
import { makeHostCertificate, validity } from '../../../../sidecar/io/channel/pki.js';
import { orderGuest } from '../../../qemu/support/guest.js';
import { until } from '../../../qemu/support/wait.js';
import { kubectl } from '../../bed/kubectl.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { increment } from '../support/clients.js';
import { GuardedVm, type Pair } from '../support/guarded.js';
import { get, type KubeObject } from '../support/kube.js';
import { measured } from '../support/measured.js';
import { kill } from '../support/processes.js';
import type { Side } from '../support/vm.js';
import { describeOnBed } from '../support/world.js';

const NAMESPACE = 'default';
const STARTED_MS_MAX = 120_000;
const RENEWED_MS_MAX = 60_000;
/** The kubelet looks at a pod's Secrets about once a minute. */
const CARRIED_MS_MAX = 180_000;

type StoredSecret = Secret & KubeObject;

describeOnBed('a VM that runs for long', function () {
  const guarded = new GuardedVm('longlife', '10.99.0.117');

  beforeEach(() => guarded.ensure());
  after(() => guarded.finish());

  const failOver = async (before: Pair): Promise<void> => {
    await kill(before.primary, 'QEMU');
    await guarded.serves();
    await guarded.untilMended(before, 'primary');
  };

  it('stays protected by the same sides when its guest resets itself, and survives its primary afterwards', async () => {
    const { netns, address } = guarded;
    const before = await guarded.sides();
    await increment(netns, address, STARTED_MS_MAX);
    await orderGuest({ guest: { ip: address }, client: { netns } }, 'reset');
    // What the guest had in its memory is gone: it counts from the beginning.
    await until('the guest has started anew', STARTED_MS_MAX, async () =>
      (await increment(netns, address, STARTED_MS_MAX)) === 1 ? true : undefined,
    );
    await guarded.connect();
    await guarded.vm.untilProtected(STARTED_MS_MAX);
    await guarded.expectUnchanged(before);
    await failOver(before);
    expect(await increment(netns, address, STARTED_MS_MAX), 'the other side’s guest').to.equal(2);
  });

  it('has its certificates renewed while it is protected, and its next backup takes them', async () => {
    const before = await guarded.sides();
    const sides = [before.primary, before.backup];
    for (const side of sides) await giveShort(side);
    for (const side of sides) await isCarried(side, await isRenewed(side));
    await guarded.serves();
    await guarded.expectUnchanged(before);
    await failOver(before);
  });

  const secretOf = async ({ vmi }: Side): Promise<StoredSecret> => {
    const secret = await get<StoredSecret>('secret', secretNameOf(vmi), NAMESPACE);
    if (secret === undefined) throw new Error(`${vmi} has no Secret`);
    return secret;
  };

  /** A certificate of the same authority for the same VM, of which one day is left. */
  async function giveShort(side: Side): Promise<void> {
    const authority = await get<StoredSecret>('secret', CA_SECRET, RELEASE_NAMESPACE);
    const { name, uid } = (await guarded.vm.read())?.metadata ?? {};
    if (authority === undefined || name === undefined || uid === undefined)
      throw new Error('no VM, or no CA');
    const ca = { certificatePem: textOf(authority, 'ca.crt'), privateKeyPem: textOf(authority, 'ca.key') };
    const names = { commonName: side.vmi, vms: [vmIdOf(name, uid)], dnsNames: [] };
    const short = await makeHostCertificate(ca, names, validity(1));
    const data = { 'tls.crt': base64(short.certificatePem), 'tls.key': base64(short.privateKeyPem) };
    const patch = ['patch', 'secret', secretNameOf(side.vmi), '-n', NAMESPACE, '--type=merge'];
    await kubectl([...patch, '-p', JSON.stringify({ data })]);
  }

  /** Returns until when the new one holds, ISO 8601. */
  async function isRenewed(side: Side): Promise<string> {
    const dayAfterTomorrow = Date.now() + 2 * 86_400_000;
    return until(`the operator renews the certificate of ${side.vmi}`, RENEWED_MS_MAX, async () => {
      const { validTo } = new X509Certificate(textOf(await secretOf(side), 'tls.crt'));
      const ends = new Date(validTo);
      return ends.getTime() > dayAfterTomorrow ? ends.toISOString() : undefined;
    });
  }

  async function isCarried({ pod, vmi }: Side, notAfter: string): Promise<void> {
    const since = performance.now();
    await until(`the sidecar of ${vmi} uses it`, CARRIED_MS_MAX, async () => {
      const said = await kubectl(['logs', pod.metadata.name, '-n', NAMESPACE, '-c', SIDECAR_CONTAINER]);
      return said.includes(`use the certificate until ${notAfter}`) ? true : undefined;
    });
    measured('a renewed certificate reaches its sidecar', (performance.now() - since) / 1000, 's');
  }
});
