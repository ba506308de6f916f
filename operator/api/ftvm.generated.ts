// SPDX-License-Identifier: Apache-2.0
// Made from crds/faulttolerantvms.lockstep.dev.yaml by npm run generate; changed there, not here.
/**
 * What is wanted.
 */
export interface FaultTolerantVMSpec {
  /**
   * The VM, as in a KubeVirt VirtualMachine. It cannot be changed while the VM exists: a running machine would not change with it. Delete the resource and create it anew.
   */
  template: {
    /**
     * Labels and annotations for the VMIs and their pods.
     */
    metadata?: {
      /**
       * Labels.
       */
      labels?: {
        [k: string]: string;
      };
      /**
       * Annotations.
       */
      annotations?: {
        [k: string]: string;
      };
    };
    /**
     * A VirtualMachineInstanceSpec of kubevirt.io/v1. What cannot be protected is refused, in words that say what to change.
     */
    spec: {
      [k: string]: unknown;
    };
  };
  /**
   * When a side counts as dead.
   */
  failureDetection: {
    /**
     * Silence, in ms, after which the other side takes over. A node that is too busy to let a sidecar run for so long loses its part.
     */
    timeoutMs: number;
  };
  /**
   * How far the backup may be behind.
   */
  lag: {
    /**
     * Guest time, in ms, by which the backup may lag before the guest is slowed down.
     */
    boundMs: number;
  };
  /**
   * How the backup follows. Replay records and replays every input of one vCPU.
   */
  engine: 'Replay';
  /**
   * Reserved. VMs with disks are not accepted yet.
   */
  disks: {
    /**
     * Whether each side has its own image, or both share one.
     */
    mode: 'Replicated' | 'Shared';
  };
  /**
   * QEMU's name of the processor that the guest sees on every node; never host or max.
   */
  cpuModel: string;
  /**
   * Where it is decided who may run the VM. It cannot be changed while the VM exists.
   */
  store: {
    /**
     * Secret in the operator's namespace with host, port, username, password and optionally ca.crt of a Redis. Without it the store that came with the installation is used.
     */
    secretName?: string;
  };
  /**
   * The VM runs on without a backup: it does not outlive its node.
   */
  suspended: boolean;
  /**
   * Where the sides run.
   */
  placement: {
    /**
     * Labels that a node must have to hold either side.
     */
    nodeSelector?: {
      [k: string]: string;
    };
    /**
     * NetworkAttachmentDefinition (name, or namespace/name) of a network for what the two sides tell each other. It must reach all nodes and assign addresses (ipam). Without it that is the pod network. It cannot be changed while the VM exists.
     */
    loggingNetwork?: string;
  };
}

/**
 * What is so. Written by the operator only.
 */
export interface FaultTolerantVMStatus {
  /**
   * Generation that this is about.
   */
  observedGeneration?: number;
  /**
   * One word for all of it.
   */
  status?:
    'Protected' | 'Starting' | 'Need Secondary VM' | 'Disabled' | 'VM not Running' | 'Unknown' | 'Deleting';
  /**
   * Terms of ownership so far; 0 before the first.
   */
  epoch?: number;
  /**
   * The side that runs the VM.
   */
  primary?: {
    /**
     * Name of its VMI.
     */
    vmi: string;
    /**
     * Where it is.
     */
    node?: string;
  };
  /**
   * The side that follows it.
   */
  backup?: {
    /**
     * Name of its VMI.
     */
    vmi: string;
    /**
     * Where it is.
     */
    node?: string;
  };
  /**
   * How far the backup is behind: within the bound, beyond it, far beyond it.
   */
  lag?: 'green' | 'yellow' | 'red';
  /**
   * The last time that a backup went live.
   */
  lastFailover?: {
    /**
     * When.
     */
    time: string;
    /**
     * Why its primary was given up.
     */
    cause: string;
    /**
     * From the order to go live until the guest ran on, ms.
     */
    gapMs?: number;
  };
  /**
   * Each incarnation of the VM that is there or was decided. What the operator must know again after its own restart.
   */
  sides?: {
    /**
     * Name of its VMI.
     */
    vmi: string;
    /**
     * As what it was started.
     */
    role: 'primary' | 'backup';
    /**
     * Epoch after which a primary starts anew.
     */
    expectEpoch?: number;
    /**
     * VMI that a backup follows.
     */
    follows?: string;
    /**
     * Of its VMI, once it was seen.
     */
    uid?: string;
    /**
     * Where it is, once that was seen.
     */
    node?: string;
    /**
     * Of its engine, once that was told.
     */
    nonce?: string;
    /**
     * Epoch in which it was decided.
     */
    sinceEpoch: number;
    /**
     * It has ended; this was said of it.
     */
    ended?: {
      /**
       * A word.
       */
      reason: string;
      /**
       * A sentence.
       */
      message: string;
    };
  }[];
  /**
   * Attempts to start or to protect that failed one after the other.
   */
  retry?: {
    /**
     * How many.
     */
    failures: number;
    /**
     * When the last one failed.
     */
    since: string;
  };
  /**
   * The side that ended last.
   */
  lastEnd?: {
    /**
     * Name of its VMI.
     */
    vmi: string;
    /**
     * When that was seen.
     */
    time: string;
    /**
     * A word.
     */
    reason: string;
    /**
     * A sentence.
     */
    message: string;
  };
  /**
   * Ready, Protected, Reconciling and Stalled, as Kubernetes means conditions.
   */
  conditions?: {
    /**
     * Which.
     */
    type: string;
    /**
     * Whether it holds.
     */
    status: 'True' | 'False' | 'Unknown';
    /**
     * A word.
     */
    reason: string;
    /**
     * A sentence.
     */
    message: string;
    /**
     * When its status last changed.
     */
    lastTransitionTime: string;
    /**
     * Generation that it is about.
     */
    observedGeneration: number;
  }[];
}
