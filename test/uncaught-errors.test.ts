import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApi, startEmulator, startMongoDb, startWriter } from './parts.ts';
import { needs } from './programs.ts';

for (const [what, statement] of [
  ['an exception that nobody caught', "throw new Error('made to fail')"],
  ['a rejection that nobody handled', "Promise.reject(new Error('made to fail'))"],
  ['a rejection with what is no Error', "Promise.reject('made to fail')"],
]) {
  test(`${what} drains api and writer, and is in their logs`, needs('mongodb'), async () => {
    await using mongoDb = await startMongoDb();
    await using broker = await startEmulator();
    // Not one of the signals that begin a drain.
    const module = `process.once('SIGURG', () => { ${statement}; });`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(module)}` };
    for (const start of [startApi, startWriter]) {
      await using service = await start({ mongoDb, broker, env });
      process.kill(service.pid(), 'SIGURG');
      assert.equal(await service.exited(), 1, service.output());
      assert.match(service.output(), /^\{"level":60,.*made to fail/m);
      assert.match(service.output(), /"msg":"drained"/);
    }
  });
}
