/** The whole suite against this emulator and Google's at the same time, and the README's table of it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { needs } from '../../test/programs.ts';
import { readSection } from './readme.ts';
import { type Result, runChecks } from './runner.ts';
import { type Kind, startServer } from './servers.ts';
import { suite } from './suite.ts';
import { conformanceSection } from './table.ts';

const google = needs('googleEmulator');

async function start(kind: Kind): Promise<Promise<Result>[]> {
  const server = await startServer(kind);
  after(() => server.kill());
  return runChecks({ kind, host: server.host }, suite);
}

const [ours, googles] = await Promise.all([start('ours'), google.skip === false ? start('google') : []]);

/** Each check is a test of its own; all of them run already. */
function report(name: string, runs: Promise<Result>[], options: { skip: string | false }): void {
  let position = 0;
  for (const feature of suite) {
    const ofFeature = runs.slice(position, position + feature.checks.length);
    position += feature.checks.length;
    test(`${name}: ${feature.title}`, options, async (context) => {
      for (const result of ofFeature) {
        const { check, error } = await result;
        await context.test(check.name, () => {
          if (error) throw error;
        });
      }
    });
  }
}

report('this emulator', ours, { skip: false });
report("Google's emulator", googles, google);

test("the README's table is that of this run", google, async () => {
  const section = conformanceSection(await Promise.all(ours), await Promise.all(googles));
  assert.equal(readSection('conformance'), section, 'npm run conformance -- --write');
});

test('names each check once, and says where each is documented', () => {
  const names = suite.flatMap(({ title, checks }) => checks.map(({ name }) => `${title}: ${name}`));
  assert.equal(new Set(names).size, names.length);
});
