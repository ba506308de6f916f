// SPDX-License-Identifier: Apache-2.0
/** The kinds of objects that the operator reads or writes. */
import { GROUP } from '../names.js';
import type { Resource } from '../kit/object.js';

const kind = (group: string, version: string, plural: string, name: string, namespaced = true): Resource => ({
  group,
  version,
  plural,
  kind: name,
  namespaced,
});

export const FTVMS = kind(GROUP, 'v1alpha1', 'faulttolerantvms', 'FaultTolerantVM');
export const VMIS = kind('kubevirt.io', 'v1', 'virtualmachineinstances', 'VirtualMachineInstance');
export const PODS = kind('', 'v1', 'pods', 'Pod');
export const NODES = kind('', 'v1', 'nodes', 'Node', false);
export const SECRETS = kind('', 'v1', 'secrets', 'Secret');
export const SERVICES = kind('', 'v1', 'services', 'Service');
export const EVENTS = kind('events.k8s.io', 'v1', 'events', 'Event');
export const MUTATING_WEBHOOKS = kind(
  'admissionregistration.k8s.io',
  'v1',
  'mutatingwebhookconfigurations',
  'MutatingWebhookConfiguration',
  false,
);
export const VALIDATING_WEBHOOKS = kind(
  'admissionregistration.k8s.io',
  'v1',
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
  false,
);
