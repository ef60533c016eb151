/** A real kube-apiserver with its etcd: it checks, defaults and stores objects, and nothing runs them. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFolder, findFreePort, startProcess } from '../process.ts';
import { findProgram } from '../programs.ts';
import { until } from '../until.ts';

export interface Apiserver {
  /** Runs kubectl against it; `input` is its standard input. */
  kubectl(args: string[], input?: string): Promise<KubectlResult>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface KubectlResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The only user, who may do everything. */
const token = 'test';

export async function startApiserver(): Promise<Apiserver> {
  const [folder, etcdPort, peerPort, port] = [
    createFolder(),
    await findFreePort(),
    await findFreePort(),
    await findFreePort(),
  ];
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = await startProcess({
    command: findProgram('etcd'),
    args: [
      `--data-dir=${join(folder, 'etcd')}`,
      ...[`--listen-client-urls=${etcdUrl}`, `--advertise-client-urls=${etcdUrl}`],
      ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
      `--initial-cluster=default=${peerUrl}`,
      '--unsafe-no-fsync',
    ],
    ready: /serving.* client (requests|traffic)/,
  });
  const file = (name: string) => join(folder, name);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file('accounts.key'), privateKey.export({ type: 'sec1', format: 'pem' }));
  writeFileSync(file('tokens.csv'), `${token},test,test,system:masters\n`);
  const server = await startProcess({
    command: findProgram('kube-apiserver'),
    args: [
      ...['--bind-address=127.0.0.1', `--secure-port=${port}`, `--cert-dir=${folder}`],
      `--etcd-servers=${etcdUrl}`,
      // Without it the apiserver looks for an address that other machines reach, to give it to pods.
      ...['--endpoint-reconciler-type=none', '--advertise-address=192.0.2.1'],
      '--service-cluster-ip-range=10.96.0.0/20',
      `--token-auth-file=${file('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${file('accounts.key')}`,
      `--service-account-signing-key-file=${file('accounts.key')}`,
    ],
    ready: /Serving securely/,
  }).catch(async (error) => {
    await etcd.kill();
    throw error;
  });

  const connection = [
    `--server=https://127.0.0.1:${port}`,
    `--certificate-authority=${file('apiserver.crt')}`,
    `--token=${token}`,
    // Neither a kubeconfig nor a cache of this machine's user.
    ...['--kubeconfig=/dev/null', `--cache-dir=${file('cache')}`],
  ];
  const kubectl: Apiserver['kubectl'] = (args, input = '') => runKubectl([...connection, ...args], input);
  await until(
    () => kubectl(['get', '--raw=/readyz']),
    ({ code }) => code === 0,
  );
  return {
    kubectl,
    async [Symbol.asyncDispose]() {
      // It would wait a minute for watches that nobody has; there is nothing to keep.
      await server.kill();
      await etcd.kill();
    },
  };
}

/** kubectl without a cluster, such as `kubectl kustomize`, or with one in `args`. */
export function runKubectl(args: string[], input = ''): Promise<KubectlResult> {
  return new Promise((resolve) => {
    const child = execFile(findProgram('kubectl'), args, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
