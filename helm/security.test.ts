// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import * as resources from '../operator/api/resources.js';
import { at, one, podsOf, render, valuesOf, type PodTemplate, type Rendered } from './test/render.js';
import { chartTools } from './test/tools.js';

const TOOLS_MS_MAX = 10 * 60_000;
/** The one container that may do more, and that is there only when it is asked for. */
const PREPARATION = 'DaemonSet lockstep-node-preparation';
const PRIVILEGED = `${PREPARATION} settings`;

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

describe('chart: security', function () {
  this.timeout(60_000);
  let objects: Rendered[];
  let everything: Rendered[];

  before(async function () {
    this.timeout(TOOLS_MS_MAX);
    const program = (await chartTools()).helm;
    objects = await render({ program });
    everything = await render({ program }, valuesOf('everything'));
  });

  const podNamed = (rendered: readonly Rendered[], owner: string): PodTemplate => {
    const pod = podsOf(rendered).find((candidate) => candidate.owner === owner);
    if (pod === undefined) throw new Error(`no ${owner}`);
    return pod;
  };

  describe('containers', () => {
    it('are as the Pod Security Standard "restricted" wants them, all but the preparation of nodes', () => {
      let seen = 0;
      for (const { owner, spec, containers } of podsOf(everything)) {
        for (const container of containers) {
          if (`${owner} ${container.name}` === PRIVILEGED) continue;
          seen += 1;
          const effective = { ...(at(spec, 'securityContext') as object), ...container.securityContext };
          expect(effective, `${owner} ${container.name}`).to.deep.include({
            runAsNonRoot: true,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          });
          expect(at(effective, 'runAsUser')).to.be.greaterThan(0);
          expect(at(effective, 'privileged')).to.equal(undefined);
        }
        // A node's connection tracking can be set in the node's own network only.
        const foreign = ['hostPID', 'hostIPC', ...(owner === PREPARATION ? [] : ['hostNetwork'])];
        for (const forbidden of foreign) expect(spec).to.not.have.property(forbidden);
        for (const volume of (spec['volumes'] ?? []) as object[])
          expect(volume).to.not.have.property('hostPath');
      }
      expect(seen).to.equal(5);
    });

    it('are privileged only where nodes are prepared, and only when that is asked for', () => {
      const privileged = (rendered: readonly Rendered[]) =>
        podsOf(rendered).flatMap(({ owner, containers }) =>
          containers
            .filter(({ securityContext }) => securityContext?.['privileged'] === true)
            .map(({ name }) => `${owner} ${name}`),
        );
      expect(privileged(objects)).to.deep.equal([]);
      expect(privileged(everything)).to.deep.equal([PRIVILEGED]);
    });

    it('say what they need, and how much memory they may take', () => {
      for (const { owner, containers } of podsOf(everything))
        for (const container of containers) {
          const words = `${owner} ${container.name}`;
          expect(at(container, 'resources', 'requests', 'cpu'), words).to.be.a('string');
          expect(at(container, 'resources', 'requests', 'memory'), words).to.be.a('string');
          expect(at(container, 'resources', 'limits', 'memory'), words).to.be.a('string');
        }
    });

    it('bear a token of the API server only where they speak to it', () => {
      for (const { owner, spec } of podsOf(everything)) {
        const speaks = spec['serviceAccountName'] !== undefined;
        expect(spec['automountServiceAccountToken'], owner).to.equal(speaks ? undefined : false);
      }
    });
  });

  describe('rights', () => {
    const rulesOf = (rendered: readonly Rendered[]) =>
      rendered
        .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
        .flatMap((role) =>
          ((role['rules'] ?? []) as Rule[]).map((rule) => ({
            role: role.metadata.name,
            kind: role.kind,
            rule,
          })),
        );

    it('are listed one by one', () => {
      for (const { role, rule } of rulesOf(everything))
        for (const words of [rule.apiGroups, rule.resources, rule.verbs])
          expect(words.join(' '), role).to.not.include('*');
    });

    it('let only the operator see Secrets, and nobody change roles or enter pods', () => {
      for (const { role, rule } of rulesOf(everything)) {
        if (rule.resources.includes('secrets')) expect(role).to.equal('lockstep-operator');
        expect(rule.apiGroups, role).to.not.include('rbac.authorization.k8s.io');
        expect(rule.verbs, role).to.not.include.oneOf(['escalate', 'bind', 'impersonate']);
        expect(rule.resources.join(' '), role).to.not.match(
          /pods\/(exec|attach|portforward)|serviceaccounts\/token/,
        );
      }
    });

    it('reach the webhook configurations by name only', () => {
      const rules = rulesOf(everything).filter(({ rule }) =>
        rule.apiGroups.includes('admissionregistration.k8s.io'),
      );
      expect(rules.map(({ rule }) => rule.resourceNames)).to.deep.include.members([
        ['lockstep-inject'],
        ['lockstep-validate'],
      ]);
      for (const { rule } of rules) expect(rule.resourceNames).to.have.length(1);
    });

    it('never make a VMI other than by creating or removing it', () => {
      const rules = rulesOf(everything).filter(({ rule }) => rule.apiGroups.includes('kubevirt.io'));
      expect(rules).to.not.be.empty;
      for (const { rule } of rules) {
        expect(rule.resources).to.deep.equal(['virtualmachineinstances']);
        expect(rule.verbs).to.not.include.oneOf(['update', 'patch', 'deletecollection']);
      }
    });

    it('cover every kind of object that the operator reads or writes', () => {
      const rules = rulesOf(everything).filter(({ role }) => /^lockstep-(operator|webhooks)$/.test(role));
      const kinds = Object.values(resources);
      expect(kinds).to.not.be.empty;
      for (const { group, plural } of kinds) {
        const verbs = rules
          .filter(({ rule }) => rule.apiGroups.includes(group) && rule.resources.includes(plural))
          .flatMap(({ rule }) => rule.verbs);
        expect(verbs, plural).to.include('get');
      }
    });

    it('belong to accounts that pods run under', () => {
      const accounts = new Set(podsOf(everything).map(({ spec }) => spec['serviceAccountName']));
      const bindings = everything.filter(({ kind }) => kind.endsWith('RoleBinding'));
      expect(bindings).to.have.length(5);
      for (const binding of bindings)
        for (const subject of binding['subjects'] as { name: string; namespace: string }[]) {
          expect(accounts).to.include(subject.name);
          expect(subject.namespace).to.equal('lockstep-system');
        }
    });
  });

  describe('webhooks', () => {
    const OURS = {
      matchLabels: { 'kubevirt.io': 'virt-launcher' },
      matchExpressions: [{ key: 'lockstep.dev/vm', operator: 'Exists' }],
    };

    it('meet launcher pods of protected VMs, and those always', () => {
      const [inject, ...others] = one(objects, 'MutatingWebhookConfiguration', 'lockstep-inject')[
        'webhooks'
      ] as object[];
      expect(others).to.be.empty;
      expect(inject).to.deep.include({
        objectSelector: OURS,
        rules: [
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['pods'],
            operations: ['CREATE'],
            scope: 'Namespaced',
          },
        ],
        failurePolicy: 'Fail',
        reinvocationPolicy: 'IfNeeded',
        sideEffects: 'None',
      });
      expect(inject).to.not.have.property('namespaceSelector');
    });

    it('are asked about each VM, and about migrations without being in the way of others', () => {
      const [vms, migrations] = one(objects, 'ValidatingWebhookConfiguration', 'lockstep-validate')[
        'webhooks'
      ] as object[];
      expect(at(vms, 'rules', 0)).to.deep.include({
        resources: ['faulttolerantvms'],
        operations: ['CREATE', 'UPDATE'],
      });
      expect(at(vms, 'failurePolicy')).to.equal('Fail');
      expect(at(migrations, 'rules', 0)).to.deep.include({
        resources: ['virtualmachineinstancemigrations'],
        operations: ['CREATE'],
      });
      expect(at(migrations, 'failurePolicy')).to.equal('Ignore');
    });

    it('leave the CA to the operator, so that an upgrade does not take it away', () => {
      for (const object of objects.filter(({ kind }) => kind.endsWith('WebhookConfiguration')))
        for (const webhook of object['webhooks'] as object[]) {
          expect(at(webhook, 'clientConfig')).to.not.have.property('caBundle');
          expect(at(webhook, 'clientConfig', 'service')).to.deep.include({
            name: 'lockstep-webhook',
            namespace: 'lockstep-system',
            port: 443,
          });
        }
      const service = one(objects, 'Service', 'lockstep-webhook');
      expect(service['spec']).to.deep.include({
        ports: [{ name: 'webhook', port: 443, targetPort: 'webhook' }],
      });
      expect(podNamed(objects, 'Deployment lockstep-operator').labels).to.include(
        at(service, 'spec', 'selector'),
      );
      const ports = at(podNamed(objects, 'Deployment lockstep-operator').containers[0], 'ports');
      expect(ports).to.deep.include({ name: 'webhook', containerPort: 9443 });
    });
  });

  describe('network policies', () => {
    const policyFor = (labels: Readonly<Record<string, string>>): Rendered[] =>
      everything.filter((object) => {
        const wanted =
          object.kind === 'NetworkPolicy'
            ? Object.entries(at(object, 'spec', 'podSelector', 'matchLabels') as object)
            : null;
        return wanted?.every(([key, value]) => labels[key] === value) ?? false;
      });

    it('hold for every pod but those that prepare nodes, in both directions', () => {
      for (const { owner, labels } of podsOf(everything)) {
        const policies = policyFor(labels);
        expect(policies, owner).to.have.length(owner.startsWith('DaemonSet') ? 0 : 1);
        for (const policy of policies)
          expect(at(policy, 'spec', 'policyTypes')).to.deep.equal(['Ingress', 'Egress']);
      }
    });

    it('let operators, the install check and launcher pods of protected VMs to Redis, and Redis to nobody', () => {
      const { spec } = one(everything, 'NetworkPolicy', 'lockstep-redis') as unknown as {
        spec: { ingress: object[]; egress: object[] };
      };
      expect(spec.egress).to.deep.equal([]);
      expect(spec.ingress).to.have.length(1);
      expect(at(spec.ingress, 0, 'ports')).to.deep.equal([{ protocol: 'TCP', port: 'redis' }]);
      const peers = at(spec.ingress, 0, 'from') as object[];
      expect(
        peers.map((peer) => at(peer, 'podSelector', 'matchLabels', 'app.kubernetes.io/component')),
      ).to.deep.equal(['operator', 'install-check', undefined]);
      expect(peers[2]).to.deep.include({ namespaceSelector: {} });
      expect(at(peers[2], 'podSelector', 'matchExpressions', 0, 'key')).to.equal('lockstep.dev/vm');
    });
  });

  it('spreads the operators and keeps one through a drain', () => {
    const { spec } = podNamed(objects, 'Deployment lockstep-operator');
    expect(at(spec, 'topologySpreadConstraints', 0, 'topologyKey')).to.equal('kubernetes.io/hostname');
    expect(at(one(objects, 'Deployment', 'lockstep-operator'), 'spec', 'replicas')).to.equal(2);
    expect(at(one(objects, 'PodDisruptionBudget', 'lockstep-operator'), 'spec', 'maxUnavailable')).to.equal(
      1,
    );
  });
});
