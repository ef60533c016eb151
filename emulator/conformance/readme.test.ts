/** What the README shows is tried as it stands there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createFolder, startProcess } from '../../test/process.ts';
import { Place } from './place.ts';
import { flagsSection, limitsSection, readSection } from './readme.ts';
import { startServer } from './servers.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'emulator/README.md'), 'utf8');

/** The code blocks of a language. */
function blocksOf(language: string): string[] {
  return [...text.matchAll(/```(\w*)\n([\s\S]*?)```/g)].flatMap(([, of, block]) =>
    of === language && block ? [block] : [],
  );
}

test("the README's flags and limits are those of the code", () => {
  assert.equal(readSection('flags'), flagsSection());
  assert.equal(readSection('limits'), limitsSection());
});

test("the README's commands do what it says", async (context) => {
  const [start = '', use = ''] = blocksOf('sh');
  const [command = '', main = '', ...flags] = start.split('\n')[1]?.split(' ') ?? [];
  const emulator = await startProcess({
    command: join(root, command),
    args: [join(root, main), ...flags, '--host-port=127.0.0.1:0', `--data-dir=${createFolder()}`],
    ready: /PUBSUB_EMULATOR_HOST=127/,
  });
  context.after(() => emulator.stop());
  const [, host = ''] = /PUBSUB_EMULATOR_HOST=(\S+)/.exec(emulator.output()) ?? [];
  const { stdout } = await run('sh', ['-ec', use.replaceAll('127.0.0.1:8085', host)]);
  assert.match(stdout, /"name": "projects\/my-project\/topics\/orders"/);
});

test("the README's declarations are there from the start", async (context) => {
  const [declarations = ''] = blocksOf('json');
  const server = await startServer('ours', { project: 'my-project', flags: [`--declare=${declarations}`] });
  const place = new Place(server.host, 'my-project', () => startServer('ours'));
  context.after(() => {
    place.close();
    return server.kill();
  });
  const subscription = place.subscriptionName('orders-writer');
  const { ackDeadlineSeconds, topic } = await place.subscriber.getSubscription({ subscription });
  assert.deepEqual([ackDeadlineSeconds, topic], [60, place.topicName('orders')]);
});

test("the README's paths are there, and those for tests refused without their flag", async (context) => {
  const server = await startServer('ours');
  context.after(() => server.kill());
  const lines = [...text.matchAll(/^\| `([A-Z]+) (\/[^`]*)`/gm)];
  assert.ok(lines.length > 5);
  for (const [line, method = '', path] of lines) {
    const { status } = await fetch(`http://${server.host}${path}`, { method });
    assert.equal(status, method === 'GET' ? 200 : 403, line);
  }
});
