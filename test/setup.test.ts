/**
 * setup.sh and cleanup.sh on a machine where docker, k3d and kubectl are stand-ins (stand-ins/machine.ts). What real
 * ones make of it is proven by kubernetes/proof/.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { findExecutable, needs } from './programs.ts';
import { createMachine } from './stand-ins/machine.ts';

const root = join(import.meta.dirname, '..');
const scripts = ['setup.sh', 'cleanup.sh', 'k8s/hosts-entry.sh', 'test/stand-ins/command.sh'];

const entry = '127.0.0.1 assessment.local\n';
const created = 'k3d cluster create assessment --agents 2 --port 80:80@loadbalancer --wait --timeout 300s';

test('the shell scripts are clean for shellcheck', needs('shellcheck'), () => {
  execFileSync(findExecutable('shellcheck') ?? '', ['--external-sources', ...scripts], { cwd: root });
});

for (const script of ['setup.sh', 'cleanup.sh']) {
  test(`${script} refuses an option that it does not know, and changes nothing`, async () => {
    const machine = createMachine();
    const { exitCode, output } = await machine.run(`${script} --nonsense`);
    assert.equal(exitCode, 2);
    assert.match(output, /--nonsense: no such option; --help lists them/);
    assert.deepEqual(machine.calls(), []);
  });
}

describe('setup.sh', () => {
  test('makes the cluster, builds and imports the images, applies, waits, and names the endpoints', async () => {
    const machine = createMachine();
    const { exitCode, output } = await machine.run('setup.sh');
    assert.equal(exitCode, 0, output);
    assert.match(output, /^\[OK\] {4}All deployments are ready!$/m);
    assert.match(output, /^Assessment Environment Ready!$/m);
    for (const path of ['api/data', 'api/stats', 'healthz', 'readyz']) {
      assert.ok(output.includes(`  http://assessment.local/${path}\n`), output);
    }
    const k = 'kubectl --context k3d-assessment --namespace assessment';
    const wanted = [
      'docker info',
      'k3d cluster list assessment',
      created,
      `${k} get --raw /version`,
      'docker build --target api --tag assessment.local/api:0.1.0 .',
      'docker build --target writer --tag assessment.local/writer:0.1.0 .',
      'k3d image import assessment.local/api:0.1.0 assessment.local/writer:0.1.0 --cluster assessment',
      'kubectl --context k3d-assessment apply -k k8s',
      `${k} wait --for=condition=complete job.batch/declare-topics --timeout`,
      `${k} rollout status deployment.apps/api --timeout`,
      `${k} rollout status statefulset.apps/pubsub-emulator --timeout`,
      'curl -fsS -o /dev/null --max-time 5 -H Host: assessment.local http://127.0.0.1/readyz',
    ];
    // What is left of the time differs from run to run.
    const calls = machine.calls().map((call) => call.replace(/(?<=--timeout) [12]s$/, ''));
    assert.deepEqual(
      calls.filter((call) => wanted.includes(call)),
      wanted,
    );
    assert.ok(!calls.some((call) => call.includes('rollout restart')), calls.join('\n'));
  });

  test('makes no second cluster, and leaves pods alone whose images are the same', async () => {
    const machine = createMachine();
    await machine.run('setup.sh');
    machine.calls();
    const { exitCode, output } = await machine.run('setup.sh');
    assert.equal(exitCode, 0, output);
    const calls = machine.calls();
    assert.ok(!calls.includes(created));
    assert.ok(calls.includes('k3d cluster start assessment --wait --timeout 180s'));
    assert.ok(!calls.some((call) => call.includes('rollout restart')), calls.join('\n'));
  });

  test('restarts pods whose images have changed, also when the run before was broken off', async () => {
    const machine = createMachine();
    await machine.run('setup.sh');
    const env = { IMAGE_ID: '2' };
    const restart = 'rollout restart deployment,statefulset --selector app.kubernetes.io/part-of=assessment';
    const broken = await machine.run('setup.sh', { env: { ...env, FAILING: 'k3d image import' } });
    assert.equal(broken.exitCode, 1);
    machine.calls();
    const { exitCode, output } = await machine.run('setup.sh', { env });
    assert.equal(exitCode, 0, output);
    assert.ok(machine.calls().some((call) => call.endsWith(restart)));
    await machine.run('setup.sh', { env });
    assert.ok(!machine.calls().some((call) => call.endsWith(restart)));
  });

  test('uses the given context, without k3d, and loads each image by IMAGE_LOAD_COMMAND', async () => {
    for (const [command, variable] of [
      ['setup.sh --context given', {}],
      ['setup.sh', { KUBE_CONTEXT: 'given' }],
    ] as const) {
      const machine = createMachine({ without: 'k3d' });
      const env = { ...variable, IMAGE_LOAD_COMMAND: 'docker load-into given' };
      const { exitCode, output } = await machine.run(command, { env });
      assert.equal(exitCode, 0, output);
      assert.match(output, /^\[OK\] {4}All deployments are ready!$/m);
      assert.match(output, /port-forward service\/api/);
      const calls = machine.calls();
      for (const call of [
        'docker load-into given assessment.local/api:0.1.0',
        'docker load-into given assessment.local/writer:0.1.0',
        'kubectl --context given apply -k k8s',
      ]) {
        assert.ok(calls.includes(call), calls.join('\n'));
      }
      const others = calls.filter((call) => call.startsWith('kubectl') && !call.includes('--context given'));
      assert.deepEqual(
        others.filter((call) => !/^kubectl (config|kustomize) /.test(call)),
        [],
      );
    }
  });

  test('applies another folder when told to, with the images of k8s/', async () => {
    const machine = createMachine();
    const { exitCode, output } = await machine.run('setup.sh --kustomization mine');
    assert.equal(exitCode, 0, output);
    const calls = machine.calls();
    assert.ok(calls.includes('kubectl --context k3d-assessment apply -k mine'), calls.join('\n'));
    assert.ok(calls.includes('kubectl kustomize k8s'), calls.join('\n'));
  });

  test('neither builds nor loads with --no-build, for which docker is not needed', async () => {
    const machine = createMachine({ without: 'docker' });
    const { exitCode, output } = await machine.run('setup.sh --context given --no-build');
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      machine.calls().filter((call) => /^(docker|k3d)/.test(call)),
      [],
    );
  });

  test('refuses a context that is none, and one into which images cannot get', async () => {
    const machine = createMachine();
    const unknown = await machine.run('setup.sh --context other', { env: { IMAGE_LOAD_COMMAND: 'docker' } });
    assert.equal(unknown.exitCode, 1);
    assert.match(unknown.output, /no context other\. It has: given/);
    const closed = await machine.run('setup.sh --context given');
    assert.equal(closed.exitCode, 1);
    assert.match(closed.output, /IMAGE_LOAD_COMMAND is not set/);
    assert.ok(!machine.calls().some((call) => call.includes('apply')));
  });

  for (const tool of ['docker', 'k3d', 'kubectl']) {
    test(`says that ${tool} is missing and how to get it`, async () => {
      const machine = createMachine({ without: tool });
      const { exitCode, output } = await machine.run('setup.sh');
      assert.equal(exitCode, 1);
      assert.match(output, new RegExp(`^\\[ERROR\\] ${tool} is missing. Get it by: \\S+`, 'm'));
      assert.deepEqual(machine.calls(), []);
    });
  }

  const failures: [call: string, message: RegExp][] = [
    ['docker info', /its daemon does not answer: start Docker Desktop/],
    ['k3d cluster create', /k3d could not create the cluster.* port 80/],
    ['docker build --target writer', /could not build assessment\.local\/writer:0\.1\.0/],
    ['k3d image import', /could not import/],
    ['kubectl kustomize', /could not read k8s/],
  ];
  for (const [call, message] of failures) {
    test(`says why it cannot go on when "${call}" fails`, async () => {
      const machine = createMachine();
      const { exitCode, output } = await machine.run('setup.sh', { env: { FAILING: call } });
      assert.equal(exitCode, 1, output);
      assert.match(output, message);
      assert.match(output, /as the test wants/, 'what the command itself said');
      assert.doesNotMatch(output, /Ready!|are ready!/);
      assert.ok(!machine.calls().some((line) => line.includes('apply -k')));
    });
  }

  test('leaves no half-made cluster when k3d fails or Ctrl-C ends it', async () => {
    for (const variable of ['FAILING', 'HANGING'] as const) {
      const machine = createMachine();
      const { exitCode } = await machine.run('setup.sh', {
        env: { [variable]: 'k3d cluster create' },
        isInterrupted: variable === 'HANGING',
      });
      assert.equal(exitCode, variable === 'HANGING' ? 130 : 1);
      assert.equal(machine.calls().at(-1), 'k3d cluster delete assessment');
    }
  });

  test('ends at once on Ctrl-C while it waits, and says how to go on', async () => {
    const machine = createMachine();
    const HANGING = 'kubectl --context k3d-assessment --namespace assessment rollout status';
    const { exitCode, output } = await machine.run('setup.sh', { env: { HANGING }, isInterrupted: true });
    assert.equal(exitCode, 130);
    assert.match(output, /Interrupted\. \.\/setup\.sh goes on from here, \.\/cleanup\.sh undoes/);
    assert.doesNotMatch(output, /ERROR/);
    assert.ok(!machine.calls().some((call) => call === 'k3d cluster delete assessment'));
  });

  test('refuses a cluster that is too old', async () => {
    const { exitCode, output } = await createMachine().run('setup.sh', { env: { SERVER_MINOR: '29' } });
    assert.equal(exitCode, 1);
    assert.match(output, /runs Kubernetes 1\.29; 1\.30 or later is needed/);
  });

  test('shows the pods, and events and logs of those that are not ready, when one does not get ready', async () => {
    for (const step of ['rollout status deployment', 'wait --for=condition=complete']) {
      const FAILING = `kubectl --context k3d-assessment --namespace assessment ${step}`;
      const { exitCode, output } = await createMachine().run('setup.sh', { env: { FAILING } });
      assert.equal(exitCode, 1);
      assert.match(output, /^\[ERROR\] \S+ is not ready after 2 s/m);
      for (const line of ['NAME READY STATUS', 'Warning BackOff of api-2', 'what api-2 says', 'before']) {
        assert.ok(output.includes(line), output);
      }
      assert.doesNotMatch(output, /--- (api-1|declare-1)/);
      assert.doesNotMatch(output, /are ready!/);
    }
  });

  test('refuses an option that it does not know, and explains those that it knows', async () => {
    const machine = createMachine();
    assert.equal((await machine.run('setup.sh --contxt x')).exitCode, 2);
    assert.equal((await machine.run('setup.sh --context')).exitCode, 1);
    assert.equal((await machine.run('setup.sh --context given --yes')).exitCode, 2);
    const { exitCode, output } = await machine.run('setup.sh --help');
    assert.equal(exitCode, 0);
    for (const word of ['--context', '--no-build', '--yes', 'IMAGE_LOAD_COMMAND', 'HOSTS_FILE']) {
      assert.ok(output.includes(word), word);
    }
    assert.deepEqual(machine.calls(), []);
  });
});

describe('the hosts entry', () => {
  test('is only told where no terminal is to ask at', async () => {
    const machine = createMachine();
    const { exitCode, output } = await machine.run('setup.sh');
    assert.equal(exitCode, 0);
    assert.match(output, /echo '127\.0\.0\.1 assessment\.local' \| sudo tee -a /);
    assert.equal(machine.hosts(), '127.0.0.1 localhost\n');
  });

  test('is told as a PowerShell command in Git Bash, where the rest runs as it does elsewhere', async () => {
    const machine = createMachine({ without: 'sudo', system: 'MINGW64_NT-10.0-22631' });
    const { exitCode, output } = await machine.run('setup.sh');
    assert.equal(exitCode, 0, output);
    assert.match(
      output,
      /Add-Content \$env:windir\\System32\\drivers\\etc\\hosts "`r`n127\.0\.0\.1 assessment\.local"/,
    );
    await machine.run('setup.sh --yes');
    const cleaned = await machine.run('cleanup.sh');
    assert.match(
      cleaned.output,
      /\(Get-Content \$f\) -ne '127\.0\.0\.1 assessment\.local' \| Set-Content \$f/,
    );
  });

  test('is added at a terminal after a yes, and not after anything else', async () => {
    for (const [input, isAdded] of [
      ['y', true],
      ['n', false],
      ['', false],
    ] as const) {
      const machine = createMachine();
      const { exitCode, output } = await machine.run('setup.sh', { input });
      assert.equal(exitCode, 0, output);
      assert.equal(machine.hosts(), `127.0.0.1 localhost\n${isAdded ? entry : ''}`);
      assert.equal(output.includes('sudo tee -a'), !isAdded);
    }
  });

  test('is added by --yes, after a last line without an end too, and never twice', async () => {
    const machine = createMachine({ hosts: '127.0.0.1 localhost' });
    await machine.run('setup.sh --yes');
    await machine.run('setup.sh --yes');
    assert.equal(machine.hosts(), `127.0.0.1 localhost\n${entry}`);
  });

  test('is recognised in a line with other names, and not in a comment', async () => {
    const there = createMachine({ hosts: '127.0.0.1\tlocalhost assessment.local # mine\r\n' });
    const { output } = await there.run('setup.sh');
    assert.doesNotMatch(output, /assessment\.local is not in|has to be/);
    const commented = createMachine({ hosts: '#127.0.0.1 assessment.local\n' });
    assert.match((await commented.run('setup.sh')).output, /assessment\.local is not in/);
  });

  test('of another address is told and left alone', async () => {
    const hosts = '10.0.0.1 assessment.local\n';
    const machine = createMachine({ hosts });
    const { exitCode, output } = await machine.run('setup.sh --yes');
    assert.equal(exitCode, 0);
    assert.match(output, /has assessment\.local at 10\.0\.0\.1\. It has to be: 127\.0\.0\.1/);
    assert.equal(machine.hosts(), hosts);
  });
});

describe('cleanup.sh', () => {
  test('undoes what setup.sh did, the hosts entry included, and does no harm when run again', async () => {
    const machine = createMachine();
    const before = machine.hosts();
    await machine.run('setup.sh --yes');
    machine.calls();
    const { exitCode, output } = await machine.run('cleanup.sh --yes');
    assert.equal(exitCode, 0, output);
    const calls = machine.calls();
    for (const call of [
      'k3d cluster delete assessment',
      'docker image rm --force assessment.local/api:0.1.0',
    ]) {
      assert.ok(calls.includes(call), calls.join('\n'));
    }
    assert.equal(machine.hosts(), before);
    assert.equal((await machine.run('cleanup.sh --yes')).exitCode, 0);
    assert.ok(!machine.calls().includes('k3d cluster delete assessment'));
    assert.equal(machine.hosts(), before);
  });

  test('takes nothing but the namespace from the cluster of a given context', async () => {
    const machine = createMachine({ without: 'k3d' });
    const { exitCode, output } = await machine.run('cleanup.sh --context given');
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      machine.calls().filter((call) => !call.startsWith('docker')),
      ['kubectl --context given delete namespace assessment --ignore-not-found --timeout 180s'],
    );
  });

  test('leaves a line of the hosts file that holds other names, and says so', async () => {
    const hosts = '127.0.0.1 assessment.local localhost\n';
    const machine = createMachine({ hosts });
    const { output } = await machine.run('cleanup.sh --yes');
    assert.equal(machine.hosts(), hosts);
    assert.match(output, /assessment\.local is still in/);
  });

  test('asks at a terminal, and tells the command where there is none', async () => {
    const machine = createMachine({ hosts: `127.0.0.1 localhost\n${entry}` });
    assert.match((await machine.run('cleanup.sh')).output, /sudo sed -i\.bak/);
    assert.equal((await machine.run('cleanup.sh', { input: 'y' })).exitCode, 0);
    assert.equal(machine.hosts(), '127.0.0.1 localhost\n');
  });

  test('fails when k3d does', async () => {
    const machine = createMachine();
    await machine.run('setup.sh');
    const { exitCode } = await machine.run('cleanup.sh', { env: { FAILING: 'k3d cluster delete' } });
    assert.equal(exitCode, 1);
  });

  test('does not take a docker that is stopped for one without a cluster', async () => {
    const machine = createMachine();
    await machine.run('setup.sh');
    const stopped = await machine.run('cleanup.sh', { env: { FAILING: 'docker' } });
    assert.equal(stopped.exitCode, 1);
    assert.match(stopped.output, /docker does not answer/);
    const other = await machine.run('cleanup.sh --context given', { env: { FAILING: 'docker' } });
    assert.match(other.output, /docker does not answer, and keeps its images/);
    machine.calls();
    await machine.run('cleanup.sh');
    assert.ok(machine.calls().includes('k3d cluster delete assessment'));
  });
});
