#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `node build/sidecar/kubevirt/main.js`: the sidecar in a launcher pod, beside the container in which libvirt runs QEMU. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Logger } from 'winston';
import { serveHttp, text } from '../observe/http.js';
import { makeLogger } from '../observe/log.js';
import type { Epitaph } from '../observe/status-schema.js';
import { ConfigError } from '../settings.js';
import { Api } from './api.js';
import { CertificateError, Certificates } from './certificates.js';
import { SidecarClient } from './client.js';
import { podOf, PORTS, readConfig, type Config, type Pod } from './config.js';
import { serveDoor } from './door.js';
import { openIncarnation } from './incarnation.js';
import { Life } from './life.js';
import { machineOfPeer } from './peer.js';

const EXIT_ORDERLY = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** What is to be told last has so long; then the process ends whatever happens. */
const LEAVE_MS_MAX = 1_000;

interface Options {
  readonly settings: string;
  readonly run: string;
  readonly terminationLog: string;
}

const program = new Command('lockstep-sidecar')
  .option('--settings <dir>', "the Secret's volume: sidecar.json, ca.crt, tls.crt, tls.key", '/etc/lockstep')
  .option('--run <dir>', 'shared with the container in which QEMU runs', '/run/lockstep')
  .option('--termination-log <file>', 'gets a line about the end', '/dev/termination-log')
  .parse();

// A log that cannot be written (disk full, reader gone) must not end the side that serves the guest.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

class Main {
  private readonly logger: Logger;
  private readonly life: Life;
  private readonly certificates: Certificates;
  private api: Api | null = null;
  private door: { close(): void } | null = null;

  constructor(
    private readonly options: Options,
    private readonly config: Config,
    private readonly pod: Pod,
  ) {
    const { vm, start } = config;
    this.certificates = new Certificates(options.settings, vm);
    this.logger = makeLogger({ vm, host: pod.node, nonce: '' }, config.log, () => ({
      epoch: this.life.status().epoch,
      role: start.role,
    }));
    this.life = this.makeLife();
  }

  async run(): Promise<void> {
    const { config, pod, certificates, life, logger } = this;
    this.api = await Api.serve({
      host: pod.ip,
      port: PORTS.api,
      vm: config.vm,
      tls: certificates.current,
      subject: life,
      onRefused: (reason, from) => {
        logger.warn(`call from ${from} refused: ${reason}`, { reason: 'callRefused' });
      },
    });
    await serveHttp(
      { host: pod.ip, port: PORTS.metrics },
      { 'GET /metrics': async () => text(await life.metrics()), 'GET /healthz': () => text('ok\n') },
    );
    this.followCertificates();
    this.door = await serveDoor({
      path: join(this.options.run, 'door.sock'),
      onRequest: (request) => life.answer(request),
      onError: (error) => {
        logger.warn(`door: ${error.message}`, { reason: 'door' });
      },
    });
    process.on('SIGTERM', () => {
      const words = life.terminate() ? 'leaving' : 'the guest runs: staying until QEMU has ended';
      logger.info(`SIGTERM: ${words}`, { reason: 'terminate' });
    });
    logger.info('waiting for libvirt to start QEMU', { reason: 'waiting' });
  }

  private makeLife(): Life {
    const { config, pod, certificates, options } = this;
    const place = { config, pod, runDir: options.run, tls: () => certificates.current };
    return new Life(
      config,
      pod,
      {
        certificate: () => ({ notAfter: certificates.notAfter, trouble: certificates.trouble }),
        machineOfPeer: (signal) => machineOfPeer(this.peer(), signal),
        open: (request, machine, handlers) => openIncarnation(place, request, machine, handlers),
        after: (delayMs, fire) => {
          const timer = setTimeout(fire, delayMs);
          return () => {
            clearTimeout(timer);
          };
        },
      },
      {
        onChange: () => this.api?.changed(),
        onTrouble: ({ reason, message }) => {
          this.logger.warn(message, { reason });
        },
        onEnding: (epitaph) => {
          bury(options.terminationLog, epitaph);
        },
        onEnd: (orderly) => {
          this.leave(orderly ? EXIT_ORDERLY : EXIT_FAILED);
        },
      },
    );
  }

  private peer(): SidecarClient {
    const { vm, start } = this.config;
    if (start.role !== 'backup') throw new Error('a primary follows nobody');
    const { host, api, apiHost } = start.peer;
    const tls = () => this.certificates.current;
    return new SidecarClient({ host: apiHost ?? host, port: api, vm, tls });
  }

  private followCertificates(): void {
    this.certificates.follow({
      onRenewed: (tls) => {
        this.api?.useTls(tls);
        this.life.useTls(tls);
        const until = this.certificates.notAfter;
        this.logger.info(`new connections use the certificate until ${until}`, { reason: 'renewed' });
        this.api?.changed();
      },
      onTrouble: (message) => {
        this.logger.error(`the new certificate is not used: ${message}`, { reason: 'certificateUnusable' });
        this.api?.changed();
      },
    });
  }

  private leave(code: number): void {
    const go = (): never => {
      this.door?.close(); // its waiting thread would hold up the exit
      process.exit(code);
    };
    setTimeout(go, LEAVE_MS_MAX);
    (this.api?.close() ?? Promise.resolve()).then(go, go);
  }
}

/** For the operator, which may look long after this process: the kubelet keeps it in the pod's status. */
function bury(file: string, epitaph: Epitaph): void {
  try {
    writeFileSync(file, `${JSON.stringify(epitaph)}\n`);
  } catch (error) {
    process.stderr.write(`lockstep-sidecar: ${file}: ${(error as Error).message}\n`);
  }
}

const options = program.opts<Options>();
try {
  const config = readConfig(join(options.settings, 'sidecar.json'));
  await new Main(options, config, podOf(process.env)).run();
} catch (error) {
  const isSettings = error instanceof ConfigError || error instanceof CertificateError;
  const detail = (error as Error).message;
  const reason = isSettings ? 'settingsUnusable' : 'broken';
  process.stderr.write(`lockstep-sidecar: ${detail}\n`);
  bury(options.terminationLog, { reason, detail, nonce: null, epoch: 0 });
  process.exit(isSettings ? EXIT_USAGE : EXIT_FAILED);
}
