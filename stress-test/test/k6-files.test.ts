/** The audit of what a run of k6 left in files, against a real MongoDB. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { keyedIds } from '@assessment/api/idempotency-key';
import { type Db, MongoClient, ObjectId } from 'mongodb';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { createFolder, pressCtrlC, startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { readK6Run } from '../k6-run.ts';

interface K6Files {
  ids: string;
  summary: string;
}

const beganAt = new Date('2026-01-02T03:04:05.600Z');
const firstSecond = Math.floor(beganAt.getTime() / 1000) + 1;

/** An id made so many seconds after the run's first second. */
function createId(secondsLater = 0): ObjectId {
  return ObjectId.createFromHexString(
    (firstSecond + secondsLater).toString(16) + new ObjectId().toHexString().slice(8),
  );
}

function writeFiles(requests: ObjectId[][], counts: Record<string, number> = {}, idsFile?: string): K6Files {
  const folder = createFolder();
  const files = { ids: join(folder, 'ids.txt'), summary: join(folder, 'summary.json') };
  const lines = requests.map((ids) => `confirmed ${ids.join(' ')}`);
  const all = {
    requests_sent: requests.length,
    requests_confirmed: requests.length,
    requests_recorded: requests.length,
    ...counts,
  };
  const metrics = Object.fromEntries(Object.entries(all).map(([name, count]) => [name, { count, rate: 1 }]));
  const noise = ['failed after 12 ms: 503 {"status":"error"}', ''];
  writeFileSync(files.ids, idsFile ?? [`begin ${beganAt.toISOString()}`, ...lines, ...noise].join('\n'));
  writeFileSync(files.summary, JSON.stringify({ metrics }));
  return files;
}

function startAudit(uri: string, { ids, summary }: K6Files, settle: string, args: string[] = []) {
  return startProcess({
    command: process.execPath,
    args: [
      join(import.meta.dirname, '../audit.ts'),
      ...['--ids', ids, '--summary', summary, '--settle', settle, '--quiet-period', '1s'],
      ...args,
    ],
    env: { MONGODB_URI: uri },
    ready: /./,
  });
}

async function audit(uri: string, files: K6Files, args: string[] = []) {
  const audit = await startAudit(uri, files, '2s', args);
  return { exitCode: await audit.exited(), output: audit.output() };
}

describe("the audit of k6's files", { ...needs('mongodb') }, () => {
  let mongoDb: MongoDb;
  let client: MongoClient;
  let database: Db;
  before(async () => {
    mongoDb = await startMongoDb();
    client = new MongoClient(mongoDb.uri);
    database = client.db();
  });
  after(async () => {
    await client.close();
    await mongoDb.stop();
  });

  const requests = Array.from({ length: 500 }, (_, index) => {
    return Array.from({ length: 5 }, () => createId(Math.floor(index / 100)));
  });
  const store = (ids: ObjectId[]) => database.collection('records').insertMany(ids.map((_id) => ({ _id })));

  async function storeOnly(ids: ObjectId[]): Promise<void> {
    await database.collection('records').deleteMany({});
    await store(ids);
  }

  test('passes when all is stored, whatever was there before', async () => {
    await storeOnly([...requests.flat(), createId(-1), createId(-3600)]);
    const { exitCode, output } = await audit(mongoDb.uri, writeFiles(requests));
    assert.match(output, /^PASS/m);
    assert.match(output, /^confirmed ids looked up +2,500 /m);
    assert.equal(exitCode, 0);
  });

  test('passes a sample of 1 in 100', async () => {
    await storeOnly(requests.flat());
    const sample = requests.filter((_, index) => index % 100 === 0);
    const counts = { requests_sent: 500, requests_confirmed: 500 };
    const { exitCode, output } = await audit(mongoDb.uri, writeFiles(sample, counts));
    assert.match(output, /^confirmed ids looked up +25 /m);
    assert.equal(exitCode, 0, output);
  });

  test('Ctrl-C ends it while it waits', async () => {
    await storeOnly([createId(-1)]);
    await using audit = await startAudit(mongoDb.uri, writeFiles(requests), '5m');
    await until(audit.output, (output) => output.includes('waiting until what was confirmed is stored'));
    await pressCtrlC(audit.pid());
    assert.equal(await audit.exited(), 130, audit.output());
  });

  test('waits for what is stored later', async () => {
    await storeOnly(requests.slice(0, 100).flat());
    const audited = audit(mongoDb.uri, writeFiles(requests));
    for (let start = 100; start < 500; start += 100) await store(requests.slice(start, start + 100).flat());
    const { exitCode, output } = await audited;
    assert.equal(exitCode, 0, output);
  });

  test('fails a missing id and names it', async () => {
    const [lost, ...stored] = requests.flat();
    await storeOnly(stored);
    const { exitCode, output } = await audit(mongoDb.uri, writeFiles(requests));
    assert.match(output, /^FAIL: 1 confirmed ids are not in MongoDB/m);
    assert.match(output, new RegExp(`missing: ${lost}`));
    assert.equal(exitCode, 1);
  });

  test('fails one document too many, made during the run or after it', async () => {
    for (const later of [0, 2, 7, 3600]) {
      await storeOnly([...requests.flat(), createId(later)]);
      const { exitCode, output } = await audit(mongoDb.uri, writeFiles(requests));
      assert.match(output, /^FAIL: 1 documents more than all requests wrote/m);
      assert.equal(exitCode, 1);
    }
  });

  test('lets a request without an answer have stored its documents or not', async () => {
    for (const extra of [0, 5]) {
      await storeOnly([...requests.flat(), ...Array.from({ length: extra }, () => createId())]);
      const { exitCode, output } = await audit(mongoDb.uri, writeFiles(requests, { requests_sent: 501 }));
      assert.equal(exitCode, 0, output);
    }
  });

  describe('of a run with keys', () => {
    const keyedRequests = Array.from({ length: 100 }, () => keyedIds(randomUUID(), '', 5));
    const other = keyedIds(randomUUID(), '', 1);
    const begin = `begin ${beganAt.toISOString()} keyed\n`;
    const lines = keyedRequests.map((ids) => `confirmed ${ids.join(' ')}\n`);
    const files = (counts: Record<string, number> = {}) =>
      writeFiles(keyedRequests, { requests_repeated: 9, ...counts }, begin + lines.join(''));

    test('passes exactly 5 documents for each key beside those from before', async () => {
      await storeOnly([...keyedRequests.flat(), ...other, createId(-1)]);
      const { exitCode, output } = await audit(mongoDb.uri, files(), ['--documents-before', '1']);
      assert.match(output, /^PASS: .* 5 documents for each of 100 keys/m);
      assert.match(output, /^ +repeats +9 /m);
      assert.equal(exitCode, 0);
    });

    test('fails a double, under an id of a key and under one with a time', async () => {
      for (const double of [other, [createId()]]) {
        await storeOnly([...keyedRequests.flat(), ...double]);
        const { exitCode, output } = await audit(mongoDb.uri, files());
        assert.match(output, /^FAIL: 1 documents more than all requests wrote/m);
        assert.equal(exitCode, 1);
      }
    });

    test('fails a request that was never confirmed', async () => {
      await storeOnly(keyedRequests.flat());
      const { exitCode, output } = await audit(mongoDb.uri, files({ requests_sent: 101 }));
      assert.match(output, /^FAIL: 1 requests were never confirmed/m);
      assert.equal(exitCode, 1);
    });

    test('does not disturb a run without keys', async () => {
      await storeOnly([...requests.flat(), ...keyedRequests.flat()]);
      const { exitCode, output } = await audit(mongoDb.uri, writeFiles(requests));
      assert.equal(exitCode, 0, output);
    });
  });

  test('fails a run in which nothing was confirmed', async () => {
    await storeOnly([createId(-1)]);
    const { exitCode, output } = await audit(
      mongoDb.uri,
      writeFiles([], { requests_sent: 10, requests_refused: 10 }),
    );
    assert.match(output, /^FAIL: No request was confirmed/m);
    assert.equal(exitCode, 1);
  });
});

test("k6's files that are not of one run are refused", async () => {
  const ids = Array.from({ length: 5 }, () => createId());
  const begin = `begin ${beganAt.toISOString()}\n`;
  const cases: [files: K6Files, message: RegExp][] = [
    [writeFiles([ids], { requests_recorded: 2 }), /not of the same run/],
    [writeFiles([ids], { requests_recorded: 0 }), /not of the same run/],
    [writeFiles([], {}, begin + begin), /more than one run/],
    [writeFiles([], {}, 'confirmed\n'), /ids\.txt:1: wants "confirmed" and 5 ids/],
    [writeFiles([], {}, ''), /wants a line "begin"/],
    [writeFiles([], {}, 'begin yesterday\n'), /wants a line "begin"/],
    [writeFiles([], { requests_sent: -1 }), /requests_sent/],
    [{ ...writeFiles([]), ids: '/nowhere/ids.txt' }, /cannot be read/],
    [{ ...writeFiles([]), summary: '/nowhere/summary.json' }, /cannot be read/],
    [{ ...writeFiles([]), summary: writeFiles([]).ids }, /cannot be read/],
  ];
  for (const [files, message] of cases) {
    await assert.rejects(readK6Run(files), { name: 'NotJudged', message });
  }
});

test('ids that a user broken off by k6 wrote down and did not count are taken', async () => {
  const ids = Array.from({ length: 5 }, () => createId());
  const run = await readK6Run(writeFiles([ids, ids], { requests_confirmed: 1, requests_recorded: 1 }));
  assert.equal(run.recorded, 2);
});

test('the audit judges nothing when MongoDB does not answer', async () => {
  const { exitCode, output } = await audit('mongodb://127.0.0.1:1/', writeFiles([]));
  assert.match(output, /MongoDB does not answer/);
  assert.equal(exitCode, 2);
});
