/**
 * The audit, with a load of its own against real parts. In the middle of the load MongoDB stands still, so
 * that envelopes are under way to it, and the writer is killed with SIGKILL and started again. The real
 * writer passes, and each mutant fails.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startApi, startEmulator, startMongoDb, startWriter } from '../../test/parts.ts';
import { createFolder, pressCtrlC, startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';
import { until } from '../../test/until.ts';

/** One line of the ids file. */
const recordBytes = 135;

describe('the audit of a load in which the writer is killed', {
  concurrency: true,
  timeout: 180_000,
  ...needs('mongodb'),
}, () => {
  test('passes the real writer', async () => {
    const { exitCode, output } = await auditKilledWriter('real-writer');
    assert.match(output, /^PASS/m);
    assert.equal(exitCode, 0);
  });

  test('fails a writer that makes new ids on redelivery', async () => {
    const { exitCode, output } = await auditKilledWriter('new-ids');
    assert.match(output, /^FAIL: [\d,]+ documents more than all requests wrote/m);
    assert.match(output, /missing in MongoDB +0$/m);
    assert.equal(exitCode, 1);
  });

  test('fails a writer that drops an envelope', async () => {
    const { exitCode, output } = await auditKilledWriter('dropped-envelope');
    assert.match(output, /^FAIL: [\d,]+ confirmed ids are not in MongoDB/m);
    assert.match(output, /^FAIL: [\d,]+ documents of confirmed requests are missing/m);
    assert.equal(exitCode, 1);
  });

  test('fails a writer that acknowledges before it stores', async () => {
    const { exitCode, output } = await auditKilledWriter('early-ack');
    assert.match(output, /^FAIL: [\d,]+ confirmed ids are not in MongoDB/m);
    assert.match(output, /^FAIL: [\d,]+ documents of confirmed requests are missing/m);
    assert.equal(exitCode, 1);
  });
});

async function auditKilledWriter(name: string) {
  await using mongoDb = await startMongoDb();
  await using broker = await startEmulator();
  const backends = { mongoDb, broker };
  const entry = name === 'real-writer' ? undefined : join(import.meta.dirname, 'mutants', `${name}.ts`);
  await using api = await startApi(backends);
  await using writer = await startWriter(backends, entry);
  await until(
    () => request(`${api.url}/readyz`),
    ({ status }) => status === 200,
  );
  const folder = createFolder();
  await using audit = await startProcess({
    command: process.execPath,
    args: [
      join(import.meta.dirname, '../audit.ts'),
      ...['--base-url', api.url, '--connections', '2', '--duration', '5m'],
      // Twice and three times as long as the leases of the writer that was killed.
      ...['--quiet-period', '20s', '--settle', '30s', '--out', folder],
    ],
    env: { MONGODB_URI: mongoDb.uri },
    ready: /^load:/m,
  });

  async function confirmMore(requests: number): Promise<void> {
    const bytes = async () => statSync(join(folder, 'ids.txt'), { throwIfNoEntry: false })?.size ?? 0;
    const enough = (await bytes()) + requests * recordBytes;
    await until(bytes, (now) => now >= enough);
  }

  await confirmMore(50);
  mongoDb.pause();
  await confirmMore(50);
  await writer.kill();
  mongoDb.resume();
  await writer.restart();
  await confirmMore(50);
  await pressCtrlC(audit.pid());
  const exitCode = await audit.exited();
  return { exitCode, output: audit.output() };
}
