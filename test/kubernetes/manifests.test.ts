import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configSchema as apiSchema } from '@assessment/api/config';
import { readEnvironment } from '@assessment/api/environment';
import { readConfig as readEmulatorConfig } from '@assessment/emulator/config';
import { configSchema as writerSchema } from '../../writer/src/config.ts';
import { containerOf, environmentOf, find, manifests, readManifests, root, workloads } from './manifests.ts';

const api = find('Deployment', 'api');
const writer = find('Deployment', 'writer');
const emulator = find('StatefulSet', 'pubsub-emulator');

test("MongoDB's manifest is the assessment's", () => {
  const ping = { exec: { command: ['mongosh', '--eval', "db.adminCommand('ping').ok", '--quiet'] } };
  assert.deepEqual(readManifests('k8s/mongodb/deployment.yaml'), [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'mongo', namespace: 'assessment', labels: { app: 'mongo' } },
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: { app: 'mongo' } },
        template: {
          metadata: { labels: { app: 'mongo' } },
          spec: {
            terminationGracePeriodSeconds: 30,
            containers: [
              {
                name: 'mongo',
                image: 'mongo:7.0',
                args: [
                  '--wiredTigerCacheSizeGB=0.25',
                  '--setParameter',
                  'wiredTigerConcurrentReadTransactions=10',
                  '--setParameter',
                  'wiredTigerConcurrentWriteTransactions=10',
                ],
                ports: [{ containerPort: 27017 }],
                volumeMounts: [{ name: 'mongo-storage', mountPath: '/data/db' }],
                readinessProbe: {
                  ...ping,
                  initialDelaySeconds: 20,
                  periodSeconds: 10,
                  timeoutSeconds: 5,
                  failureThreshold: 6,
                },
                livenessProbe: {
                  ...ping,
                  initialDelaySeconds: 60,
                  periodSeconds: 20,
                  timeoutSeconds: 5,
                  failureThreshold: 5,
                },
                resources: {
                  requests: { memory: '256Mi', cpu: '250m' },
                  limits: { memory: '500Mi', cpu: '500m' },
                },
              },
            ],
            volumes: [{ name: 'mongo-storage', persistentVolumeClaim: { claimName: 'mongo-pvc' } }],
          },
        },
      },
    },
  ]);
  assert.deepEqual(find('PersistentVolumeClaim', 'mongo-pvc').spec, {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: '2Gi' } },
  });
  assert.deepEqual(find('Service', 'mongo').spec, {
    selector: { app: 'mongo' },
    ports: [{ name: 'mongodb', port: 27017, targetPort: 27017 }],
  });
});

/**
 * The most processes of a Deployment at once: its replicas, what a rollout starts beside them, and the old ones
 * that still drain. New pods that count as available only after a drain's time let one step of old ones
 * drain at a time; without that all of them may.
 */
function processesMax(deployment: typeof api, replicas: number, drainSeconds: number): number {
  const { minReadySeconds = 0, strategy } = deployment.spec;
  const { maxSurge, maxUnavailable } = strategy.rollingUpdate;
  return replicas + maxSurge + (minReadySeconds > drainSeconds ? maxSurge + maxUnavailable : replicas);
}

test("all processes at the autoscaler's maximum, rollouts included, stay within MongoDB's tickets", () => {
  const parameters = containerOf(find('Deployment', 'mongo')).args.join(' ');
  const tickets = (kind: string) =>
    Number(new RegExp(`Concurrent${kind}Transactions=(\\d+)`).exec(parameters)?.[1]);
  const apiConfig = readEnvironment(apiSchema, environmentOf(api));
  const writerConfig = readEnvironment(writerSchema, environmentOf(writer));
  const preStopSeconds = containerOf(api).lifecycle.preStop.sleep.seconds;

  const apis = processesMax(
    api,
    find('HorizontalPodAutoscaler', 'api').spec.maxReplicas,
    preStopSeconds + apiConfig.DRAIN_DELAY_MS / 1000,
  );
  const writers = processesMax(writer, writer.spec.replicas, writerConfig.DRAIN_TIMEOUT_MS / 1000);
  // A writer reads when it starts, one read after the other, and never again (its read-model.ts).
  const starting = writer.spec.replicas + writer.spec.strategy.rollingUpdate.maxSurge;
  assert.equal(apiConfig.WRITE_PATH, 'pubsub', 'the other way writes past every bound');

  const reads = apis * apiConfig.READ_CONCURRENCY + starting;
  const writes = writers * writerConfig.WRITE_CONCURRENCY;
  assert.deepEqual({ reads: tickets('Read'), writes: tickets('Write') }, { reads: 10, writes: 10 });
  assert.ok(reads <= tickets('Read'), `${reads} reads at once`);
  assert.ok(writes <= tickets('Write'), `${writes} writes at once`);
});

test('every variable is one that its process reads, with a value that it takes', () => {
  for (const [workload, schema] of [
    [api, apiSchema],
    [writer, writerSchema],
  ] as const) {
    const environment = environmentOf(workload);
    for (const name of Object.keys(environment)) assert.ok(name in schema.shape, `${name} is read by nobody`);
    const config = readEnvironment(schema, environment);
    assert.equal(config.HOST, '0.0.0.0');
    assert.equal(config.PORT, containerOf(workload).ports[0].containerPort);
    assert.equal(config.MONGODB_URI, 'mongodb://mongo:27017/assessmentdb');
    assert.equal(config.PUBSUB_EMULATOR_HOST, 'pubsub-emulator:8085');
  }
  const config = readEmulatorConfig([], environmentOf(emulator));
  assert.ok(config !== 'help');
  assert.equal(config.host, '0.0.0.0');
  assert.equal(config.port, containerOf(emulator).ports[0].containerPort);
  assert.equal(config.durability, 'disk');
  const volume = containerOf(emulator).volumeMounts[0].mountPath;
  assert.ok(config.dataDir.startsWith(`${volume}/`), 'its folder is on the volume');
});

test('a Secret that is there goes before the addresses that anybody may read', () => {
  for (const workload of [api, writer]) {
    assert.deepEqual(containerOf(workload).envFrom, [
      { configMapRef: { name: 'connections' } },
      { secretRef: { name: 'connections', optional: true } },
    ]);
  }
});

test('the emulator refuses a publish before its volume is full', () => {
  const { storage } = emulator.spec.volumeClaimTemplates[0].spec.resources.requests;
  const [, gibibytes] = /^(\d+)Gi$/.exec(storage) ?? [];
  const { dataBytesMax } = readEmulatorConfig([], environmentOf(emulator)) as { dataBytesMax: number };
  // A checkpoint, acks and the segment that is being written have to fit beside it.
  assert.ok(dataBytesMax + 512 * 2 ** 20 <= Number(gibibytes) * 2 ** 30);
});

test('every drain ends before its grace period does', () => {
  const apiConfig = readEnvironment(apiSchema, environmentOf(api));
  const writerConfig = readEnvironment(writerSchema, environmentOf(writer));
  const grace = (workload: typeof api) => workload.spec.template.spec.terminationGracePeriodSeconds;
  const preStopSeconds = containerOf(api).lifecycle.preStop.sleep.seconds;
  const apiSeconds = preStopSeconds + (apiConfig.DRAIN_DELAY_MS + apiConfig.DRAIN_TIMEOUT_MS) / 1000;
  assert.ok(preStopSeconds > 0 && apiConfig.DRAIN_DELAY_MS > 0);
  assert.ok(apiSeconds < grace(api), `${apiSeconds} s of ${grace(api)} s`);
  assert.ok(writerConfig.DRAIN_TIMEOUT_MS / 1000 < grace(writer));
});

test('every pod but MongoDB has no token, no root, no writable image and a limit on what it takes', () => {
  for (const workload of workloads) {
    if (workload.metadata.name === 'mongo') continue;
    const { spec } = workload.spec.template;
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(find('ServiceAccount', spec.serviceAccountName).automountServiceAccountToken, false);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' });
    const { securityContext, resources, image } = containerOf(workload);
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const amounts of [resources.requests, resources.limits]) {
      assert.deepEqual(Object.keys(amounts), ['memory', 'cpu']);
    }
    assert.match(image, /^assessment\.local\/(api|writer|emulator):\d+\.\d+\.\d+$/);
  }
  assert.equal(find('ServiceAccount', 'default').automountServiceAccountToken, false);
});

test("containers have their fields in one order, and images carry the project's version", () => {
  const order = [
    ...['name', 'securityContext', 'image', 'command', 'args', 'ports', 'envFrom', 'env', 'volumeMounts'],
    ...['startupProbe', 'readinessProbe', 'livenessProbe', 'lifecycle', 'resources'],
  ];
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const workload of workloads) {
    const container = containerOf(workload);
    const fields = Object.keys(container);
    assert.deepEqual(
      fields,
      order.filter((field) => fields.includes(field)),
    );
    if (container.image.startsWith('assessment.local/')) assert.ok(container.image.endsWith(`:${version}`));
  }
});

test('everything namespaced is in the namespace, so that it can be applied file by file', () => {
  for (const { kind, metadata } of manifests) {
    if (kind !== 'Namespace') assert.equal((metadata as { namespace?: string }).namespace, 'assessment');
  }
});
