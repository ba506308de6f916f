// SPDX-License-Identifier: Apache-2.0
/**
 * KubeVirt's own opinion of a VM: the VMI of a side is made in a dry run before the resource is taken, so that what
 * KubeVirt, or a policy of the cluster, will not have is no surprise of later.
 */
import type { Ftvm, StoredFtvm } from '../api/ftvm.js';
import { VMIS } from '../api/resources.js';
import type { ObjectClient } from '../kit/apply.js';
import { isApiError, type ApiError } from '../kit/errors.js';
import { buildVmi } from '../resources/vmi.js';
import type { Objection } from './validate.js';

/** Who waits for us waits for 10 s, and never less than 5 (the chart's webhook.timeoutSeconds). */
const TRIAL_MS_MAX = 4_000;
/** Where the API server has not given one yet. */
const NO_UID = '00000000-0000-0000-0000-000000000000';

/** None: nothing stands in the way, or nobody could be asked. */
export type Trial = (ftvm: Ftvm) => Promise<readonly Objection[]>;

export interface TrialOptions {
  readonly client: Pick<ObjectClient, 'tryCreate'>;
  /** It could not be tried: KubeVirt is away, or its words are about something else. */
  readonly onUnknown: (reason: string) => void;
}

/** Of this very VMI, by an admission webhook or the schema; a right or a server that is missing is another matter. */
const isAboutVmi = ({ status, words }: ApiError): boolean =>
  status === 422 || ((status === 400 || status === 403) && words?.includes('denied the request') === true);

export const trialBy =
  ({ client, onUnknown }: TrialOptions): Trial =>
  async (ftvm) => {
    const { metadata } = ftvm;
    const vm = { ...ftvm, metadata: { resourceVersion: '', uid: NO_UID, ...metadata } } as StoredFtvm;
    const side = { vmi: `${metadata.name}-trial`, role: 'primary', sinceEpoch: 0 } as const;
    try {
      await client.tryCreate(VMIS, buildVmi(vm, side), AbortSignal.timeout(TRIAL_MS_MAX));
      return [];
    } catch (error) {
      if (!isApiError(error)) throw error;
      if (isAboutVmi(error)) {
        const sentence = `the cluster refuses the VMI that a side would be: ${error.words ?? error.message}`;
        return [{ field: 'spec.template', sentence }];
      }
      onUnknown(error.message);
      return [];
    }
  };
