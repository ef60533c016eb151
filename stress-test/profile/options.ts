/** The command line of the profile. */
import { join } from 'node:path';
import { parseFlags, readFolder, readTime, readWholeNumber } from '../../command-line/flags.ts';
import { defaultOutFolder } from '../out-folder.ts';

const defaultFolder = join(defaultOutFolder, 'profile');

export const help = `Where the CPU time of api, writer and broker goes under load: tables, and flame graphs.

  npm run profile -- [--connections N] [--duration TIME] [--out FOLDER]

  --connections N   of wrk, 1 to 20000; default 256
  --duration TIME   of the load, after a warm-up of 5 s; such as 10s or 1m; default 10s
  --out FOLDER      where api.cpuprofile, writer.cpuprofile and broker.cpuprofile are written, of the load alone and
                    without idle time; made if it is not there; default stress-test/out/profile
  --help            this text

Chrome's developer tools (Performance) and VS Code open the files as well. Needs wrk.
Exit code: 0 measured; 1 it failed; 2 bad usage, or a part is not there; 130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run profile
  npx speedscope stress-test/out/profile/api.cpuprofile     opens the flame graph; "Left Heavy" adds up what is the same
  npm run profile -- --connections 10000 --duration 30s
`;

export interface ProfileOptions {
  connections: number;
  seconds: number;
  folder: string;
}

const flags = {
  connections: { type: 'string' },
  duration: { type: 'string' },
  out: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[]): ProfileOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  return {
    connections: readWholeNumber('--connections', values.connections ?? '256', 1, 20_000),
    seconds: readTime('--duration', values.duration ?? '10s') / 1_000,
    folder: readFolder(values.out ?? defaultFolder),
  };
}
