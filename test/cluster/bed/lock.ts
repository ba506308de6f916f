// SPDX-License-Identifier: Apache-2.0
// One start or end of the cluster at a time, on the whole machine.
import { withLock, type Claim } from '../../../cli/local/lock.js';

const claim = (who: string): Claim => ({ name: 'lockstep-cluster-bed', what: 'the test cluster', who });

/** @throws LocalError STATE when another process starts the cluster or takes it down. */
export const withBed = <T>(who: string, work: () => Promise<T>): Promise<T> => withLock(claim(who), work);
