/**
 * Google's own client libraries, unmodified, against the emulator as a process that is killed and started again while
 * they publish and receive. What they do is in the program of each language in clients/.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { install } from './clients/install.ts';
import { startProcess } from './process.ts';

const programMsMax = 120_000;
const steps = [
  'created, listed, updated and deleted',
  'published 10000 messages',
  'received 10000 messages, each once, and acked them',
  'published and received 9 MB',
  'kept the order of 5 keys, also after a nack',
  'found the dead letter after 5 deliveries',
  'replayed by a seek to a time and to a snapshot',
  'confirmed the acks of exactly-once delivery',
  'waited out the retry policy',
  'received only what the filter lets through',
  'received at once what a subscriber nacked while it closed',
  'ready for the restart',
  'lost nothing over the restart',
  'closed',
];

async function runProgram(context: TestContext, [command = '', ...args]: string[]): Promise<void> {
  const folder = `--data-dir=${createFolder()}`;
  const emulator = await startProcess(context, [folder]);
  const program = spawn(command, args, {
    env: {
      ...process.env,
      PUBSUB_EMULATOR_HOST: `127.0.0.1:${emulator.port}`,
      METADATA_SERVER_DETECTION: 'none',
    },
    timeout: programMsMax,
    killSignal: 'SIGKILL',
  });
  context.after(() => program.kill('SIGKILL'));
  const ended = once(program, 'close');
  let errors = '';
  program.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: program.stdout })) {
    lines.push(line);
    if (line !== 'ready for the restart') continue;
    await emulator.kill('SIGKILL');
    await startProcess(context, [folder, `--host-port=127.0.0.1:${emulator.port}`]);
    program.stdin.write('restarted\n');
  }
  const [code, signal] = await ended;
  const output = `${lines.join('\n')}\n${errors}`;
  assert.equal(signal, null, `${signal} after ${programMsMax} ms:\n${output}`);
  assert.equal(code, 0, output);
  assert.deepEqual(lines, steps);
}

describe('serves the official client', { concurrency: 2 }, () => {
  test('of Node', async (context) => runProgram(context, await install.node()));
  test('of Python', needs('python'), async (context) => runProgram(context, await install.python()));
  test('of Go', needs('go'), async (context) => runProgram(context, await install.go()));
  test('of Java', needs('java'), async (context) => runProgram(context, await install.java()));
});
