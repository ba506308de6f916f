// SPDX-License-Identifier: Apache-2.0
/** A real redis-server of a test's own: own directory, own unix socket or port, ended by pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS_MAX = 10_000;
/** Worded with and without a capital letter, for TCP and for the socket; the last of the two counts. */
const READY_LINE = /ready to accept connections( at|$)/i;

export interface RedisServerOptions {
  /** `--appendonly yes --appendfsync always`; otherwise a snapshot is kept at a clean end only. */
  readonly durable: boolean;
  /** More of redis-server's own options, for instance `['--port', '7001']`; without a port only the socket listens. */
  readonly extraArgs?: readonly string[];
}

export class RedisServer {
  readonly dir: string;
  readonly socketPath: string;
  readonly #args: string[];
  #child: ChildProcess | null = null;

  private constructor(dir: string, options: RedisServerOptions) {
    this.dir = dir;
    this.socketPath = join(dir, 'redis.sock');
    const keeping = options.durable
      ? ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
      : ['--save', '3600 1'];
    const common = [
      '--dir',
      dir,
      '--unixsocket',
      this.socketPath,
      '--daemonize',
      'no',
      '--loglevel',
      'notice',
    ];
    const args = [...(options.extraArgs ?? [])];
    if (!args.includes('--port')) args.push('--port', '0');
    this.#args = [...common, ...keeping, ...args];
  }

  static async start(options: RedisServerOptions): Promise<RedisServer> {
    const server = new RedisServer(await mkdtemp(join(tmpdir(), 'lockstep-redis-')), options);
    try {
      await server.begin();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('redis-server is not running');
    return this.#child.pid;
  }

  /** Starts the process (again, with what its directory holds). */
  async begin(): Promise<void> {
    const child = spawn('redis-server', this.#args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    await readyOrEnded(child);
  }

  /** SIGTERM: saves what its settings tell it to. `keep` false also deletes its files. */
  async end(keep: boolean): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child?.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await ended;
    }
    if (!keep) {
      await rm(join(this.dir, 'dump.rdb'), { force: true });
      await rm(join(this.dir, 'appendonlydir'), { recursive: true, force: true });
    }
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  async close(): Promise<void> {
    await this.end(false);
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function readyOrEnded(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error('redis-server without stdout');
  const lines = createInterface({ input: child.stdout });
  const seen: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`redis-server not ready: ${seen.join('\n')}`)),
      START_MS_MAX,
    );
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`${why}\n${seen.join('\n')}`));
    };
    child.once('error', (error) => fail(`redis-server did not start: ${error.message}`));
    child.once('exit', (code) => fail(`redis-server ended with ${code ?? 'a signal'}`));
    lines.on('line', (line) => {
      if (seen.length < 50) seen.push(line);
      if (!READY_LINE.test(line)) return;
      clearTimeout(timer);
      resolve();
    });
  });
}
