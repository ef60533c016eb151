/**
 * Prometheus figures as the dashboard reads them: of this process from its registry, of others from the text
 * that their /metrics answers (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
import type { Registry } from 'prom-client';

export interface Series {
  labels: Record<string, string>;
  value: number;
}

/** Series by the name of their metric; what is not there was not told. */
export type Sample = Map<string, Series[]>;

const linePattern = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Only series of `wanted` metrics, by the name without a histogram's endings; other lines cost a look each. */
export function parseText(text: string, wanted: ReadonlySet<string>): Sample {
  const sample: Sample = new Map();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, labels, value] = linePattern.exec(line) ?? [];
    if (!name || !wanted.has(baseName(name))) continue;
    addSeries(sample, name, { labels: parseLabels(labels ?? ''), value: Number(value) });
  }
  return sample;
}

/** Asks the registry for the `wanted` metrics alone: some of the others cost milliseconds with many sockets. */
export async function readRegistry(registry: Registry, wanted: Iterable<string>): Promise<Sample> {
  const sample: Sample = new Map();
  for (const name of wanted) {
    const metric = await registry.getSingleMetric(name)?.get();
    for (const { metricName, labels, value } of (metric?.values ?? []) as PromClientValue[]) {
      const texts = Object.entries(labels).map(([key, label]) => [key, String(label)]);
      addSeries(sample, metricName ?? name, { labels: Object.fromEntries(texts), value });
    }
  }
  return sample;
}

interface PromClientValue {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

function baseName(name: string): string {
  return name.replace(/_(?:bucket|sum|count)$/, '');
}

function parseLabels(text: string): Record<string, string> {
  const pairs = Array.from(text.matchAll(labelPattern), ([, key = '', value = '']) => {
    return [key, value.replace(/\\(.)/g, (_, character) => (character === 'n' ? '\n' : character))];
  });
  return Object.fromEntries(pairs);
}

function addSeries(sample: Sample, name: string, series: Series): void {
  const list = sample.get(name);
  if (list) list.push(series);
  else sample.set(name, [series]);
}

/** By how much each series grew; one that shrank belongs to a process that started again, at 0. */
export function growth(before: Sample, after: Sample): Sample {
  const grown: Sample = new Map();
  for (const [name, list] of after) {
    const old = new Map(before.get(name)?.map((series) => [keyOf(series), series.value]));
    for (const series of list) {
      const difference = series.value - (old.get(keyOf(series)) ?? 0);
      addSeries(grown, name, { ...series, value: difference < 0 ? series.value : difference });
    }
  }
  return grown;
}

function keyOf({ labels }: Series): string {
  return JSON.stringify(labels);
}

/** All series of all samples; `total` adds them up. */
export function merge(samples: readonly Sample[]): Sample {
  const merged: Sample = new Map();
  for (const sample of samples) {
    for (const [name, list] of sample) {
      for (const series of list) addSeries(merged, name, series);
    }
  }
  return merged;
}

/** The sum of a metric's series with these labels; null when there is none. */
export function total(sample: Sample, name: string, labels: Record<string, string> = {}): number | null {
  const list = seriesOf(sample, name, labels);
  return list.length === 0 ? null : list.reduce((sum, series) => sum + series.value, 0);
}

/** Sums by the values of one label. */
export function totalsBy(sample: Sample, name: string, label: string): Record<string, number> {
  // A map, because a label may be named like something that every object has.
  const totals = new Map<string, number>();
  for (const { labels, value } of sample.get(name) ?? []) {
    const key = labels[label] ?? '';
    totals.set(key, (totals.get(key) ?? 0) + value);
  }
  return Object.fromEntries(totals);
}

function seriesOf(sample: Sample, name: string, labels: Record<string, string>): Series[] {
  const wanted = Object.entries(labels);
  return (sample.get(name) ?? []).filter((series) =>
    wanted.every(([key, value]) => series.labels[key] === value),
  );
}

/**
 * As Prometheus' histogram_quantile(): linear within a bucket, its upper bound for the last one.
 * @returns null when nothing was observed.
 */
export function quantile(
  sample: Sample,
  name: string,
  share: number,
  labels: Record<string, string> = {},
): number | null {
  const counts = new Map<number, number>();
  for (const { labels: own, value } of seriesOf(sample, `${name}_bucket`, labels)) {
    const bound = own.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(own.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all === 0) return null;
  const rank = share * all;
  let [lower, below] = [0, 0];
  for (const [upper, count] of buckets) {
    if (count >= rank) {
      if (upper === Number.POSITIVE_INFINITY) return lower;
      return lower + ((upper - lower) * (rank - below)) / (count - below);
    }
    [lower, below] = [upper, count];
  }
  return lower;
}
