/** The emulator as a process of its own, to be killed and traced, and a raw gRPC client for it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { startProcess as startAnyProcess } from '../../test/process.ts';
import { encodeField, FieldScanner } from '../src/protobuf.ts';

const main = join(import.meta.dirname, '../src/main.js');

export interface EmulatorProcess {
  pid: number;
  port: number;
  output: () => string;
  /** Resolves with the exit code, null when a signal ended it. */
  exited: () => Promise<number | null>;
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>;
}

const ready = /PUBSUB_EMULATOR_HOST=127\.0\.0\.1:(\d+)/;

/** Runs main.js, under `wrapper` when one is given, and resolves when it is ready. */
export async function startProcess(
  context: Pick<TestContext, 'after'>,
  flags: string[],
  wrapper: string[] = [],
): Promise<EmulatorProcess> {
  const [command = '', ...args] = [...wrapper, process.execPath, main, '--host-port=127.0.0.1:0', ...flags];
  const { pid, output, exited, kill, stop } = await startAnyProcess({ command, args, ready });
  context.after(kill);
  return {
    pid: pid(),
    port: Number(ready.exec(output())?.[1]),
    output,
    exited,
    async kill(signal) {
      await (signal === 'SIGKILL' ? kill() : stop());
      return exited();
    },
  };
}

/** Runs main.js until it ends by itself. */
export async function runProcess(flags: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [main, '--host-port=127.0.0.1:0', ...flags]);
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const [code] = await once(child, 'exit');
  return { code: code as number, output };
}

const asBytes = (bytes: Buffer) => bytes;

/** Calls methods with encoded requests. */
export function createRawClient(context: Pick<TestContext, 'after'>, port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  context.after(() => client.close());
  return (service: string, method: string, request: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const path = `/google.pubsub.v1.${service}/${method}`;
      client.makeUnaryRequest(path, asBytes, asBytes, request, (error, response) => {
        if (error) reject(error);
        else resolve(response ?? Buffer.alloc(0));
      });
    });
}

export function publishRequest(topic: string, texts: string[]): Buffer {
  const messages = texts.map((text) => encodeField(2, encodeField(1, text)));
  return Buffer.concat([encodeField(1, topic), ...messages]);
}

/** Of messages as `readPulled` returns them. */
export function ackRequest(subscription: string, pulled: readonly { ackId: string }[]): Buffer {
  return Buffer.concat([encodeField(1, subscription), ...pulled.map(({ ackId }) => encodeField(2, ackId))]);
}

export function pullRequest(subscription: string, count: number): Buffer {
  return Buffer.concat([
    encodeField(1, subscription),
    Buffer.from([2 << 3, 1, 3 << 3, (count % 128) | 128, count >> 7]),
  ]);
}

/** Of a PullResponse. */
export function readPulled(response: Buffer): { ackId: string; text: string }[] {
  const pulled = [];
  const fields = new FieldScanner(response);
  while (fields.next()) {
    const received = new FieldScanner(response, fields.start, fields.end);
    let ackId = '';
    let text = '';
    while (received.next()) {
      if (received.field === 1) ackId = received.text();
      if (received.field !== 2) continue;
      const message = new FieldScanner(response, received.start, received.end);
      while (message.next()) if (message.field === 1) text = message.text();
    }
    pulled.push({ ackId, text });
  }
  return pulled;
}
