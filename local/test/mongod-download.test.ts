import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder, findFreePort } from '../../test/process.ts';
import { downloadMongod, mongodFile, mongodVersion } from '../mongod-download.ts';

const program = '#!/bin/sh\necho mongod\n';

/** An archive like MongoDB's: `bin/mongod` in a folder. */
function createArchive(): Buffer {
  const folder = createFolder();
  mkdirSync(join(folder, 'mongodb', 'bin'), { recursive: true });
  writeFileSync(join(folder, 'mongodb', 'bin', 'mongod'), program);
  execFileSync('tar', ['-czf', 'archive.tgz', 'mongodb'], { cwd: folder });
  return readFileSync(join(folder, 'archive.tgz'));
}

/** A mirror of MongoDB's downloads until the test ends, and the paths that it was asked for. */
async function startMirror(
  context: { after(fn: () => void): void },
  archive: Buffer,
  checksum = createHash('md5').update(archive).digest('hex'),
): Promise<string[]> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    const body = request.url?.endsWith('.md5') ? Buffer.from(`${checksum}  archive.tgz\n`) : archive;
    response.setHeader('content-length', body.length).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  useMirror(context, (server.address() as AddressInfo).port);
  return paths;
}

/** The variables of mongodb-memory-server. */
function useMirror(context: { after(fn: () => void): void }, port: number): void {
  process.env.MONGOMS_USE_HTTP = 'true';
  process.env.MONGOMS_DOWNLOAD_MIRROR = `http://127.0.0.1:${port}`;
  context.after(() => {
    delete process.env.MONGOMS_USE_HTTP;
    delete process.env.MONGOMS_DOWNLOAD_MIRROR;
  });
}

function createOptions() {
  const percents: number[] = [];
  const options = {
    cacheFolder: createFolder(),
    onProgress: (percent: number) => percents.push(percent),
    signal: new AbortController().signal,
  };
  return { options, percents };
}

test('downloads mongod once, shows its progress and leaves nothing else', async (context) => {
  const paths = await startMirror(context, createArchive());
  const { options, percents } = createOptions();
  const file = await downloadMongod(options);
  assert.equal(file, mongodFile(options.cacheFolder));
  assert.equal(execFileSync(file, { encoding: 'utf8' }), 'mongod\n');
  assert.equal(percents[0], 100);
  assert.deepEqual(readdirSync(options.cacheFolder).sort(), ['bin', 'lock']);
  assert.equal(paths.length, 2);
  assert.match(paths[0] ?? '', new RegExp(`${mongodVersion.replaceAll('.', '\\.')}\\.tgz$`));
  assert.equal(await downloadMongod(options), file);
  assert.equal(paths.length, 2);
});

test('refuses an archive whose checksum is another', async (context) => {
  await startMirror(context, createArchive(), '0'.repeat(32));
  const { options } = createOptions();
  await assert.rejects(downloadMongod(options), /MD5/i);
  assert.deepEqual(readdirSync(join(options.cacheFolder, 'bin')), []);
});

test('gives up after one attempt when the mirror is not there', async (context) => {
  useMirror(context, await findFreePort());
  const { options } = createOptions();
  await assert.rejects(downloadMongod(options), /ECONNREFUSED/);
  assert.deepEqual(readdirSync(options.cacheFolder).sort(), ['bin', 'lock']);
});
