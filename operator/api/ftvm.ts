// SPDX-License-Identifier: Apache-2.0
/** FaultTolerantVM as the operator works with it: made from its schema, whose defaults are there. */
import type {
  V1Interface,
  V1Network,
  V1VirtualMachineInstanceSpec,
} from '@kubevirt-ui-ext/kubevirt-api/kubevirt';
import type { KubeObject, Stored } from '../kit/object.js';
import type { FaultTolerantVMSpec, FaultTolerantVMStatus } from './ftvm.generated.js';

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

export type VmiSpec = V1VirtualMachineInstanceSpec;
export type VmiInterface = V1Interface;
export type VmiNetwork = V1Network;

type Generated = DeepReadonly<FaultTolerantVMSpec>;
export type FtvmSpec = Omit<Generated, 'template'> & {
  readonly template: Omit<Generated['template'], 'spec'> & { readonly spec: VmiSpec };
};
export type FtvmStatus = DeepReadonly<FaultTolerantVMStatus>;

/** The STATUS column, in vSphere FT's words. */
export type StatusWord = NonNullable<FtvmStatus['status']>;
export type LagLevel = NonNullable<FtvmStatus['lag']>;
/** One incarnation: what was decided before anything of it was made, and what must be known again after a restart. */
export type Side = NonNullable<FtvmStatus['sides']>[number];
/** Why a side ended: a word for programs, a sentence for people. */
export type End = NonNullable<Side['ended']>;
export type Place = NonNullable<FtvmStatus['primary']>;

export interface Ftvm extends KubeObject {
  readonly spec: FtvmSpec;
  readonly status?: FtvmStatus;
}
export type StoredFtvm = Stored<Ftvm>;
