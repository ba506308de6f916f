// SPDX-License-Identifier: Apache-2.0
/** From reviews to the pure functions that judge them. */
import type { Ftvm } from '../api/ftvm.js';
import { FTVMS } from '../api/resources.js';
import { patchFor, type InjectSettings, type LauncherPod } from './inject.js';
import type { Handlers, Verdict } from './server.js';
import type { Trial } from './trial.js';
import { migrationObjection, objectionsTo, sentenceOf, type Objection } from './validate.js';

export interface HandlerOptions extends InjectSettings {
  /** A VMI of this name is a side of one of our VMs. */
  readonly isOurs: (namespace: string, vmi: string) => boolean;
  readonly trial: Trial;
}

interface Migration {
  readonly metadata: { readonly namespace?: string };
  readonly spec?: { readonly vmiName?: string };
}

const verdictOn = (objections: readonly Objection[]): Verdict =>
  objections.length === 0 ? { allowed: true } : { allowed: false, message: sentenceOf(objections) };

/** What our own rules let through, the cluster is asked about; a template does not change later. */
async function validateVm(after: Ftvm, before: Ftvm | null, { trial }: HandlerOptions): Promise<Verdict> {
  const objections = objectionsTo(after, before);
  return verdictOn(objections.length > 0 || before !== null ? objections : await trial(after));
}

function validateMigration(object: unknown, options: HandlerOptions): Verdict {
  const { metadata, spec } = object as Migration;
  const vmi = spec?.vmiName ?? '';
  return verdictOn(options.isOurs(metadata.namespace ?? '', vmi) ? [migrationObjection(vmi)] : []);
}

export const admissionHandlers = (options: HandlerOptions): Handlers => ({
  '/validate': ({ resource, object, oldObject }) =>
    resource.resource === FTVMS.plural
      ? validateVm(object as Ftvm, (oldObject as Ftvm | null) ?? null, options)
      : validateMigration(object, options),
  '/inject': ({ object }) => ({ allowed: true, patch: patchFor(object as LauncherPod, options) }),
});
