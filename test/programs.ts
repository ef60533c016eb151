/**
 * The programs that tests and measurements need, and where they are on this machine.
 *
 * `needs('mongodb', 'googleEmulator')` as a test's options skips it with a line that names what is missing on
 * this machine. With CI=true a missing part is a failure.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, globSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

type PartName =
  | 'mongodb'
  | 'googleEmulator'
  | 'gcloud'
  | 'k6'
  | 'wrk'
  | 'chromium'
  | 'kubernetes'
  | 'python'
  | 'go'
  | 'java'
  | 'shellcheck'
  | 'openssl';

/** Options for node:test. @throws Error with CI=true when a part is missing. */
export function needs(...parts: PartName[]): { skip: string | false } {
  const missing = parts.filter((part) => !isHere[part]()).map((part) => wanted[part]);
  if (missing.length === 0) return { skip: false };
  const reason = `missing: ${missing.join('; ')}`;
  if (process.env.CI === 'true') throw new Error(`${reason} (with CI=true nothing may be skipped)`);
  return { skip: reason };
}

/** What to say of a part that is missing. */
export const wanted: Record<PartName, string> = {
  mongodb: 'mongod or secantusd-rs on PATH',
  googleEmulator: 'java, and the pubsub-emulator component of gcloud',
  gcloud: 'gcloud on PATH (https://cloud.google.com/sdk/docs/install; Debian: google-cloud-cli)',
  k6: 'k6 on PATH or in ~/go/bin',
  wrk: 'wrk on PATH (Debian: wrk)',
  chromium: 'chromium on PATH (Debian: chromium)',
  kubernetes: 'etcd, kube-apiserver and kubectl on PATH',
  python: 'python3 with ensurepip (Debian: python3-venv)',
  go: 'go on PATH (https://go.dev/dl)',
  java: 'java and mvn (Debian: default-jdk-headless, maven)',
  shellcheck: 'shellcheck on PATH (Debian: shellcheck)',
  openssl: 'openssl on PATH',
};

const isHere: Record<PartName, () => boolean> = {
  mongodb: () => findMongoDb() !== undefined,
  googleEmulator: () => findExecutable('java') !== undefined && findGoogleEmulator() !== undefined,
  gcloud: () => findExecutable('gcloud') !== undefined,
  k6: () => findK6() !== undefined,
  wrk: () => findExecutable('wrk') !== undefined,
  chromium: () => findExecutable('chromium') !== undefined,
  kubernetes: () => ['etcd', 'kube-apiserver', 'kubectl'].every(findCached),
  python: () => spawnSync('python3', ['-c', 'import ensurepip']).status === 0,
  go: () => findExecutable('go') !== undefined,
  java: () => findExecutable('javac') !== undefined && findExecutable('mvn') !== undefined,
  shellcheck: () => findExecutable('shellcheck') !== undefined,
  openssl: () => findExecutable('openssl') !== undefined,
};

export function findMongoDb(): string | undefined {
  return findExecutable('mongod') ?? findCached('secantusd-rs');
}

/** On PATH, or in the folder to which .ci/run installs. */
function findCached(name: string): string | undefined {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return findExecutable(name) ?? findExecutable(name, join(cache, 'assessment/bin'));
}

/** @throws Error when it is not here; `needs` tells before. */
export function findProgram(name: string): string {
  const program = findCached(name);
  if (!program) throw new Error(`missing: ${name}`);
  return program;
}

/** Where `go install` puts it is often not on PATH. */
export function findK6(): string | undefined {
  return findCached('k6') ?? findExecutable('k6', join(process.env.GOPATH || join(homedir(), 'go'), 'bin'));
}

/** Its jar beside gcloud. */
export function findGoogleEmulator(): string | undefined {
  const gcloud = findExecutable('gcloud');
  if (!gcloud) return undefined;
  const besideGcloud = join(realpathSync(gcloud), '../..');
  const sdk = existsSync(join(besideGcloud, 'platform')) ? besideGcloud : askForSdk(gcloud);
  return globSync(join(sdk, 'platform/pubsub-emulator/lib/*.jar'))[0];
}

/** For a gcloud that is a wrapper; it takes seconds. */
function askForSdk(gcloud: string): string {
  return execFileSync(gcloud, ['info', '--format=value(installation.sdk_root)'], { encoding: 'utf8' }).trim();
}

export function findExecutable(name: string, path = process.env.PATH ?? ''): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
