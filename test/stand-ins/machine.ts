/**
 * A machine on which docker, k3d, kubectl, curl and sudo are stand-ins that write down what they were called with
 * (command.sh), with a hosts file of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createFolder } from '../process.ts';
import { findExecutable } from '../programs.ts';

const root = join(import.meta.dirname, '../..');
const standIn = join(import.meta.dirname, 'command.sh');

/** All that the scripts call but for the stand-ins, so that a missing docker is missing. */
const tools = [
  ...['awk', 'bash', 'cat', 'chmod', 'dirname', 'env', 'mv', 'printf', 'rm', 'script', 'sed', 'sh', 'sleep'],
  ...['sort', 'tail', 'tee', 'touch', 'tr', 'uname'],
];

interface Machine {
  /** Runs a script; `input` is what a person types at a terminal, none without one. */
  run(command: string, options?: RunOptions): Promise<{ exitCode: number | null; output: string }>;
  /** Of the stand-ins, each call's own command line, since the last time this was asked. */
  calls(): string[];
  /** What the hosts file holds. */
  hosts(): string;
}

interface RunOptions {
  env?: Record<string, string>;
  input?: string;
  /** Sends Ctrl-C as soon as a stand-in hangs. */
  isInterrupted?: boolean;
}

interface MachineOptions {
  /** The stand-in that is missing. */
  without?: string;
  /** What the hosts file holds at first. */
  hosts?: string;
  /** What `uname` says. */
  system?: string;
}

export function createMachine(options: MachineOptions = {}): Machine {
  const folder = createFolder();
  const [path, state, hostsFile] = ['bin', 'state', 'hosts'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(path);
  mkdirSync(state);
  writeFileSync(hostsFile, options.hosts ?? '127.0.0.1 localhost\n');
  for (const tool of tools) {
    const file = findExecutable(tool);
    if (file) symlinkSync(file, join(path, tool));
  }
  for (const name of ['docker', 'k3d', 'kubectl', 'curl', 'sudo']) {
    if (name === options.without) continue;
    copyFileSync(standIn, join(path, name));
    chmodSync(join(path, name), 0o755);
  }
  if (options.system) {
    rmSync(join(path, 'uname'));
    writeFileSync(join(path, 'uname'), `#!/bin/sh\necho ${options.system}\n`, { mode: 0o755 });
  }
  let callsRead = 0;
  return {
    hosts: () => readFileSync(hostsFile, 'utf8'),
    calls() {
      const file = join(state, 'calls');
      const all = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
      const calls = all.slice(callsRead);
      callsRead = all.length;
      return calls;
    },
    async run(command, { env = {}, input, isInterrupted } = {}) {
      const [program, args] =
        input === undefined
          ? ['bash', ['-c', `exec ./${command}`]]
          : // A terminal of its own, on which the script asks.
            ['script', ['--quiet', '--return', '--command', `./${command}`, '/dev/null']];
      const child = spawn(join(path, program), args, {
        cwd: root,
        env: { PATH: path, STATE: state, HOSTS_FILE: hostsFile, WAIT_SECONDS: '2', USER: 'somebody', ...env },
        // A process group of its own, as a shell gives it, so that Ctrl-C reaches all of it.
        detached: true,
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      const ended = once(child, 'close');
      if (input !== undefined) child.stdin.write(`${input}\n`);
      else child.stdin.end();
      if (isInterrupted) {
        while (!existsSync(join(state, 'hangs'))) await pause(10);
        process.kill(-(child.pid ?? 0), 'SIGINT');
      }
      const [exitCode] = await ended;
      return { exitCode, output };
    },
  };
}
