/**
 * What runs the programs here: for each language its official client library in the version of the lock file beside
 * the program, installed once into a cache folder of the user. `node install.ts` installs all.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'assessment/clients');

/** Each gives the command that runs its program, with its arguments. */
export const install = {
  node: async () => [process.execPath, join(here, 'node/client.ts')],

  async python() {
    const requirements = join(here, 'python/requirements.txt');
    const folder = await installOnce('python', [requirements], async (target) => {
      await run('python3', '-m', 'venv', target);
      await run(join(target, 'bin/python'), '-m', 'pip', 'install', '--quiet', '--requirement', requirements);
    });
    return [join(folder, 'bin/python'), join(here, 'python/client.py')];
  },

  async go() {
    const module = join(here, 'go');
    const files = ['go.mod', 'go.sum', 'main.go'].map((name) => join(module, name));
    const folder = await installOnce('go', files, async (target) => {
      await run('go', 'build', '-C', module, '-mod=readonly', '-o', join(target, 'client'), '.');
    });
    return [join(folder, 'client')];
  },

  /** The program's source is compiled by `java` when it starts. */
  async java() {
    const pom = join(here, 'java/pom.xml');
    const folder = await installOnce('java', [pom], async (target) => {
      const flags = ['--batch-mode', '--quiet', '-Dstyle.color=never', '--file', pom];
      await run('mvn', ...flags, 'dependency:copy-dependencies', `-DoutputDirectory=${target}`);
    });
    return ['java', '-cp', join(folder, '*'), join(here, 'java/Client.java')];
  },
};

/** @returns a folder that `fill` filled completely, for the present contents of the files. */
async function installOnce(
  language: string,
  files: string[],
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const folder = join(cache, `${language}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    await fill(unfinished);
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

async function run(command: string, ...args: string[]): Promise<void> {
  console.log(`$ ${command} ${args.join(' ')}`);
  const [code] = await once(spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit');
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}

if (import.meta.main) for (const installOne of Object.values(install)) await installOne();
