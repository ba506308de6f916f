// SPDX-License-Identifier: Apache-2.0
/** Where and when the sides run: on two nodes, started and ended by nobody but the operator. */
import { absent, isSet, rule, valueAt, type LooseSpec, type Rule } from './rule.js';

const HOSTNAME_LABEL = 'kubernetes.io/hostname';
const TWO_NODES = 'two sides need two nodes';

/** The values that a list of requirements asks `key` to be in; null when it does not ask. */
function namesOf(requirements: unknown, key: string): unknown[] | null {
  const all: readonly unknown[] = Array.isArray(requirements) ? requirements : [];
  const found = all.find((one) => valueAt(one, 'key') === key && valueAt(one, 'operator') === 'In');
  const values = valueAt(found, 'values');
  return Array.isArray(values) ? values : null;
}

/** The nodes that a term names; null when it names none and many may fit. */
const nodesOf = (term: unknown): unknown[] | null =>
  namesOf(valueAt(term, 'matchExpressions'), HOSTNAME_LABEL) ??
  namesOf(valueAt(term, 'matchFields'), 'metadata.name');

const TERMS = 'nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';

/** Terms are alternatives: all of them together must leave two nodes. */
function pinsToOneNode({ affinity }: LooseSpec): boolean {
  const terms = valueAt(affinity, TERMS);
  const named = Array.isArray(terms) ? terms.map(nodesOf) : [];
  return named.length > 0 && named.every((names) => names !== null) && new Set(named.flat()).size < 2;
}

export const PLACEMENT: readonly Rule[] = [
  absent(`spec.nodeSelector.${HOSTNAME_LABEL}`, `${TWO_NODES}: leave the host name out of nodeSelector`),
  rule(
    'spec.affinity.nodeAffinity',
    `${TWO_NODES}: name two nodes or more, or choose them by another label than ${HOSTNAME_LABEL}`,
    (_, spec) => pinsToOneNode(spec),
  ),
  absent(
    'spec.livenessProbe',
    'a probe that fails would end the live side: leave livenessProbe out, the lease decides who lives',
  ),
  absent('spec.readinessProbe', "readiness is the operator's: leave readinessProbe out"),
  rule(
    'spec.evictionStrategy',
    "a drain is the operator's business: leave evictionStrategy out",
    (value) => isSet(value) && value !== 'External',
  ),
  absent('spec.startStrategy', 'the operator starts the VM: leave startStrategy out'),
  rule(
    'spec.terminationGracePeriodSeconds',
    'the power button is in no log, a side is ended without it: shut the guest down from within, leave terminationGracePeriodSeconds out',
    (value) => isSet(value) && value !== 0,
  ),
  rule(
    'spec.dnsPolicy',
    "the sidecar finds the lease store by the cluster's DNS: leave dnsPolicy out, dnsConfig adds to it",
    (value) => value === 'None' || value === 'Default',
  ),
];
