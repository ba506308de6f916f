// SPDX-License-Identifier: Apache-2.0
/** As much of other people's objects as the operator looks at. Their whole types are in the libraries of their makers. */
import type { KubeObject } from '../kit/object.js';

export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly exitCode: number; readonly message?: string; readonly reason?: string };
  };
}

export interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly PodCondition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface Vmi extends KubeObject {
  readonly spec?: object;
  readonly status?: {
    /** '', Pending, Scheduling, Scheduled, Running, Succeeded, Failed, Unknown. */
    readonly phase?: string;
    readonly nodeName?: string;
    /** Set by an eviction: the node that wants to get rid of it. */
    readonly evacuationNodeName?: string;
    readonly conditions?: readonly PodCondition[];
  };
}

export interface Node extends KubeObject {
  readonly status?: { readonly conditions?: readonly PodCondition[] };
}

/** Values are in base64. */
export interface Secret extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

export interface Service extends KubeObject {
  readonly spec?: {
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly ServicePort[];
  };
}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: string;
}
