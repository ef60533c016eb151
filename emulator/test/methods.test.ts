/** The table of methods against the protos, which are read when they are needed and not before. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { createEmulator } from '../src/emulator.ts';
import { methodsOf, pathOf } from '../src/methods/protos.ts';
import { createMethods } from '../src/methods/table.ts';

const require = createRequire(import.meta.url);

// The harness loads the client, which loads protobufjs; so this file does without it.
async function startEmulator(context: TestContext) {
  const emulator = await createEmulator({ dataDir: createFolder() });
  context.after(() => emulator.close());
  return emulator;
}

test('starts without the protos where nothing is declared, whose reading would take a third of the time', async (context) => {
  await startEmulator(context);
  const loaded = Object.keys(require.cache).filter((path) => /protobufjs|protos\.json/.test(path));
  assert.deepEqual(loaded, []);
});

test('has an answer, or a refusal, for every method that the protos name, and no other', async (context) => {
  const { broker } = await startEmulator(context);
  const answered = [...createMethods(broker).keys()].filter((path) => path.includes('google.pubsub.v1'));
  const named = ['Publisher', 'Subscriber', 'SchemaService'].flatMap((service) =>
    methodsOf(service).map(({ name }) => pathOf(service, name)),
  );
  // The only one with streams; grpc/server.ts has it.
  const unary = named.filter((path) => !path.endsWith('/StreamingPull'));
  assert.deepEqual(answered.sort(), unary.sort());
});
