/**
 * Memory and start time with a large backlog that nobody acks.
 *
 *   node emulator/bench/backlog.ts [messages] [bytes of a message] [folder]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { encodeField } from '../src/protobuf.ts';

const total = Number(process.argv[2] ?? 100_000);
const bytes = Number(process.argv[3] ?? 3_000);
const folder = mkdtempSync(join(process.argv[4] ?? tmpdir(), 'emulator-bench-'));
const topic = 'projects/bench/topics/bench-topic';
const declarations = JSON.stringify({
  topics: [{ name: topic }],
  subscriptions: [{ name: 'projects/bench/subscriptions/bench-subscription', topic }],
});
const asBytes = (buffer: Buffer) => buffer;
const perRequest = 1_000;

async function start() {
  const begin = performance.now();
  const main = join(import.meta.dirname, '../src/main.ts');
  const flags = [`--data-dir=${folder}`, '--host-port=127.0.0.1:0', `--declare=${declarations}`];
  const child = spawn(process.execPath, [main, ...flags, '--data-bytes-max=100000000000']);
  child.stderr.pipe(process.stderr);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const host = /PUBSUB_EMULATOR_HOST=(\S+)/.exec(line.toString())?.[1] ?? '';
  return { child, host, ms: Math.round(performance.now() - begin) };
}

function memory(pid: number | undefined): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024);
  return `RssAnon ${megabytes} MB`;
}

const first = await start();
console.log(`started empty in ${first.ms} ms, ${memory(first.child.pid)}`);
const client = new Client(first.host, credentials.createInsecure());
const message = encodeField(2, encodeField(1, Buffer.alloc(bytes, 'x')));
const request = Buffer.concat([encodeField(1, topic), ...Array.from({ length: perRequest }, () => message)]);
let published = 0;
async function publish(): Promise<void> {
  while (published < total) {
    published += perRequest;
    await new Promise<void>((resolve, reject) => {
      const path = '/google.pubsub.v1.Publisher/Publish';
      client.makeUnaryRequest(path, asBytes, asBytes, request, (error) =>
        error ? reject(error) : resolve(),
      );
    });
    if (published % (total / 4) === 0) console.log(`${published} unacked, ${memory(first.child.pid)}`);
  }
}
await Promise.all([publish(), publish()]);
client.close();
first.child.kill('SIGKILL');
await once(first.child, 'exit');
const second = await start();
console.log(`started after kill -9 with ${total} unacked in ${second.ms} ms, ${memory(second.child.pid)}`);
second.child.kill('SIGTERM');
await once(second.child, 'exit');
rmSync(folder, { recursive: true, force: true });
