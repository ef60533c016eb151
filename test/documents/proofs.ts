/** What runs the commands of the documents: a test or CI, and where neither can, what is checked in its place. */
import { readOptions as readDeadLetters } from '../../dead-letters/options.ts';
import { readOptions as readEmulatorBench } from '../../emulator/bench/options.ts';
import { readConfig as readEmulator } from '../../emulator/src/config.ts';
import { readOptions as readAudit } from '../../stress-test/audit-options.ts';
import { readOptions as readBench } from '../../stress-test/bench/options.ts';
import { readOptions as readCapacity } from '../../stress-test/capacity/options.ts';
import { readOptions as readChaos } from '../../stress-test/chaos/options.ts';
import { readOptions as readProfile } from '../../stress-test/profile/options.ts';
import { readStressOptions } from '../../stress-test/stress-options.ts';
import { readOptions as readProof } from '../kubernetes/proof/options.ts';

export interface Proof {
  /** The file that runs it, or checks what can be checked of it. */
  by: string;
  /** What stands in that file because of it. */
  text: string;
}

/** A program of this project. Without `read`, the program itself is asked whether it knows the flags. */
interface ProgramProof extends Proof {
  /** @throws Error for arguments that it refuses. */
  read?: (args: string[]) => unknown;
}

/** By file. */
export const programs: Record<string, ProgramProof> = {
  'local/start.ts': { by: 'local/test/start.test.ts', text: "'start.ts'" },
  'stress-test/stress.ts': {
    by: 'stress-test/test/stress.test.ts',
    text: "'../stress.ts'",
    read: (args) => readStressOptions(args, {}),
  },
  'stress-test/audit.ts': {
    by: 'stress-test/test/audit.test.ts',
    text: "'../audit.ts'",
    read: (args) => readAudit(args, {}),
  },
  'stress-test/chaos/main.ts': {
    by: 'stress-test/test/chaos.test.ts',
    text: "'../chaos/main.ts'",
    read: readChaos,
  },
  'stress-test/limits/main.ts': { by: 'stress-test/test/limits.test.ts', text: "'../limits/main.ts'" },
  'stress-test/bench/main.ts': {
    by: 'stress-test/test/bench.test.ts',
    text: "'../bench/main.ts'",
    read: readBench,
  },
  'stress-test/bench/static.ts': { by: 'stress-test/bench/subjects.ts', text: "'static.ts'" },
  'stress-test/profile/main.ts': {
    by: 'stress-test/test/profile.test.ts',
    text: "'../profile/main.ts'",
    read: readProfile,
  },
  'stress-test/capacity/main.ts': {
    by: 'stress-test/test/capacity.test.ts',
    text: "'../capacity/main.ts'",
    read: readCapacity,
  },
  // 80 s of measuring what dashboard.test.ts opens.
  'stress-test/bench/dashboard.ts': {
    by: 'test/command-lines.test.ts',
    text: "'stress-test/bench/dashboard.ts'",
  },
  'dead-letters/main.ts': {
    by: 'dead-letters/test/dead-letters.test.ts',
    text: "'../main.ts'",
    read: readDeadLetters,
  },
  // It wants a cluster: what it says of itself is checked, and what it does by hand (k8s/README.md).
  'test/kubernetes/proof/main.ts': {
    by: 'test/kubernetes/proof/options.test.ts',
    text: 'readOptions',
    read: (args) => readProof(args, { IMAGE_LOAD_COMMAND: 'true' }),
  },
  // The pictures are of what this test opens.
  'test/screenshots.ts': { by: 'test/dashboard.test.ts', text: 'startBrowser' },
  'emulator/bench/main.ts': {
    by: 'emulator/test/bench.test.ts',
    text: "'../bench/main.ts'",
    read: readEmulatorBench,
  },
  'emulator/conformance/run.ts': { by: 'emulator/conformance/conformance.test.ts', text: 'runChecks' },
  'emulator/src/main.js': {
    by: 'emulator/conformance/readme.test.ts',
    text: "the README's commands do what it says",
    read: (args) => readEmulator(args, {}),
  },
};

const setup = 'test/setup.test.ts';

/** Of what documents.test.ts does not run itself, by how it begins. */
export const others: [beginning: string, proof: Proof | { unproven: string }][] = [
  ['npm ci', { by: '.ci/run', text: 'npm ci' }],
  ['npm audit', { by: '.ci/run', text: 'npm audit' }],
  ['npm test', { by: '.ci/run', text: '\nnpm test' }],
  ['npm run check', { by: 'package.json', text: '"test": "npm run check &&' }],
  ['npx node --test test/dashboard.test.ts', { by: 'test/dashboard.test.ts', text: 'node:test' }],
  ['go install go.k6.io/k6@v1.8.1', { by: '.ci/run', text: 'go install go.k6.io/k6@v1.8.1' }],
  ['k6 run', { by: 'stress-test/test/stress-test.test.ts', text: "'--vus', '20', '--duration', '1s'" }],
  [
    'curl -X PUT http://127.0.0.1:8085/',
    { by: 'emulator/conformance/readme.test.ts', text: "blocksOf('sh')" },
  ],
  ['curl http://127.0.0.1:8085/', { by: 'emulator/conformance/readme.test.ts', text: "blocksOf('sh')" }],
  ['curl http://127.0.0.1:8080/readyz', { by: 'test/kubernetes/proof/checks.ts', text: 'port-forward' }],
  ["curl -H 'Host: assessment.local'", { by: setup, text: '-H Host: assessment.local http://127.0.0.1/' }],
  ['docker build --target', { by: setup, text: 'docker build --target api --tag assessment.local/api' }],
  ['k3d image import', { by: setup, text: 'k3d image import assessment.local/api:0.1.0' }],
  ["echo '127.0.0.1 assessment.local'", { by: setup, text: "echo '127\\.0\\.0\\.1 assessment\\.local'" }],
  ['sudo tee -a /etc/hosts', { by: setup, text: 'sudo tee -a ' }],
  ['Add-Content', { by: setup, text: 'Add-Content' }],
  ['gcloud pubsub topics create', { by: 'test/kubernetes/topics.test.ts', text: 'gcloud pubsub' }],
  ['gcloud pubsub subscriptions create', { by: 'test/kubernetes/topics.test.ts', text: 'gcloud pubsub' }],
  [
    'gcloud pubsub topics add-iam-policy-binding',
    { unproven: 'there are no rights without a project of Google Cloud' },
  ],
  ['gcloud pubsub subscriptions add-iam-policy-binding', { unproven: 'the same' }],
  ['gcloud projects describe', { unproven: 'there is none without an account' }],
  ['gcloud config set project', { unproven: "it would change the machine's own settings" }],
  [
    'docker run --publish',
    { unproven: 'docker is a stand-in in tests; the program that the image starts is tested by itself' },
  ],
  ['docker push', { unproven: 'there is no registry to push to' }],
  ['k3d cluster stop', { unproven: 'k3d is a stand-in in tests; it has one cluster command more' }],
  ['getent hosts', { unproven: 'it asks for the hosts entry of the machine, which tests leave alone' }],
  // What installs programs on somebody's machine.
  ...['curl -fsSL https://get.docker.com', 'curl -s https://raw.githubusercontent.com/k3d-io/'].map(install),
  ...['sudo snap', 'sudo pacman', 'sudo systemctl', 'sudo usermod', 'brew', 'winget', 'choco', 'wsl'].map(
    install,
  ),
];

function install(beginning: string): [string, { unproven: string }] {
  return [beginning, { unproven: 'it changes the machine, which is of another system' }];
}
