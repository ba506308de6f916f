// SPDX-License-Identifier: Apache-2.0
// A pair with stand-ins for sidecar and QEMU, but real namespaces, agents and controller. Needs root.
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { agentStart, agentStatus, agentStop, type AgentStatus } from './agent-api.js';
import { LocalError } from './errors.js';
import { readEvents } from './events.js';
import { cutPower } from './hosts.js';
import { hostOf, pairLayout, REPO, type HostLayout } from './layout.js';
import { pairClaim, withLock } from './lock.js';
import { existingNamespaces, inNetns, pidsIn } from './network.js';
import { observeHost } from './observe.js';
import { bringUp, DEFAULT_CHOICE, ensureController, isTestGuest, makeSettings, takeDown } from './pair.js';
import { identify, isAlive, readPidFile, runningFrom, type ProcessId } from './processes.js';
import { run } from './run.js';
import { loadDesired, saveDesired, saveSettings } from './settings.js';
import { sessionShare } from './share.js';
import { instructionsOf, requireStarted } from './started.js';
import { pairStatus } from './status.js';
import { startFirst } from './vm.js';
import { callUnix } from './unix-http.js';

const layout = pairLayout(`test${process.pid % 100000}`);
const settings = makeSettings(layout, {
  ...DEFAULT_CHOICE,
  sidecarMain: join(import.meta.dirname, 'test/standin-sidecar.js'),
  qemuBinary: join(REPO, 'cli/local/test/standin-qemu.sh'),
});
const a = hostOf(layout, 'a');
const b = hostOf(layout, 'b');
const quiet = () => undefined;

/** Looks until it is so; mocha's time-out is the bound. */
async function until(so: () => Promise<boolean>): Promise<void> {
  while (!(await so())) await sleep(20);
}

const untilKind = (host: HostLayout, kind: string): Promise<void> =>
  until(async () => (await observeHost(host)).kind === kind);

async function idOf(pid: number | null | undefined): Promise<ProcessId> {
  const id = await identify(pid ?? 0);
  if (id === undefined) throw new Error(`no process ${pid ?? 'null'}`);
  return id;
}

async function processesOf(status: AgentStatus): Promise<{ sidecar: ProcessId; qemu: ProcessId }> {
  return {
    sidecar: await idOf(status.incarnation?.sidecarPid),
    qemu: await idOf(status.incarnation?.qemuPid),
  };
}

async function failure(act: () => Promise<unknown>): Promise<LocalError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof LocalError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('a local pair', function () {
  this.timeout(30_000);

  beforeEach(() => bringUp({ layout, settings }, quiet));
  afterEach(() => takeDown(layout));

  it('leaves nothing behind', async () => {
    const { incarnation } = await startFirst(a);
    await writeFile(incarnation?.ringFile ?? '', 'ring');
    const agent = await readPidFile(a.agentPid);
    await takeDown(layout);
    expect(await existingNamespaces(layout)).to.deep.equal([]);
    expect((await readdir('/dev/shm')).filter((name) => name.includes(`-${layout.name}-`))).to.deep.equal([]);
    expect((await failure(() => agentStatus(a))).code).to.equal('NO_ANSWER');
    if (agent === undefined) throw new Error('the agent had no pid file');
    expect(await isAlive(agent)).to.equal(false);
    const gone = await access(layout.dir).then(
      () => false,
      () => true,
    );
    expect(gone).to.equal(true);
  });

  async function keeper(): Promise<ProcessId> {
    const id = await runningFrom(layout.controllerPid);
    if (id === undefined) throw new Error('the controller does not run');
    return id;
  }

  /** The controller itself, below its keeper. */
  async function worker(): Promise<ProcessId | undefined> {
    const { pid } = await keeper();
    const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
    return child === '' ? undefined : identify(Number(child));
  }

  /** As after a crash of the controller and of its keeper at once. */
  async function killController(): Promise<void> {
    const id = await keeper();
    process.kill(-id.pid, 'SIGKILL');
    await until(async () => !(await isAlive(id)));
  }

  it('has its controller started again when that has crashed', async () => {
    const first = await keeper();
    await until(async () => (await worker()) !== undefined);
    const crashed = await worker();
    if (crashed === undefined) throw new Error('no controller');
    process.kill(crashed.pid, 'SIGKILL');
    await until(async () => {
      const now = await worker();
      return now !== undefined && now.pid !== crashed.pid;
    });
    expect(await keeper()).to.deep.equal(first);
    const again = (await readEvents(layout.events)).filter(({ what }) => what === 'ControllerStarted');
    expect(again.map(({ text }) => text)).to.deep.equal([
      'it was killed by SIGKILL; it is started again after 500 ms',
    ]);
  });

  it('has its controller started again when whoever does that has crashed', async () => {
    const first = await keeper();
    await until(async () => (await worker()) !== undefined);
    const orphan = await worker();
    process.kill(first.pid, 'SIGKILL');
    await until(
      async () => !(await isAlive(first)) && (await runningFrom(layout.controllerPid)) !== undefined,
    );
    expect((await keeper()).pid).not.to.equal(first.pid);
    await until(async () => orphan !== undefined && !(await isAlive(orphan)));
    await until(async () => (await worker()) !== undefined);
    await cutPower(layout, b);
    await untilKind(b, 'idle');
  });

  it('is refused a second time', async () => {
    expect((await failure(() => bringUp({ layout, settings }, quiet))).code).to.equal('PAIR_EXISTS');
  });

  it('is left alone as long as anything of it lives, and its controller is started again', async () => {
    const { sidecar, qemu } = await processesOf(await startFirst(a));
    await killController();
    for (const lost of [undefined, layout.settings]) {
      if (lost !== undefined) await rm(lost);
      const refusal = await failure(() => bringUp({ layout, settings }, quiet));
      expect(refusal.code).to.equal('PAIR_EXISTS');
      expect(refusal.message).to.match(/controller .* is gone, but \d+ of its processes run/);
      expect(await isAlive(sidecar)).to.equal(true);
      expect(await isAlive(qemu)).to.equal(true);
    }
    await saveSettings(layout, settings);
    expect(await ensureController(layout)).to.equal(true);
    expect(await ensureController(layout)).to.equal(false);
    expect((await failure(() => bringUp({ layout, settings }, quiet))).message).to.include('is up already');
  });

  const CHANGES = ['protect', 'down --yes', 'kill-host a --yes', 'start-host a', 'cold-start a --yes'];
  for (const verb of CHANGES) {
    it(`is changed by one verb at a time: '${verb}' says who is at it, and changes nothing`, async () => {
      const main = join(REPO, 'build/cli/main.js');
      await withLock(pairClaim(layout, "'lockstep up'"), async () => {
        const { message } = await failure(() =>
          run(process.execPath, [main, ...verb.split(' '), '--pair', layout.name]),
        );
        expect(message).to.include(
          `lockstep: pair '${layout.name}' is in the hands of 'lockstep up', process ${process.pid}`,
        );
      });
      expect(await loadDesired(layout)).to.include({ protected: false });
      expect((await observeHost(a)).kind).to.equal('idle');
    });
  }

  for (const verb of ['down', 'kill-host a', 'cold-start a', 'test-failover']) {
    it(`is not ended by a verb that could not ask: '${verb}'`, async () => {
      const main = join(REPO, 'build/cli/main.js');
      const { message } = await failure(() =>
        run(process.execPath, [main, ...verb.split(' '), '--pair', layout.name]),
      );
      expect(message).to.include(" There is no terminal to ask that on.\nSay that it is meant: '--yes'.");
      expect((await observeHost(a)).kind).to.equal('idle');
    });
  }

  it('is made anew over ruins without life', async () => {
    await killController();
    for (const netns of await existingNamespaces(layout)) {
      for (const pid of await pidsIn(netns)) process.kill(pid, 'SIGKILL');
      await until(async () => (await pidsIn(netns)).length === 0);
    }
    await bringUp({ layout, settings }, quiet);
    expect((await observeHost(a)).kind).to.equal('idle');
  });

  it('waits for the word of the test guest only', () => {
    expect(isTestGuest(settings.machine)).to.equal(true);
    expect(isTestGuest({ ...settings.machine, initrd: '/boot/initrd' })).to.equal(false);
    expect(isTestGuest({ ...settings.machine, kernel: '/boot/vmlinuz' })).to.equal(false);
  });

  it('has no way out of its network', async () => {
    const routes = await inNetns(a.netns, 'ip', ['route']);
    expect(routes.trim().split('\n')).to.have.length(1);
    expect(routes).to.include('10.77.0.0/24');
    const links = await inNetns(layout.bridgeNetns, 'ip', ['-o', 'link']);
    expect(links.match(/to-\w+/g)).to.have.length.at.least(4);
    expect(links).not.to.match(/link-netnsid -1/);
  });

  it('runs an incarnation whose processes the machine can name', async () => {
    const status = await startFirst(a);
    expect(status.incarnation).to.include({ role: 'primary', phase: 'running' });
    const { sidecar, qemu } = await processesOf(status);
    expect(await isAlive(sidecar)).to.equal(true);
    expect(await isAlive(qemu)).to.equal(true);
    expect((await failure(() => startFirst(a))).message).to.include('runs an incarnation already');
  });

  it("says in QEMU's words why an incarnation did not start, and keeps none of it", async () => {
    await takeDown(layout);
    const machine = { ...settings.machine, cpu: 'nosuchcpu' };
    await bringUp({ layout, settings: { ...settings, machine } }, quiet);
    expect((await failure(() => startFirst(a))).message).to.equal(
      "qemu exited with 1: standin: unable to find CPU model 'nosuchcpu'",
    );
    await untilKind(a, 'idle');
  });

  it('knows of an incarnation whether it executes instructions, and what ended it', async () => {
    const { incarnation } = await startFirst(a);
    if (incarnation === null) throw new Error('nothing was started');
    const started = { layout, host: a, incarnation };
    expect(await instructionsOf(started)).to.equal(null);
    const told = join(incarnation.dir, 'status.json');
    await writeFile(told, JSON.stringify({ engine: { icount: '18446744073709551615' } }));
    expect(await instructionsOf(started)).to.equal(2n ** 64n - 1n);
    await writeFile(join(incarnation.dir, 'qemu.log'), 'Aborted\n');
    process.kill(incarnation.qemuPid ?? 0, 'SIGKILL');
    await untilKind(a, 'idle'); // the agent has forgotten it
    expect(await failure(() => requireStarted(started))).to.include({
      code: 'START_FAILED',
      message: 'the VM does not run: qemu was killed by SIGKILL: Aborted',
    });
  });

  it('has a backup come first only when it has loaded', async () => {
    const known = existsSync('/proc/self/autogroup'); // else there is nothing to share
    const share = async () => sessionShare((await agentStatus(b)).pid);
    const tell = (phase: string) => writeFile(join(b.dir, 'status.json'), JSON.stringify({ phase }));
    expect(await share()).to.equal(known ? 'first' : null);
    await tell('loading');
    await agentStart(b, { role: 'backup', peer: { host: a.ip, port: 1 } });
    expect(await share()).to.equal(known ? 'ordinary' : null);
    await tell('following');
    await until(async () => (await share()) === (known ? 'first' : null));
  });

  it('ends QEMU when the sidecar is gone, and does not start it again', async () => {
    const { sidecar, qemu } = await processesOf(await startFirst(a));
    process.kill(sidecar.pid, 'SIGKILL');
    await until(async () => !(await isAlive(qemu)));
    await untilKind(a, 'idle');
    const events = await readEvents(layout.events);
    const ended = events.find((event) => event.what === 'IncarnationEnded');
    expect(ended?.text).to.equal('sidecar was killed by SIGKILL');
    expect(events.filter((event) => event.what === 'IncarnationStarted')).to.have.length(1);
  });

  it('ends the sidecar when QEMU is gone', async () => {
    const { sidecar, qemu } = await processesOf(await startFirst(a));
    process.kill(qemu.pid, 'SIGKILL');
    await until(async () => !(await isAlive(sidecar)));
    await untilKind(a, 'idle');
  });

  it('stops an incarnation when told to', async () => {
    const { sidecar, qemu } = await processesOf(await startFirst(a));
    await agentStop(a);
    expect(await isAlive(sidecar)).to.equal(false);
    expect(await isAlive(qemu)).to.equal(false);
  });

  it('loses all of a host at once by one SIGKILL, and reboots it', async () => {
    const { sidecar, qemu } = await processesOf(await startFirst(a));
    const agent = await idOf((await agentStatus(a)).pid);
    await cutPower(layout, a);
    for (const id of [agent, sidecar, qemu]) await until(async () => !(await isAlive(id)));
    await untilKind(a, 'idle');
    expect((await agentStatus(a)).pid).not.to.equal(agent.pid);
  });

  it('leaves a host off that shall stay off', async () => {
    await saveDesired(layout, { ...(await loadDesired(layout)), poweredOff: ['b'] });
    await cutPower(layout, b);
    expect((await failure(() => cutPower(layout, b))).code).to.equal('HOST_DOWN');
    await until(async () => (await readEvents(layout.events)).some((event) => event.what === 'Host:dead'));
    expect((await readEvents(layout.events)).some((event) => event.what === 'Boot')).to.equal(false);
  });

  it('makes a backup when protection is wanted, and another when that one is lost', async () => {
    await startFirst(a);
    await saveDesired(layout, { ...(await loadDesired(layout)), protected: true });
    await untilKind(b, 'backup');
    const first = (await agentStatus(b)).incarnation?.nonce;
    await cutPower(layout, b);
    await until(async () => {
      const view = await observeHost(b);
      return view.kind === 'backup' && view.agent?.incarnation?.nonce !== first;
    });
  });

  it('says in its status why no backup comes', async () => {
    await startFirst(a);
    const why = async () => (await pairStatus({ layout, settings })).whyNoBackup;
    expect(await why()).to.equal(null);
    await saveDesired(layout, { protected: true, poweredOff: ['b'] });
    await cutPower(layout, b);
    await until(async () => (await why())?.includes('no other host is free') === true);
    await saveDesired(layout, { protected: true, poweredOff: [] });
    await untilKind(b, 'backup');
    const { incarnation } = await agentStatus(b);
    await writeFile(join(incarnation?.dir ?? '', 'sidecar.log'), 'the clone was given up\n');
    process.kill(incarnation?.sidecarPid ?? 0, 'SIGKILL');
    await until(async () =>
      /on host b at .*, failed: sidecar was killed by SIGKILL: the clone was given up$/.test(
        (await why()) ?? '',
      ),
    );
  });

  it('does not make a backup while the VM is protected', async () => {
    const { incarnation } = await startFirst(a);
    const told = { phase: 'protected', protection: { word: 'Protected' } };
    await writeFile(join(incarnation?.dir ?? '', 'status.json'), JSON.stringify(told));
    await saveDesired(layout, { ...(await loadDesired(layout)), protected: true });
    await until(async () => (await readEvents(layout.events)).some((event) => event.what === 'Protected'));
    expect((await observeHost(b)).kind).to.equal('idle');
  });

  it('refuses what it does not understand, in words', async () => {
    const call = (path: string, body: unknown) =>
      callUnix({ socket: a.agentSocket, method: 'POST', path, body, timeoutMs: 1000, answer: z.unknown() });
    expect((await failure(() => call('/start', { role: 'king' }))).code).to.equal('REFUSED');
    expect((await failure(() => call('/nothing', {}))).message).to.include('no such call');
    expect(
      (await failure(() => agentStart(b, { role: 'backup', peer: { host: 'x', port: 1 } }))).code,
    ).to.equal('REFUSED');
  });
});
