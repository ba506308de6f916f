// SPDX-License-Identifier: Apache-2.0
/** The schema lets anything through below the template's spec: what this program reads there must be of its kind. */
import { list, needed, object, type Rule } from './rule.js';

export const SHAPE: readonly Rule[] = [
  needed('spec.domain', 'say what machine it is: domain is missing'),
  object('spec.domain'),
  object('spec.domain.clock'),
  object('spec.domain.cpu'),
  object('spec.domain.devices'),
  list('spec.domain.devices.interfaces'),
  list('spec.domain.devices.interfaces.0.ports'),
  object('spec.domain.features'),
  object('spec.domain.firmware'),
  object('spec.domain.machine'),
  object('spec.domain.memory'),
  object('spec.domain.resources'),
  object('spec.domain.resources.limits'),
  object('spec.domain.resources.requests'),
  list('spec.networks'),
  object('spec.nodeSelector'),
  list('spec.tolerations'),
  object('spec.affinity'),
  object('spec.affinity.podAntiAffinity'),
  list('spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution'),
  list('spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution'),
];
