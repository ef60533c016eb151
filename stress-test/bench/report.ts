/** The table in Markdown: medians with the least and the most, and how ours compares. */
import { type Figure, type Figures, median } from './figures.ts';
import type { Machine } from './machine.ts';
import { ours } from './run.ts';

export interface Report {
  machine: Machine;
  /** How it was measured, a line each. */
  head: string[];
  /** Those that were measured, in their order. */
  rows: readonly string[];
  /** What stands over a row. */
  titles: Readonly<Record<string, string>>;
}

export function writeReport(figures: Figures, { machine, head, rows, titles }: Report): string {
  const { commit, cores, processor, memoryBytes, system, node, disk } = machine;
  const lines = [
    `Commit ${commit}; ${cores} cores of ${processor}, ${Math.round(memoryBytes / 1e9)} GB, ${system}, Node ${node}, disk ${disk}.`,
    ...head,
  ];
  for (const row of rows) {
    const own = figures.all.filter((figure) => figure.row === row);
    lines.push('', `### ${row}: ${titles[row]}`, '', ...writeRow(own));
  }
  if (figures.notes.length > 0) lines.push('', ...figures.notes.map((note) => `- ${note}`));
  return `${lines.join('\n')}\n`;
}

function writeRow(figures: Figure[]): string[] {
  if (figures.length === 0) return ['Not measured.'];
  const contenders = [...new Set(figures.flatMap(({ values }) => Object.keys(values)))];
  const others = contenders.filter((name) => name !== ours);
  const head = ['', ours, ...others.flatMap((name) => [name, 'ratio']), 'must reach', ''];
  return [
    `| ${head.join(' | ')} |`,
    `|---|${'--:|'.repeat(head.length - 2)}---|`,
    ...figures.map((figure) => `| ${writeFigure(figure, others).join(' | ')} |`),
  ];
}

function writeFigure(figure: Figure, others: string[]): string[] {
  const { name, unit, better, target, values } = figure;
  const own = median(values[ours] ?? []);
  const isReached = target !== undefined && (better === 'lower' ? own <= target : own >= target);
  return [
    unit === '' || unit === '×' ? name : `${name}, ${unit}`,
    spread(values[ours]),
    ...others.flatMap((other) => [spread(values[other]), ratio(own, median(values[other] ?? []), better)]),
    target === undefined ? '' : `${better === 'lower' ? '≤' : '≥'} ${readable(target)}`,
    target === undefined || Number.isNaN(own) ? '' : isReached ? '✓' : '✗',
  ];
}

function spread(values: number[] | undefined): string {
  if (!values || values.length === 0) return '–';
  const middle = readable(median(values));
  if (values.length === 1) return middle;
  return `${middle} (${readable(Math.min(...values))}–${readable(Math.max(...values))})`;
}

function ratio(own: number, other: number, better: Figure['better']): string {
  const times = better === 'lower' ? other / own : own / other;
  return Number.isFinite(times) ? `${readable(times)}×` : '–';
}

function readable(figure: number): string {
  return figure.toLocaleString(
    'en',
    Math.abs(figure) < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 },
  );
}
