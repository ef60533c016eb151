import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  growth,
  merge,
  parseText,
  quantile,
  readRegistry,
  total,
  totalsBy,
} from '../src/dashboard/samples.ts';

const wanted = new Set(['requests_total', 'duration_seconds', 'age_seconds']);

function createRegistry() {
  const registry = new Registry();
  const registers = [registry];
  const options = { help: 'x', registers };
  const requests = new Counter({ name: 'requests_total', labelNames: ['code', 'path'], ...options });
  const duration = new Histogram({ name: 'duration_seconds', buckets: [0.1, 1, 10], ...options });
  const age = new Gauge({ name: 'age_seconds', ...options });
  new Gauge({ name: 'other', ...options }).set(1);
  return { registry, requests, duration, age };
}

test('a registry says the same whether it is asked or its text is read', async () => {
  const { registry, requests, duration, age } = createRegistry();
  requests.inc({ code: 'a "quoted" \\ one', path: 'two\nlines' }, 3);
  requests.inc({ code: 'b', path: '/' });
  duration.observe(0.5);
  age.set(Number.NaN);
  const asked = await readRegistry(registry, wanted);
  const read = parseText(await registry.metrics(), wanted);
  assert.deepEqual(read, asked);
  assert.equal(total(read, 'requests_total'), 4);
  assert.equal(total(read, 'requests_total', { code: 'b' }), 1);
  assert.equal(total(read, 'requests_total', { code: 'c' }), null);
  assert.equal(total(read, 'other'), null);
  assert.deepEqual(totalsBy(read, 'requests_total', 'code'), { 'a "quoted" \\ one': 3, b: 1 });
});

test('a label may be named as what every object has', () => {
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];
  const read = parseText(names.map((name) => `requests_total{code="${name}"} 2\n`).join(''), wanted);
  assert.deepEqual(
    totalsBy(read, 'requests_total', 'code'),
    Object.fromEntries(names.map((name) => [name, 2])),
  );
  const [series] = parseText('requests_total{__proto__="a"} 1', wanted).get('requests_total') ?? [];
  assert.deepEqual(Object.entries(series?.labels ?? {}), [['__proto__', 'a']]);
});

test('growth counts a new series from 0 and one that shrank as a process that started again', () => {
  const before = parseText('requests_total{code="a"} 10\nrequests_total{code="b"} 10', wanted);
  const after = parseText(
    'requests_total{code="a"} 12\nrequests_total{code="b"} 4\nrequests_total{code="c"} 5',
    wanted,
  );
  assert.deepEqual(totalsBy(growth(before, after), 'requests_total', 'code'), { a: 2, b: 4, c: 5 });
});

test('a quantile is linear within its bucket, over all processes together', async () => {
  const [one, other] = [createRegistry(), createRegistry()];
  assert.equal(quantile(await readRegistry(one.registry, wanted), 'duration_seconds', 0.5), null);
  for (let index = 0; index < 5; index++) {
    one.duration.observe(0.05);
    other.duration.observe(0.5);
  }
  const samples = [await readRegistry(one.registry, wanted), await readRegistry(other.registry, wanted)];
  assert.equal(quantile(merge(samples), 'duration_seconds', 0.5), 0.1);
  assert.equal(quantile(merge(samples), 'duration_seconds', 0.25), 0.05);
  assert.equal(quantile(merge(samples), 'duration_seconds', 1), 1);
  one.duration.observe(100);
  const late = parseText(await one.registry.metrics(), wanted);
  assert.equal(quantile(late, 'duration_seconds', 0.99), 10, 'no more is known than that it took longer');
});
