// SPDX-License-Identifier: Apache-2.0
// What the bed reads from programs, and what it tells them.
import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blockRules, hostEnd, readProcesses } from './faults.js';
import { buildArguments, componentNames, sourceLines } from './images.js';
import { readContainers, revival } from './kind.js';
import { filledIn } from './kubevirt.js';
import { indexOf, listedDigest, travelling } from './load.js';
import { onlyMissesCrictl, readPodContainers } from './logs.js';
import { missingOf } from './machine.js';
import { clientNames, hasLink, networksOf } from './network.js';
import { BUILDS, goIsNewEnough, importsOf, linkerFlags } from './programs.js';
import { GO_MODULES, NODE_NAMES } from './settings.js';
import { nodesInWords } from './status.js';

describe("the test cluster's programs", () => {
  it('are those that tools.go imports', async () => {
    const source = await readFile(join(GO_MODULES, 'kubernetes/tools.go'), 'utf8');
    expect(importsOf(source)).to.include('k8s.io/kubernetes/cmd/kubelet').and.have.length(7);
    expect(importsOf('import _ "example.org/one/cmd/one"\n')).to.deep.equal(['example.org/one/cmd/one']);
  });

  it('each have a module with pinned checksums', async () => {
    for (const { name } of Object.values(BUILDS)) {
      const sums = await readFile(join(GO_MODULES, name, 'go.sum'), 'utf8');
      expect(sums, name).to.match(/^\S+ v\S+ h1:/m);
    }
  });

  it('tell their version', () => {
    expect(linkerFlags(BUILDS.kubernetes.set))
      .to.include('version.gitVersion=v1.34.4')
      .and.include('gitMinor=34');
  });

  it('are built by a Go that is new enough', () => {
    expect(goIsNewEnough('go version go1.24.0 linux/amd64')).to.equal(true);
    expect(goIsNewEnough('go version go1.26.8 linux/amd64')).to.equal(true);
    expect(goIsNewEnough('go version go1.19.8 linux/amd64')).to.equal(false);
    expect(goIsNewEnough('no such thing')).to.equal(false);
  });
});

describe("the test cluster's images", () => {
  it('are called as kubeadm calls them', () => {
    const list = 'registry.k8s.io/kube-proxy:v1.34.4\nregistry.k8s.io/coredns/coredns:v1.12.1\n';
    expect([...componentNames(list)]).to.deep.equal([
      ['registry.k8s.io/kube-proxy:v1.34.4', 'kube-proxy'],
      ['registry.k8s.io/coredns/coredns:v1.12.1', 'coredns'],
    ]);
  });

  it('are based on the mirror that this machine uses', () => {
    const targets =
      'bookworm|contrib|http://m/debian/\nbookworm|main|http://m/debian/\nbookworm-security|main|http://s/\n';
    expect(sourceLines(targets, ['bookworm', 'bookworm-updates', 'bookworm-security'])).to.deep.equal([
      'deb http://m/debian/ bookworm main',
      'deb http://s/ bookworm-security main',
    ]);
  });

  it('are built without asking a registry', () => {
    const build = { log: 'x', dockerfile: '/x/Dockerfile', context: '/x', tag: 'localhost/x:1' };
    expect(buildArguments({ ...build, target: 'one', args: { A: '1' }, folders: { b: '/b' } })).to.deep.equal(
      [
        'bud',
        '--isolation=chroot',
        '--layers=false',
        '--pull-never',
        '--file=/x/Dockerfile',
        '--target=one',
        '--build-arg=A=1',
        '--build-context=b=/b',
        '--tag=localhost/x:1',
        '/x',
      ],
    );
  });

  const blob = (digest: string) => ({ mediaType: 'x', digest, size: 1 });
  const manifest = {
    config: blob('sha256:c'),
    layers: [blob('sha256:1'), blob('sha256:2'), blob('sha256:2')],
  };

  it('travel without the layers that a node has', () => {
    expect(travelling(manifest, new Set(['sha256:1', 'sha256:c']))).to.deep.equal(['sha256:c', 'sha256:2']);
  });

  it('are told apart from others on a node', () => {
    const listed = [
      'REF TYPE DIGEST SIZE PLATFORMS LABELS',
      'localhost/x:1 application/vnd.oci.image.manifest.v1+json sha256:aa 1.0 MiB linux/amd64 -',
      'localhost/x:12 application/vnd.oci.image.manifest.v1+json sha256:bb 1.0 MiB linux/amd64 -',
    ].join('\n');
    expect(listedDigest(listed, 'localhost/x:12')).to.equal('sha256:bb');
    expect(listedDigest(listed, 'localhost/x:1')).to.equal('sha256:aa');
    expect(listedDigest(listed, 'localhost/x')).to.equal(undefined);
  });

  it('arrive under their full name', () => {
    expect(JSON.parse(indexOf('localhost/x:1', blob('sha256:m')))).to.deep.equal({
      schemaVersion: 2,
      manifests: [{ ...blob('sha256:m'), annotations: { 'io.containerd.image.name': 'localhost/x:1' } }],
    });
  });
});

describe("the test cluster's nodes", () => {
  const running = NODE_NAMES.map((name) => ({ name, state: 'running', image: 'x' }));

  it('are read from podman and told in words', () => {
    const listed = [
      { Names: ['lockstep-worker'], State: 'running', Status: 'Up 5 minutes ago', Image: 'localhost/x:1' },
    ];
    expect(readContainers(JSON.stringify(listed))).to.deep.equal([
      { name: 'lockstep-worker', state: 'running', image: 'localhost/x:1' },
    ]);
    expect(nodesInWords([])).to.equal('no cluster is up');
    expect(nodesInWords(running)).to.equal('4 of 4 nodes run');
    const [, killed, ...others] = running;
    expect(nodesInWords([{ name: killed?.name ?? '', state: 'exited', image: 'x' }, ...others])).to.equal(
      '2 of 4 nodes run; lockstep-worker is exited, lockstep-control-plane is missing',
    );
  });

  it('are brought back after a test, unless only new ones will do', () => {
    const withState = (index: number, state: string) =>
      running.map((node, place) => (place === index ? { ...node, state } : node));
    expect(revival(running, 'x')).to.deep.equal([]);
    expect(revival(withState(2, 'exited'), 'x')).to.deep.equal([['start', NODE_NAMES[2]]]);
    expect(revival(withState(0, 'paused'), 'x')).to.deep.equal([['unpause', NODE_NAMES[0]]]);
    expect(
      revival(withState(0, 'exited'), 'x'),
      'a control plane has its address in its certificates',
    ).to.equal(null);
    expect(revival(withState(1, 'created'), 'x')).to.equal(null);
    expect(revival(running, 'y'), 'another image').to.equal(null);
    expect(revival(running.slice(1), 'x'), 'a node is missing').to.equal(null);
    expect(revival([], 'x')).to.equal(null);
  });

  it("are cut at the cable's other end", () => {
    const links = [
      '1: lo: <LOOPBACK,UP> mtu 65536',
      '66: veth0@if2: <BROADCAST> mtu 1500 master podman1',
      '6: podman1: <BROADCAST> mtu 1500',
    ].join('\n');
    expect(hostEnd(links, '66')).to.equal('veth0');
    expect(hostEnd(links, '6')).to.equal('podman1');
    expect(hostEnd(links, '7')).to.equal(undefined);
  });

  it('are kept apart in both directions', () => {
    const rules = blockRules(['10.89.0.6', '10.244.1.0/24']);
    expect(rules).to.include('ip saddr { 10.89.0.6, 10.244.1.0/24 } drop');
    expect(rules).to.include('ip daddr { 10.89.0.6, 10.244.1.0/24 } drop');
  });

  it('tell which process is of which pod', () => {
    const uid = '0a1b2c3d-1111-2222-3333-444455556666';
    const group = `/kubelet/kubepods/burstable/pod${uid}/abc`;
    const slice = `/kubelet.slice/kubelet-kubepods-pod${uid.replaceAll('-', '_')}.slice/cri-x.scope`;
    const listed = [
      `12\t${group}\t/usr/bin/qemu-system-x86_64\u001f-name\u001fguest=default_a,debug-threads=on\u001f`,
      `13\t${slice}\tnode\u001fmain.js\u001f`,
      '1\t/\t/lib/systemd/systemd\u001f',
      'half a line',
    ].join('\n');
    expect(readProcesses(listed)).to.deep.equal([
      {
        pid: 12,
        podUid: uid,
        argv: ['/usr/bin/qemu-system-x86_64', '-name', 'guest=default_a,debug-threads=on'],
      },
      { pid: 13, podUid: uid, argv: ['node', 'main.js'] },
      { pid: 1, podUid: null, argv: ['/lib/systemd/systemd'] },
    ]);
  });
});

describe("the test cluster's surroundings", () => {
  it('a link is found by its whole name', () => {
    const listed = '12: l2-client@if3: <BROADCAST> mtu 1500\n13: eth0: <UP> mtu 1500\n';
    expect([hasLink(listed, 'l2-client'), hasLink(listed, 'eth0'), hasLink(listed, 'l2')]).to.deep.equal([
      true,
      true,
      false,
    ]);
  });

  it('names the packages that are missing', () => {
    const listed = 'installed podman\nconfig-files buildah\ninstalled runc\n';
    expect(missingOf(['podman', 'buildah', 'runc', 'conmon'], listed)).to.deep.equal(['buildah', 'conmon']);
  });

  it('knows its own namespaces and networks', () => {
    expect(clientNames('lockstep-l2-client (id: 3)\nother\nlockstep-l2-wire\n')).to.deep.equal([
      'client',
      'wire',
    ]);
    expect(networksOf('{"kind":{},"lockstep-l2":{}}')).to.deep.equal(['kind', 'lockstep-l2']);
  });

  it("fills in what KubeVirt's manifests leave open", () => {
    expect(filledIn('namespace: {{.Namespace}}\n')).to.equal('namespace: kubevirt\n');
  });

  it("does not take kind's wish for crictl for a failure", () => {
    const crictl = 'command "podman exec --privileged a crictl images" failed with error: exit status 127';
    const other = 'command "podman exec --privileged a journalctl" failed with error: exit status 1';
    expect(onlyMissesCrictl(`ERROR: [${crictl}, ${crictl}]`)).to.equal(true);
    expect(onlyMissesCrictl(`ERROR: [${crictl}, ${other}]`)).to.equal(false);
    expect(onlyMissesCrictl('no nodes found for cluster')).to.equal(false);
  });

  it('finds the containers whose logs are kept', () => {
    expect(
      readPodContainers('default virt-launcher-a init compute lockstep\nkube-system etcd  etcd\n'),
    ).to.deep.equal([
      { namespace: 'default', pod: 'virt-launcher-a', containers: ['init', 'compute', 'lockstep'] },
      { namespace: 'kube-system', pod: 'etcd', containers: ['etcd'] },
    ]);
    expect(readPodContainers('')).to.deep.equal([]);
  });
});
