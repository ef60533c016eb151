/**
 * CPU of the emulator's process a message, published and delivered, at several sizes of a publish.
 *
 *   node emulator/bench/cpu.ts [messages] [bytes of a message]
 *
 * The client is raw gRPC with prepared bytes, so that it costs little on a small machine. CPU is user and system
 * time of the emulator's process from /proc, which other processes on the machine disturb less than rates.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { encodeField, FieldScanner, varintBytes, writeVarint } from '../src/protobuf.ts';

const total = Number(process.argv[2] ?? 100_000);
const bytes = Number(process.argv[3] ?? 3_000);
const topic = 'projects/bench/topics/bench-topic';
const subscription = 'projects/bench/subscriptions/bench-subscription';
const asBytes = (buffer: Buffer) => buffer;
const ticksPerSecond = 100;

const folder = mkdtempSync(join(tmpdir(), 'emulator-bench-'));
const flags = ['--host-port=127.0.0.1:0', `--data-dir=${folder}`, ...process.argv.slice(4)];
const emulator = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), ...flags]);
emulator.stderr.pipe(process.stderr);
const [line] = (await once(emulator.stdout, 'data')) as [Buffer];
const host = /PUBSUB_EMULATOR_HOST=(\S+)/.exec(line.toString())?.[1] ?? '';
const client = new Client(host, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });

function call(service: string, method: string, request: Buffer): Promise<Buffer> {
  const path = `/google.pubsub.v1.${service}/${method}`;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asBytes, asBytes, request, (error, response) => {
      if (error) reject(error);
      else resolve(response ?? Buffer.alloc(0));
    });
  });
}

function cpuSeconds(): number {
  const fields = readFileSync(`/proc/${emulator.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function memory(): string {
  const status = readFileSync(`/proc/${emulator.pid}/status`, 'utf8');
  const megabytes = (name: string) =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return `RssAnon ${megabytes('RssAnon')} MB, peak RSS ${megabytes('VmHWM')} MB`;
}

async function measure(what: string, count: number, run: () => Promise<void>): Promise<void> {
  const cpu = cpuSeconds();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1_000;
  const micros = ((cpuSeconds() - cpu) / count) * 1e6;
  const rate = Math.round(count / seconds);
  console.log(`${what.padEnd(34)} ${micros.toFixed(1).padStart(6)} µs/message ${rate} /s  ${memory()}`);
}

async function publish(count: number, perRequest: number, underWay: number): Promise<void> {
  const message = encodeField(2, encodeField(1, Buffer.alloc(bytes, 'x')));
  const messages = Buffer.alloc(message.length * perRequest);
  for (let at = 0; at < messages.length; at += message.length) message.copy(messages, at);
  const request = Buffer.concat([encodeField(1, topic), messages]);
  let left = Math.ceil(count / perRequest);
  await Promise.all(
    Array.from({ length: underWay }, async () => {
      while (left-- > 0) await call('Publisher', 'Publish', request);
    }),
  );
}

/** One stream; acks go back on it as they come, a request for each response. */
async function deliver(count: number): Promise<void> {
  const path = '/google.pubsub.v1.Subscriber/StreamingPull';
  const stream = client.makeBidiStreamRequest(path, asBytes, asBytes);
  stream.on('error', () => {});
  const limits = Buffer.alloc(16);
  limits[0] = 5 << 3;
  limits[1] = 60;
  limits[2] = 7 << 3;
  const end = writeVarint(limits, 2_000, 3);
  stream.write(Buffer.concat([encodeField(1, subscription), limits.subarray(0, end)]));
  let received = 0;
  const finished = Promise.withResolvers<void>();
  stream.on('data', (response: Buffer) => {
    const ids: Buffer[] = [];
    const fields = new FieldScanner(response);
    while (fields.next()) {
      if (fields.field !== 1) continue;
      const inner = new FieldScanner(response, fields.start, fields.end);
      inner.next();
      ids.push(encodeAckId(response.subarray(inner.start, inner.end)));
    }
    if (ids.length === 0) return;
    stream.write(Buffer.concat(ids));
    received += ids.length;
    if (received >= count) finished.resolve();
  });
  await finished.promise;
  stream.cancel();
}

function encodeAckId(id: Buffer): Buffer {
  const field = Buffer.allocUnsafe(1 + varintBytes(id.length) + id.length);
  field[0] = (2 << 3) | 2;
  id.copy(field, writeVarint(field, id.length, 1));
  return field;
}

await call('Publisher', 'CreateTopic', encodeField(1, topic));
await call(
  'Subscriber',
  'CreateSubscription',
  Buffer.concat([encodeField(1, subscription), encodeField(2, topic)]),
);
await publish(20_000, 1_000, 2);
await deliver(20_000);
console.log(`warm, ${bytes} bytes a message; ${memory()}`);
for (const perRequest of [1_000, 100, 10, 1]) {
  const count = perRequest === 1 ? total / 10 : total;
  await measure(`published, ${perRequest} a publish`, count, () => publish(count, perRequest, 4));
  await measure('delivered and acked, one stream', count, () => deliver(count));
}
client.close();
emulator.kill('SIGTERM');
await once(emulator, 'exit');
rmSync(folder, { recursive: true, force: true });
