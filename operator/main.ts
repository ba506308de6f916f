#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `node build/operator/main.js`: the operator and its webhooks, in a pod of the cluster or against a kubeconfig. */
import { randomBytes } from 'node:crypto';
import type { ListenOptions } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { createLogger, format, transports } from 'winston';
import { z } from 'zod';
import { serveHttp, text } from '../sidecar/observe/http.js';
import { loadCa, Renewed } from './identity.js';
import type { Api } from './kit/api.js';
import { ObjectClient } from './kit/apply.js';
import { RestApi } from './kit/rest.js';
import { realTime } from './kit/time.js';
import { RedisLeases } from './leases.js';
import { Metrics } from './metrics.js';
import { FIELD_MANAGER } from './names.js';
import { Operator } from './operator.js';
import { trustWebhooks } from './webhook-trust.js';
import { admissionHandlers } from './webhook/handlers.js';
import { WebhookServer } from './webhook/server.js';
import { trialBy } from './webhook/trial.js';

const port = (otherwise: number) => z.coerce.number().int().min(1).max(65535).default(otherwise);

/** Set by the chart. */
const environmentSchema = z.object({
  POD_NAME: z.string().min(1).default('operator'),
  POD_NAMESPACE: z.string().min(1),
  LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  SIDECAR_IMAGE: z.string().min(1),
  SIDECAR_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  EMULATOR_PATHS: z.string().default('/usr/libexec/qemu-kvm,/usr/bin/qemu-system-x86_64'),
  STORE_SECRET: z.string().min(1).default('lockstep-store'),
  WEBHOOK_SERVICE: z.string().min(1).default('lockstep-webhook'),
  WEBHOOK_PORT: port(9443),
  METRICS_PORT: port(8080),
  HEALTH_PORT: port(8081),
});

const EXIT_USAGE = 2;
const EXIT_FAILED = 1;
/** The webhook's certificate, and what the API server knows of its CA, are looked at so often. */
const TRUST_MS = 60_000;
/** To give the lead back and end what is under way. */
const SHUTDOWN_MS_MAX = 10_000;

const parsed = environmentSchema.safeParse(process.env);
if (!parsed.success) {
  for (const { path, message } of parsed.error.issues)
    process.stderr.write(`lockstep-operator: environment ${path.join('.')}: ${message}\n`);
  process.exit(EXIT_USAGE);
}
const settings = parsed.data;
const logger = createLogger({
  level: settings.LOG_LEVEL,
  format: format.combine(format.timestamp(), format.json()),
  // winston's own types hide that a Console is a TransportStream.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
  transports: [new transports.Console()],
});

function onBroken(error: unknown): never {
  const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`lockstep-operator: ${words}\n`);
  process.exit(EXIT_FAILED);
}

/** Counts what is asked of the API server. */
const counted = (api: Api, metrics: Metrics): Api => ({
  call: (request) => {
    metrics.apiCalls.inc({ method: request.method });
    return api.call(request);
  },
  stream: (request) => {
    metrics.apiCalls.inc({ method: 'WATCH' });
    return api.stream(request);
  },
});

async function main(): Promise<void> {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  const rest = new RestApi(kubeConfig);
  const metrics = new Metrics();
  const api = counted(rest, metrics);
  const namespace = settings.POD_NAMESPACE;
  const client = new ObjectClient(api, { fieldManager: FIELD_MANAGER });
  const wallClock = (): Date => new Date();
  const ca = await loadCa(client, namespace);
  const leases = new RedisLeases();

  const operator = new Operator({
    api,
    namespace,
    // A container that is started again is another process, and must not take itself for the one before.
    identity: `${settings.POD_NAME}-${randomBytes(4).toString('hex')}`,
    storeSecret: settings.STORE_SECRET,
    ca,
    leases,
    metrics,
    logger,
    time: realTime,
    random: Math.random,
    wallClock,
    onBroken,
  });

  let webhook: WebhookServer | null = null;
  const keys = new Renewed(
    () => operator.authority.ofService(settings.WEBHOOK_SERVICE, namespace),
    wallClock,
    (tls) => webhook?.useTls(tls),
  );
  await keys.renew();
  webhook = await WebhookServer.start({
    port: settings.WEBHOOK_PORT,
    tls: keys.current,
    handlers: admissionHandlers({
      sidecarImage: settings.SIDECAR_IMAGE,
      pullPolicy: settings.SIDECAR_PULL_POLICY,
      emulatorPaths: settings.EMULATOR_PATHS.split(','),
      isOurs: (where, vmi) => operator.isOurs(where, vmi),
      trial: trialBy({
        client,
        onUnknown: (reason) => {
          logger.warn(`KubeVirt could not be asked about a new VM: ${reason}`, { reason: 'notTried' });
        },
      }),
    }),
  });
  await serveEndpoints(metrics, operator);
  keepTrusted(client, keys, ca.certificatePem);
  await operator.start();

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      setTimeout(() => process.exit(EXIT_FAILED), SHUTDOWN_MS_MAX).unref();
      Promise.all([operator.stop(), webhook.close()]).then(() => {
        leases.close();
        rest.close();
        process.exit(0);
      }, onBroken);
    });
  }
}

async function serveEndpoints(metrics: Metrics, operator: Operator): Promise<void> {
  const anywhere = (number: number): ListenOptions => ({ port: number });
  await serveHttp(anywhere(settings.METRICS_PORT), {
    'GET /metrics': async () => text(await metrics.registry.metrics()),
  });
  await serveHttp(anywhere(settings.HEALTH_PORT), {
    'GET /healthz': () => text('ok\n'),
    'GET /readyz': () => (operator.isSynced ? text('ok\n') : text('the caches are not filled yet\n', 503)),
  });
}

/** What can't be done now is done a minute later: the API server asks nobody whom it does not trust. */
function keepTrusted(client: ObjectClient, keys: Renewed, caPem: string): void {
  const once = async (): Promise<void> => {
    await keys.renew();
    await trustWebhooks(client, caPem);
  };
  const again = (): void => {
    once()
      .catch((error: unknown) => {
        logger.warn(`webhooks: ${(error as Error).message}`, { reason: 'webhooksUntrusted' });
      })
      .finally(() => setTimeout(again, TRUST_MS).unref())
      .catch(onBroken);
  };
  again();
}

main().catch(onBroken);
