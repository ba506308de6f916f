// SPDX-License-Identifier: Apache-2.0
// What is true of each host now, in one word each. Gathering (observeHost) is apart from judging (viewOf).
import { isSuperseded, PHASE_KINDS, SIDE_KINDS, type Claimant } from '../../operator/mind/sides.js';
import { sidecarStatusSchema, type SidecarStatus } from '../../sidecar/observe/status-schema.js';
import { agentStatus, type AgentStatus } from './agent-api.js';
import type { HostLayout } from './layout.js';
import { runningFrom } from './processes.js';

/** Each host is in exactly one of these. */
export const HOST_KINDS = [
  'dead', // no agent: without power
  'deaf', // an agent that does not answer: frozen, or just starting
  'idle', // nothing runs on it
  ...SIDE_KINDS,
] as const;
export type HostKind = (typeof HOST_KINDS)[number];

export interface RawHost {
  readonly agentAlive: boolean;
  readonly agent: AgentStatus | null;
}

export interface HostView {
  readonly name: string;
  readonly kind: HostKind;
  readonly agent: AgentStatus | null;
  readonly sidecar: SidecarStatus | null;
}

export function viewOf(name: string, raw: RawHost): HostView {
  const parsed = sidecarStatusSchema.safeParse(raw.agent?.sidecar);
  const sidecar = parsed.success ? parsed.data : null;
  return { name, agent: raw.agent, sidecar, kind: kindOf(raw, sidecar) };
}

function kindOf({ agentAlive, agent }: RawHost, sidecar: SidecarStatus | null): HostKind {
  if (!agentAlive) return 'dead';
  if (agent === null) return 'deaf';
  if (agent.incarnation === null) return 'idle';
  if (agent.incarnation.phase !== 'running') return agent.incarnation.phase;
  return sidecar === null ? 'silent' : PHASE_KINDS[sidecar.phase];
}

export async function observeHost(host: HostLayout, timeoutMs?: number): Promise<HostView> {
  const agentAlive = (await runningFrom(host.agentPid)) !== undefined;
  if (!agentAlive) return viewOf(host.name, { agentAlive, agent: null });
  const agent = await agentStatus(host, timeoutMs).catch(() => null); // no answer: that is what 'deaf' says
  return viewOf(host.name, { agentAlive: true, agent });
}

const claimantOf = ({ kind, sidecar }: HostView): Claimant => ({
  kind,
  nonce: sidecar?.nonce ?? null,
  peer: sidecar?.peer ?? null,
});

/** The hosts, each seen at its own moment, put into one picture. */
export function reconciled(views: readonly HostView[]): HostView[] {
  const claimants = views.map(claimantOf);
  return views.map((view) =>
    isSuperseded(claimantOf(view), claimants) ? { ...view, kind: 'deciding' } : view,
  );
}

export const observePair = async (hosts: readonly HostLayout[], timeoutMs?: number): Promise<HostView[]> =>
  reconciled(await Promise.all(hosts.map((host) => observeHost(host, timeoutMs))));
