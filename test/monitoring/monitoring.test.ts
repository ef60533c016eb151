/** Alert rules, the Grafana dashboard, the README's table and the three /metrics, held against each other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { wanted } from '../../api/src/dashboard/wanted-metrics.ts';
import { ownFailures } from '../../api/src/errors.ts';
import { root } from '../kubernetes/manifests.ts';
import { needs } from '../programs.ts';
import { request } from '../requests.ts';
import { type System, startSystem } from '../system.ts';

const folder = join(root, 'k8s/components/monitoring');

interface Check {
  problems: string[];
  names: string[];
}

/** Prometheus' own parsers and lint (check/main.go). */
async function check(input: { rules: string; expressions: string[]; metrics: object }): Promise<Check> {
  const child = spawn('go', ['run', '-C', join(import.meta.dirname, 'check'), '.'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(input));
  return JSON.parse(await text(child.stdout));
}

/** Grafana's own variable, as it would fill it in. */
function readDashboard(): string[] {
  const { panels } = JSON.parse(readFileSync(join(folder, 'grafana-dashboard.json'), 'utf8'));
  return panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m')),
  );
}

interface Metric {
  type: string;
  help: string;
}

/** By name; without what Node tells of itself under names of prom-client's. */
function readMetrics(exposition: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  for (const [, name = '', help = ''] of exposition.matchAll(/^# HELP (\S+) (.*)$/gm)) {
    const [, type = ''] = new RegExp(`^# TYPE ${name} (\\S+)$`, 'm').exec(exposition) ?? [];
    metrics.set(name, { type, help });
  }
  return metrics;
}

function withoutNode(exposition: string): string {
  const lines = exposition.split('\n');
  return `${lines.filter((line) => !/^(?:# \w+ )?nodejs_/.test(line)).join('\n')}\n`;
}

test("the alert on refusals is about those that are the system's own doing", () => {
  const rules = readFileSync(join(folder, 'alert-rules.yaml'), 'utf8');
  const [, codes = ''] = /api_requests_refused_total\{code=~"([^"]+)"\}/.exec(rules) ?? [];
  assert.deepEqual(new Set(codes.split('|')), ownFailures);
});

describe('monitoring', needs('mongodb', 'go'), () => {
  let system: System;
  let expositions: Record<'api' | 'writer' | 'emulator', string>;

  before(async () => {
    system = await startSystem();
    await request(`${system.api.url}/api/data`);
    const read = async (url: string) => (await fetch(`${url}/metrics`)).text();
    expositions = {
      api: await read(system.api.url),
      writer: await read(system.writer.url),
      emulator: await read(`http://${system.broker.host}`),
    };
  });
  after(() => system?.stop());

  test("Prometheus' parsers take every rule and expression, and its lint finds nothing in our names", async () => {
    const metrics = Object.fromEntries(
      Object.entries(expositions).map(([name, exposition]) => [name, withoutNode(exposition)]),
    );
    const rules = join(folder, 'alert-rules.yaml');
    const { problems, names } = await check({ rules, expressions: readDashboard(), metrics });
    assert.deepEqual(problems, []);
    const all = Object.values(expositions).map((exposition) => [...readMetrics(exposition).keys()]);
    const known = new Set(['up', ...all.flat()]);
    const unknown = names.filter((name) => {
      return !known.has(name) && !known.has(name.replace(/_(?:bucket|sum|count)$/, ''));
    });
    assert.deepEqual(unknown, [], 'metrics that are asked for and told by nobody');
    assert.ok(names.length > 20);
  });

  test('a rule asks of each part whether anything is seen of it, by what it tells from its start', () => {
    const rules = readFileSync(join(folder, 'alert-rules.yaml'), 'utf8');
    const asked = [...rules.matchAll(/ absent\((\w+)\)$/gm)].map(([, name]) => name);
    for (const [part, exposition] of Object.entries(expositions)) {
      const told = asked.filter((name) => new RegExp(`^${name}[ {]`, 'm').test(exposition));
      assert.equal(told.length, 1, part);
    }
  });

  test('every series that a rule or a panel names by a label is told before it counted', () => {
    const rules = readFileSync(join(folder, 'alert-rules.yaml'), 'utf8');
    const text = [rules, ...readDashboard()].join('\n');
    const named = text.matchAll(/\b((api|writer)_\w+)\{(\w+)=~?"([^"]*)"\}/g);
    const series = [...named].flatMap(([, name, part, label, values = '']) =>
      values.split('|').map((value) => [part, `${name}{${label}="${value}"} `] as const),
    );
    assert.ok(series.length > 2);
    for (const [part, start] of series) {
      assert.ok(expositions[part as 'api' | 'writer'].includes(`\n${start}`), start);
    }
  });

  test("the check finds what is wrong in a rule's place", async () => {
    const { problems } = await check({
      rules: join(folder, 'kustomization.yaml'),
      expressions: ['sum(rate(a_total[1m])'],
      metrics: { api: '# TYPE a counter\na 1\n' },
    });
    assert.match(problems.join('\n'), /unclosed left parenthesis/);
    assert.match(problems.join('\n'), /should have "_total" suffix/);
    assert.match(problems.join('\n'), /kustomization\.yaml/);
  });

  test('every metric of ours is in the README with its type and its text, and no other', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const told = new Map<string, Metric>();
    for (const [, name = '', type = '', help = ''] of readme.matchAll(
      /^\| `((?:api|writer|pubsub_emulator)_\w+)` \| (\w+)[^|]* \| ([^|]*) \|$/gm,
    )) {
      told.set(name, { type, help });
    }
    const ours = Object.values(expositions).flatMap((exposition) => [...readMetrics(exposition)]);
    const expected = new Map(ours.filter(([name]) => /^(?:api|writer|pubsub_emulator)_/.test(name)));
    assert.deepEqual(Object.fromEntries(told), Object.fromEntries(expected));
  });

  test('the dashboard asks for metrics that are there', () => {
    for (const part of ['api', 'writer', 'emulator'] as const) {
      const there = readMetrics(expositions[part]);
      assert.deepEqual(
        [...wanted[part]].filter((name) => !there.has(name)),
        [],
        part,
      );
    }
  });
});
