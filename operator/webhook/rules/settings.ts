// SPDX-License-Identifier: Apache-2.0
/** What the resource says beside its template, as far as the schema cannot judge it. */
import { CPU_MODELS, cpuModelOf } from '../../../sidecar/qemu/cpu-models.js';
import { isSet, rule, type Rule } from './rule.js';

/** Below `spec`; asked again whenever the value changes. */
export const SETTINGS: readonly Rule[] = [
  rule(
    'cpuModel',
    'QEMU has no such processor: qemu-system-x86_64 -cpu help names all; EPYC and Skylake-Server are among them',
    (value) => isSet(value) && !CPU_MODELS.has(cpuModelOf(String(value))),
  ),
];
