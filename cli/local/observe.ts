// SPDX-License-Identifier: Apache-2.0
// What is true of each host now, in one word each. Gathering (observeHost) is apart from judging (viewOf).
import { sidecarStatusSchema, type SidecarStatus } from '../../sidecar/observe/status-schema.js';
import { agentStatus, type AgentStatus } from './agent-api.js';
import type { HostLayout } from './layout.js';
import { runningFrom } from './processes.js';

/** Each host is in exactly one of these. */
export const HOST_KINDS = [
  'dead', // no agent: without power
  'deaf', // an agent that does not answer: frozen, or just starting
  'idle', // nothing runs on it
  'starting', // an incarnation is coming up
  'silent', // an incarnation whose sidecar does not answer
  'ended', // an incarnation that ended; its host has not been cleaned yet
  'alone', // a primary that runs the VM without protection
  'pairing', // a primary that is getting a backup
  'guarded', // a primary that is protected
  'deciding', // a side between two roles: founding, claiming, going live
  'backup', // a backup, at whatever stage
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

const PHASE_KINDS: Record<SidecarStatus['phase'], HostKind> = {
  founding: 'deciding',
  alone: 'alone',
  cloning: 'pairing',
  catchingUp: 'pairing',
  arming: 'pairing',
  protected: 'guarded',
  handingOver: 'deciding',
  claiming: 'deciding',
  joining: 'backup',
  loading: 'backup',
  following: 'backup',
  armed: 'backup',
  goingLive: 'deciding',
  ended: 'deciding',
};

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

/**
 * A protected primary whose backup has won the lease in the meantime: it lets nothing out any more, and is about to
 * find out. Not an owner.
 */
const isSuperseded = (view: HostView, views: readonly HostView[]): boolean =>
  view.kind === 'guarded' &&
  views.some(
    ({ kind, sidecar }) =>
      (kind === 'alone' || kind === 'pairing') && sidecar !== null && sidecar.nonce === view.sidecar?.peer,
  );

/** The hosts, each seen at its own moment, put into one picture. */
export const reconciled = (views: readonly HostView[]): HostView[] =>
  views.map((view) => (isSuperseded(view, views) ? { ...view, kind: 'deciding' } : view));

export const observePair = async (hosts: readonly HostLayout[], timeoutMs?: number): Promise<HostView[]> =>
  reconciled(await Promise.all(hosts.map((host) => observeHost(host, timeoutMs))));
