// SPDX-License-Identifier: Apache-2.0
/** From reviews to the pure functions that judge them. */
import type { Ftvm } from '../api/ftvm.js';
import { FTVMS } from '../api/resources.js';
import { patchFor, type InjectSettings, type LauncherPod } from './inject.js';
import type { AdmissionRequest, Handlers, Verdict } from './server.js';
import { migrationObjection, objectionsTo, sentenceOf } from './validate.js';

export interface HandlerOptions extends InjectSettings {
  /** A VMI of this name is a side of one of our VMs. */
  readonly isOurs: (namespace: string, vmi: string) => boolean;
}

interface Migration {
  readonly metadata: { readonly namespace?: string };
  readonly spec?: { readonly vmiName?: string };
}

function validate({ resource, object, oldObject }: AdmissionRequest, options: HandlerOptions): Verdict {
  if (resource.resource === FTVMS.plural) {
    const objections = objectionsTo(object as Ftvm, (oldObject as Ftvm | null) ?? null);
    return objections.length === 0 ? { allowed: true } : { allowed: false, message: sentenceOf(objections) };
  }
  const { metadata, spec } = object as Migration;
  const vmi = spec?.vmiName ?? '';
  if (!options.isOurs(metadata.namespace ?? '', vmi)) return { allowed: true };
  return { allowed: false, message: sentenceOf([migrationObjection(vmi)]) };
}

export const admissionHandlers = (options: HandlerOptions): Handlers => ({
  '/validate': (request) => validate(request, options),
  '/inject': ({ object }) => ({ allowed: true, patch: patchFor(object as LauncherPod, options) }),
});
