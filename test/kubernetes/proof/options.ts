/** The command line of the proof. */
import { BadUsage, parseFlags, readWholeNumber } from '../../../command-line/flags.ts';

export const checkNames = [
  'setup',
  'endpoints',
  'port-forward',
  'k6',
  'writer-pod',
  'api-pod',
  'mongo-pod',
  'emulator-pod',
  'refill',
  'restart-api',
  'restart-writer',
  'autoscaler',
  'cleanup',
] as const;

export type CheckName = (typeof checkNames)[number];

export const help = `Proves the whole system on a real cluster, from ./setup.sh to ./cleanup.sh, and prints a table.

  npm run cluster-proof -- --context NAME [flags]

  --context NAME     a context of your kubeconfig (or KUBE_CONTEXT=NAME)
  --as-is            the system runs there already: neither ./setup.sh nor ./cleanup.sh
  --keep             leaves the system running: no ./cleanup.sh
  --stand-ins        the cluster has no volumes and cannot pull images: folders of the node, a stand-in of mongo:7.0
                     with the secantusd-rs of this machine, and this machine's k6
  --connections N    of the load while something is deleted or restarted, 1 to 1000; default 20
  --only CHECK,...   ${checkNames.slice(0, 7).join(', ')},
                     ${checkNames.slice(7).join(', ')}
  --help             this text

  IMAGE_LOAD_COMMAND    as ./setup.sh wants it; --help there has examples
  DOCKER_BUILD_OPTIONS  more options for docker build

All load comes from a pod inside and goes through the Service; the pod's own NetworkPolicy is taken away at the end.
About 15 minutes; Ctrl-C takes the pod away, and what was scaled down comes up again.
Exit code: 0 all passed, 1 something did not, 2 bad usage, 130 stopped by Ctrl-C or SIGTERM.

Examples:
  IMAGE_LOAD_COMMAND='kind load docker-image' npm run cluster-proof -- --context kind-kind
A k3d cluster that ./setup.sh made:
  IMAGE_LOAD_COMMAND='k3d image import --cluster assessment' npm run cluster-proof -- --context k3d-assessment --as-is
`;

export interface ProofOptions {
  context: string;
  checks: readonly CheckName[];
  isStandIns: boolean;
  connections: number;
}

const flags = {
  context: { type: 'string' },
  'as-is': { type: 'boolean' },
  keep: { type: 'boolean' },
  'stand-ins': { type: 'boolean' },
  connections: { type: 'string' },
  only: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage */
export function readOptions(args: string[], env: NodeJS.ProcessEnv): ProofOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const context = values.context ?? env.KUBE_CONTEXT;
  if (!context) throw new BadUsage('--context: wants the name of a context; kubectl config get-contexts');
  if (!env.IMAGE_LOAD_COMMAND) {
    throw new BadUsage('IMAGE_LOAD_COMMAND: wants the command that brings an image into the cluster');
  }
  return {
    context,
    checks: readChecks(values.only ?? [], values['as-is'] ?? false, values.keep ?? false),
    isStandIns: values['stand-ins'] ?? false,
    connections: readWholeNumber('--connections', values.connections ?? '20', 1, 1_000),
  };
}

function readChecks(only: string[], isAsIs: boolean, isKept: boolean): CheckName[] {
  const wanted = only.flatMap((text) => text.split(','));
  for (const name of wanted) {
    if (!checkNames.some((known) => known === name)) {
      throw new BadUsage(`--only: wants ${checkNames.join(', ')}`);
    }
  }
  return checkNames.filter((name) => {
    if (wanted.length > 0) return wanted.includes(name);
    return !(isAsIs && name === 'setup') && !((isAsIs || isKept) && name === 'cleanup');
  });
}
