// SPDX-License-Identifier: Apache-2.0
import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { CHART, at, parse, template, valuesOf, type Helm, type Variant } from './test/render.js';
import { chartTools } from './test/tools.js';

const TOOLS_MS_MAX = 10 * 60_000;
/** `helm template` leaves the notes out, and `helm install` wants a cluster. */
const NOTES_AS_OBJECT = `
apiVersion: v1
kind: ConfigMap
metadata: { name: notes }
data:
  notes: |
    {{- tpl (.Files.Get "NOTES.txt") . | nindent 4 }}
`;

describe('chart: notes', function () {
  this.timeout(60_000);
  let helm: Helm;
  let dir: string;

  before(async function () {
    this.timeout(TOOLS_MS_MAX);
    helm = { program: (await chartTools()).helm };
    dir = await mkdtemp(join(tmpdir(), 'lockstep-chart-notes-'));
    await cp(CHART, dir, { recursive: true });
    await rename(join(dir, 'templates/NOTES.txt'), join(dir, 'NOTES.txt'));
    await writeFile(join(dir, 'templates/notes.yaml'), NOTES_AS_OBJECT);
  });

  after(() => rm(dir, { recursive: true }));

  const notes = async (variant: Variant): Promise<string> => {
    const text = await template(helm, [...valuesOf(variant), '--show-only', 'templates/notes.yaml'], dir);
    return String(at(parse(text)[0], 'data', 'notes'));
  };

  it('say what to type next', async () => {
    const words = await notes('default');
    expect(words).to.match(/^Lockstep \S+ is there, and answers/);
    expect(words).to.include('kubectl apply -f vm.yaml').and.include('kubectl get ftvm');
    expect(words).to.include('sysctl -w vm.unprivileged_userfaultfd=1');
    expect(words).to.include('data-lockstep-redis-0').and.include('lockstep-system, TCP 6379');
    expect(words).to.include('helm test lockstep --namespace lockstep-system');
  });

  it('tell of the preparation of nodes instead of asking for it', async () => {
    const words = await notes('everything');
    expect(words).to.include('rollout status daemonset/lockstep-node-preparation');
    expect(words).to.not.include('sysctl');
  });

  it('name the store that is used, and claim nothing that was not tried', async () => {
    const words = await notes('external-store');
    expect(words).to.include('the Secret our-redis names').and.not.include('data-lockstep-redis-0');
    expect(words).to.not.include('answers');
  });
});
