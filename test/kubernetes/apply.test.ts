import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments, stringify } from 'yaml';
import { documents, partsOf, readCommands, wordsOf } from '../documents/commands.ts';
import { createFolder } from '../process.ts';
import { needs } from '../programs.ts';
import { until } from '../until.ts';
import { type Apiserver, runKubectl, startApiserver } from './apiserver.ts';
import { type Fields, manifests, root, workloads } from './manifests.ts';

const components = ['google-emulator', 'google-cloud', 'monitoring'];

describe('a kube-apiserver', needs('kubernetes'), () => {
  let apiserver: Apiserver;

  before(async () => {
    apiserver = await startApiserver();
  });
  after(() => apiserver?.[Symbol.asyncDispose]());

  /** @throws AssertionError with what kubectl said, when it or the apiserver refuses something. */
  async function succeed(args: string[], input?: string): Promise<{ stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await apiserver.kubectl(args, input);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
    return { stdout, stderr };
  }

  const apply = (input: string, ...flags: string[]) =>
    succeed(['apply', '--server-side', '--validate=strict', ...flags, '--filename=-'], input);

  async function kustomize(folder: string): Promise<string> {
    const { code, stdout, stderr } = await runKubectl(['kustomize', folder]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** k8s/ with components, in a namespace of its own: what one combination leaves must not help the next. */
  function overlay(...names: string[]): string {
    const folder = createFolder();
    const path = (to: string) => relative(folder, join(root, to));
    const kustomization = {
      namespace: ['with', ...names].join('-'),
      resources: [path('k8s')],
      components: names.map((name) => path(`k8s/components/${name}`)),
    };
    writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization));
    return folder;
  }

  // First, while nothing is there: each file has to find what it needs in those before it.
  test('takes k8s/ file by file, in the order that the README gives', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const command = /^kubectl apply( -f \S+)+$/m.exec(readme)?.[0];
    assert.ok(command, 'the README has the command');
    const words = command.split(' ').slice(2);
    const files = words.map((word) => (word === '-f' ? word : join(root, word)));
    const { stdout } = await succeed(['apply', '--server-side', '--validate=strict', ...files]);
    assert.equal(stdout.trim().split('\n').length, manifests.length);
  });

  test('takes all of k8s/, and misses `restricted` in MongoDB alone', async () => {
    const { stdout, stderr } = await apply(await kustomize(join(root, 'k8s')));
    assert.equal(stdout.trim().split('\n').length, manifests.length);
    const warnings = stderr.split('\n').filter(Boolean);
    assert.equal(warnings.length, 1, stderr);
    assert.match(stderr, /would violate PodSecurity "restricted.*container "mongo"/);
  });

  test('refuses a field that it does not know', async () => {
    const text = readFileSync(join(root, 'k8s/writer.yaml'), 'utf8');
    const wrong = text.replace('terminationGracePeriodSeconds', 'terminationGraceSeconds');
    assert.notEqual(wrong, text);
    await assert.rejects(apply(wrong, '--dry-run=server'), /terminationGraceSeconds/);
  });

  test('lets every pod into the namespace, and each but MongoDB into one that enforces `restricted`', async () => {
    const namespace = readFileSync(join(root, 'k8s/namespace.yaml'), 'utf8');
    for (const level of ['restricted', 'baseline']) {
      await apply(namespace.replace('enforce: baseline', `enforce: ${level}`));
      const refused = [];
      for (const { metadata, spec } of workloads) {
        const { restartPolicy, ...podSpec } = spec.template.spec as Fields;
        // A StatefulSet's controller adds the volumes of its claims; here any will do.
        const volumes = [...(podSpec.volumes ?? [])];
        for (const claim of spec.volumeClaimTemplates ?? []) {
          volumes.push({ name: claim.metadata.name, emptyDir: {} });
        }
        const pod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: metadata.name, namespace: 'assessment' },
          spec: { serviceAccountName: 'default', ...podSpec, volumes },
        };
        const { code, stderr } = await apiserver.kubectl(
          ['create', '--dry-run=server', '--filename=-'],
          JSON.stringify(pod),
        );
        if (code !== 0) refused.push(`${metadata.name}: ${stderr}`);
      }
      if (level === 'baseline') assert.deepEqual(refused, []);
      else assert.match(refused.join('\n'), /^mongo: .*violates PodSecurity "restricted[^\n]*\n$/);
    }
  });

  for (const component of components) {
    test(`takes k8s/ with ${component}`, async () => {
      await apply(await kustomize(overlay(component)));
    });
  }

  test("with google-emulator runs Google's command in place of ours, with nothing on a volume", async () => {
    const get = [
      'get',
      'statefulset',
      'pubsub-emulator',
      '--namespace=with-google-emulator',
      '--output=json',
    ];
    const { spec } = JSON.parse((await succeed(get)).stdout);
    const [emulator] = spec.template.spec.containers;
    assert.equal(emulator.image, 'gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators');
    assert.equal(
      emulator.command.join(' '),
      'gcloud beta emulators pubsub start --host-port=0.0.0.0:8085 --project=assessment-project',
    );
    assert.equal(emulator.args, undefined);
    assert.equal(spec.volumeClaimTemplates, undefined);
  });

  test('with monitoring asks every part for metrics but Google’s emulator, which has none', async () => {
    for (const [others, asked] of [
      [[], ['api', 'pubsub-emulator', 'writer']],
      [['google-emulator'], ['api', 'writer']],
    ] as const) {
      const parts = parseAllDocuments(await kustomize(overlay(...others, 'monitoring'))).map((one) =>
        one.toJS(),
      );
      const scraped = parts.filter(
        ({ spec }) => spec?.template?.metadata?.annotations?.['prometheus.io/scrape'] === 'true',
      );
      assert.deepEqual(scraped.map(({ metadata }) => metadata.name).sort(), [...asked]);
    }
  });

  test('takes the policy for a collector of traces that the README gives', async () => {
    const readme = readFileSync(join(root, 'k8s/README.md'), 'utf8');
    const [, policy = ''] = /```yaml\n(apiVersion: networking[\s\S]*?)```/.exec(readme) ?? [];
    await apply(policy, '--dry-run=server');
  });

  test('with google-cloud has no emulator and names none', async () => {
    const kinds = 'statefulset,service,job,serviceaccount,networkpolicy,configmap,deployment';
    const { stdout } = await succeed(['get', kinds, '--namespace=with-google-cloud', '--output=json']);
    assert.doesNotMatch(stdout, /emulator/i);
    assert.match(stdout, /"name": "writer"/);
  });

  // The others want pods that run.
  const verb = /^kubectl (?:-n \S+ )?(get|apply|create|delete|patch|scale|rollout) /;

  test('does what the documents tell kubectl to do', async () => {
    // Each with the command whose output is its input.
    const commands = documents
      .flatMap(readCommands)
      .flatMap(({ text }) =>
        partsOf(text).map((command, index, all) => ({ command, before: all[index - 1] })),
      );
    const done = new Set<string>();
    const outputs = new Map<string | undefined, string>();
    for (const { command, before } of commands) {
      const [, name] = verb.exec(command) ?? [];
      if (name === undefined || done.has(command)) continue;
      done.add(command);
      const words = wordsOf(command).slice(1);
      const args = words
        .filter((word) => word !== '--watch')
        .map((word) => word.replace(/^k8s\b/, join(root, 'k8s')));
      // Nobody here would end a namespace.
      if (!args.includes('--dry-run=client') && name !== 'get' && name !== 'rollout') {
        args.push('--dry-run=server');
      }
      const { code, stdout, stderr } = await until(
        () => apiserver.kubectl(args, outputs.get(before)),
        ({ stderr }) => !stderr.includes('restart has already been triggered within the past second'),
      );
      assert.equal(code, 0, `${command}: ${stderr}`);
      outputs.set(command, stdout);
    }
    assert.ok(done.size > 10, String(done.size));
  });

  test('takes what the test cluster adds to k8s/', async () => {
    const text = await kustomize(join(root, 'test/kubernetes/cluster'));
    await apply(text, '--dry-run=server');
  });

  test("takes the proof's load, which meets `restricted`", async () => {
    for (const file of ['network-policies.yaml', 'load-pod.yaml']) {
      const text = readFileSync(join(root, 'test/kubernetes/proof', file), 'utf8');
      const { stderr } = await apply(text, '--dry-run=server');
      assert.equal(stderr, '');
    }
  });
});
