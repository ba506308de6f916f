// SPDX-License-Identifier: Apache-2.0
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { REPO } from '../cli/local/layout.js';
import { run } from '../cli/local/run.js';
import { KUBERNETES_VERSION } from '../test/cluster/bed/settings.js';
import {
  CHART,
  VARIANTS,
  at,
  one,
  parse,
  podsOf,
  render,
  template,
  valuesOf,
  type Rendered,
} from './test/render.js';
import { fileOf, writeSchemas } from './test/schemas.js';
import { chartTools, kubernetesOpenApi, type Tools } from './test/tools.js';

const TOOLS_MS_MAX = 10 * 60_000;
const OPENAPI_MS_MAX = 6 * 60_000;
/** Resources of the Prometheus Operator: no API server knows them by itself. */
const FOREIGN_KINDS = ['ServiceMonitor', 'PodMonitor'];

describe('chart', function () {
  this.timeout(60_000);
  let tools: Tools;
  let everything: Rendered[];
  const helm = () => ({ program: tools.helm });

  before(async function () {
    this.timeout(TOOLS_MS_MAX);
    tools = await chartTools();
    everything = await render(helm(), valuesOf('everything'));
  });

  describe('as a whole', () => {
    for (const variant of VARIANTS) {
      it(`is found good by helm lint --strict (${variant})`, async () => {
        const args = ['lint', '--strict', '--kube-version', KUBERNETES_VERSION, ...valuesOf(variant), CHART];
        expect(await run(tools.helm, args)).to.match(/1 chart\(s\) linted, 0 chart\(s\) failed/);
      });
    }

    it('is taken, field by field, by the API server of the cluster', async function () {
      this.timeout(OPENAPI_MS_MAX);
      const folder = join(REPO, 'build/helm/schemas');
      const texts = await Promise.all(VARIANTS.map((variant) => template(helm(), valuesOf(variant))));
      const kinds = texts.flatMap(parse).filter(({ kind }) => !FOREIGN_KINDS.includes(kind));
      const location = await writeSchemas(await kubernetesOpenApi(), kinds, folder);
      const args = ['-strict', '-summary', '-skip', FOREIGN_KINDS.join(','), '-schema-location', location];
      for (const text of texts) {
        const said = await run(tools.kubeconform, args, { input: text });
        expect(said).to.match(/Valid: [1-9]\d*, Invalid: 0, Errors: 0/);
      }
    });

    it('would not be taken with a field that the API server does not know', async function () {
      this.timeout(OPENAPI_MS_MAX);
      const folder = join(REPO, 'build/helm/schemas');
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'a' },
        spec: { containers: [], tolerates: [] },
      };
      const location = await writeSchemas(await kubernetesOpenApi(), [pod], folder);
      expect(await readdir(folder)).to.include(fileOf({ group: '', version: 'v1', kind: 'Pod' }));
      const trial = run(tools.kubeconform, ['-strict', '-schema-location', location], {
        input: JSON.stringify(pod),
      });
      expect(await messageOf(trial)).to.match(/tolerates/);
    });

    it('has every namespaced object in its own namespace', () => {
      const clusterWide =
        /^(ClusterRole|ClusterRoleBinding|CustomResourceDefinition|(Mutating|Validating)Webhook\w+)$/;
      for (const object of everything) {
        const where = clusterWide.test(object.kind) ? undefined : 'lockstep-system';
        expect(object.metadata.namespace, `${object.kind} ${object.metadata.name}`).to.equal(where);
      }
    });
  });

  describe('settings', () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['operator.replicas=0', /\/operator\/replicas.*minimum/],
      ['operator.replicas=two', /\/operator\/replicas.*integer/],
      ['operator.logLevel=loud', /\/operator\/logLevel/],
      ['operator.resources.limits.memory=much', /\/operator\/resources\/limits\/memory/],
      ['operator.resource.limits=1', /'resource' not allowed/],
      ['images.registry=host/', /\/images\/registry/],
      ['images.pullPolicy=Sometimes', /\/images\/pullPolicy/],
      ['webhook.timeoutSeconds=31', /\/webhook\/timeoutSeconds.*maximum/],
      ['launcher.emulatorPaths={qemu}', /\/launcher\/emulatorPaths\/0/],
      ['store.redis.password=short', /\/store\/redis\/password/],
      ['store.redis.enabled=false', /\/store/],
      ['store.redis.maxMemory=64Mi', /\/store\/redis\/maxMemory/],
      ['store.redis.replicas=3', /'replicas' not allowed/],
      ['networkPolicy.apiServerPorts={}', /\/networkPolicy\/apiServerPorts/],
      ['installCheck.timeoutSeconds=1', /\/installCheck\/timeoutSeconds/],
      ['nodePreparation.enabled=perhaps', /\/nodePreparation\/enabled/],
      ['webhooks.timeoutSeconds=3', /'webhooks' not allowed/],
    ];
    for (const [setting, words] of wrong) {
      it(`refuses ${setting}`, async () => {
        expect(await messageOf(template(helm(), ['--set', setting]))).to.match(words);
      });
    }

    it('makes each image a name of registry and tag, or the reference that is given', async () => {
      const of = (rendered: readonly Rendered[]) =>
        new Set(podsOf(rendered).flatMap(({ containers }) => containers.map(({ image }) => image)));
      expect([...of(everything)]).to.have.members(
        ['operator', 'redis'].map((name) => `registry.example/team/lockstep/${name}:v1.2.3`),
      );
      const byDigest = await render(helm(), valuesOf('external-store-policies'));
      expect([...of(byDigest)]).to.deep.equal([`registry.example/operator@sha256:${'0'.repeat(64)}`]);
      const env = at(
        one(everything, 'Deployment', 'lockstep-operator'),
        'spec',
        'template',
        'spec',
        'containers',
        0,
        'env',
      );
      expect(env).to.deep.include({
        name: 'SIDECAR_IMAGE',
        value: 'registry.example/team/lockstep/sidecar:v1.2.3',
      });
    });
  });
});

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it should have failed');
}
