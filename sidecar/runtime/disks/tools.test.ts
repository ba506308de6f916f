// SPDX-License-Identifier: Apache-2.0
// The server of a disk against programs that others have written for the protocol: QEMU's own tools, and libnbd's.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Image } from '../../io/disk/image.js';
import { Disk } from './disk.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const BYTES = 8 * MIB;
const CLIENTS = 100;

interface Failed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe("a disk's server and others' clients", function () {
  this.timeout(120_000);
  let folder = '';
  let image: Image;
  let disk: Disk;
  let strangers: number[];
  let mayCome: boolean;
  const at = (name: string): string => join(folder, name);
  const uri = (name = 'disk0'): string => `nbd+unix:///${name}?socket=${at('sock')}`;
  const tool = async (name: string, ...args: string[]): Promise<string> => (await run(name, args)).stdout;
  const qemuIo = (...commands: string[]): Promise<string> =>
    tool('qemu-io', '-f', 'raw', uri(), ...commands.flatMap((command) => ['-c', command]));

  function serve(): void {
    disk = new Disk({ id: 'disk0', socket: at('sock') }, image, {
      onRequest: () => undefined,
      onDone: (id) => {
        disk.answer(id);
      },
      onDiffers: () => undefined,
      onGone: () => undefined,
      isOurs: (pid) => {
        if (!mayCome) strangers.push(pid);
        return mayCome;
      },
    });
    disk.listen();
    disk.own(true);
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-nbd-'));
    writeFileSync(at('image'), Buffer.alloc(BYTES));
    image = Image.open({ path: at('image'), bytes: BYTES, isFilled: false });
    strangers = [];
    mayCome = true;
    serve();
  });
  afterEach(() => {
    disk.close();
    rmSync(folder, { recursive: true });
  });

  it('qemu-io: writes, zeroes, discards, FUA and flush are read back', async () => {
    await qemuIo(
      'write -P 0xa5 1000 100000',
      'write -f -P 0x11 4M 1M',
      'write -z 4M 64k',
      'discard 4608k 64k',
      'aio_flush',
      'flush',
    );
    await qemuIo(
      'read -P 0 0 1000',
      'read -P 0xa5 1000 100000',
      'read -P 0 4M 64k',
      'read -P 0x11 4160k 448k',
      'read -P 0 4608k 64k',
      'read -P 0x11 4672k 448k',
    );
    const bytes = readFileSync(at('image'));
    expect(bytes.subarray(1000, 101_000).every((byte) => byte === 0xa5)).to.equal(true);
  });

  it('qemu-img: what is converted into it compares equal, and info tells its size', async () => {
    writeFileSync(at('source'), Buffer.concat([randomBytes(3 * MIB), Buffer.alloc(BYTES - 3 * MIB)]));
    await tool('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', at('source'), uri());
    await tool('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', at('source'), uri());
    expect(JSON.parse(await tool('qemu-img', 'info', '-f', 'raw', '--output=json', uri()))).to.include({
      'virtual-size': BYTES,
    });
    expect(readFileSync(at('image')).equals(readFileSync(at('source')))).to.equal(true);
  });

  it('nbdinfo and nbdcopy: the export says what it can, and is copied both ways', async () => {
    const { exports } = JSON.parse(await tool('nbdinfo', '--json', uri())) as { exports: object[] };
    expect(exports[0]).to.include({
      'export-size': BYTES,
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_multi_conn: false,
    });
    expect(await tool('nbdinfo', '--list', uri(''))).to.include('export="disk0"');
    writeFileSync(at('source'), randomBytes(BYTES));
    await tool('nbdcopy', '--flush', at('source'), uri());
    await tool('nbdcopy', uri(), at('back'));
    expect(readFileSync(at('back')).equals(readFileSync(at('source')))).to.equal(true);
  });

  it(`${String(CLIENTS)} clients one after the other, and as many at once, are each served`, async () => {
    const ask = (): Promise<string> => tool('nbdinfo', '--size', uri());
    const wanted = `${String(BYTES)}\n`;
    for (let i = 0; i < CLIENTS; i++) expect(await ask()).to.equal(wanted);
    const all = await Promise.all(Array.from({ length: CLIENTS }, ask));
    expect(all.every((size) => size === wanted)).to.equal(true);
    await qemuIo('write -P 1 0 64k', 'read -P 1 0 64k');
  });

  it('a server that ends in the middle of connects leaves nobody waiting, and the next one is as good', async () => {
    const asked = Array.from({ length: 20 }, () =>
      tool('nbdinfo', '--size', uri()).then(
        () => 'served',
        () => 'refused',
      ),
    );
    await Promise.race(asked);
    disk.close();
    const ends = await Promise.all(asked);
    expect(ends).to.include('served');
    image = Image.open({ path: at('image'), bytes: BYTES, isFilled: false });
    serve();
    expect(await tool('nbdinfo', '--size', uri())).to.equal(`${String(BYTES)}\n`);
  });

  it("another process than the VM's is shown out, and has changed nothing", async () => {
    mayCome = false;
    const writing = qemuIo('write -P 1 0 64k');
    const { stderr } = await writing.then(
      () => expect.fail('it was let in'),
      (error: unknown) => error as Failed,
    );
    expect(stderr).to.match(/Failed to connect|server|read/i);
    expect(strangers).to.have.length(1);
    expect(strangers[0]).not.to.equal(process.pid);
    mayCome = true;
    await qemuIo('read -P 0 0 64k');
  });

  it('errors of the image are those of the disk: an image that has shrunk, and the disk goes on', async () => {
    truncateSync(at('image'), MIB);
    const failed = (await qemuIo('read 2M 64k', 'read 0 64k').catch((error: unknown) => error)) as Failed;
    expect(failed.stdout + failed.stderr).to.include('Input/output error');
    await qemuIo('write -P 3 2M 64k', 'read -P 3 2M 64k', 'flush');
    expect(existsSync(at('sock'))).to.equal(true);
  });
});
