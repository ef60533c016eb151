/** The table in Markdown: medians with the least and the most, and how ours compares. */
import { type Figure, type Figures, median, type RowName, rowNames } from './figures.ts';
import type { Machine } from './machine.ts';
import type { BenchOptions } from './options.ts';

const titles: Record<RowName, string> = {
  official: 'The official Node client, messages of 3,000 B, 1,000 a publish',
  batches: 'A raw gRPC client: messages a publish × their size',
  memory: 'Memory against a backlog, messages of 3,000 B, MB of 1,000,000 B',
  start: 'Start to first publish',
  idle: 'Idle',
  restart: 'After a restart',
  limits: 'In a cgroup of 256 MiB and half a core, messages of 3,000 B',
};

export function writeReport(
  figures: Figures,
  machine: Machine,
  { rows, scale, isQuick }: BenchOptions,
): string {
  const { commit, cores, processor, memoryBytes, system, node, disk } = machine;
  const lines = [
    `Commit ${commit}; ${cores} cores of ${processor}, ${Math.round(memoryBytes / 1e9)} GB, ${system}, Node ${node}, disk ${disk}.`,
    `Medians of ${scale.runs} runs (least–most), ${scale.starts} of a start; ours and the others in turn. The ratio is how many times better ours is.`,
  ];
  if (isQuick) lines.push('Quick: too short to be quoted.');
  for (const row of rowNames.filter((name) => rows.includes(name))) {
    lines.push(
      '',
      `### ${row}: ${titles[row]}`,
      '',
      ...writeRow(figures.all.filter((figure) => figure.row === row)),
    );
  }
  if (figures.notes.length > 0) lines.push('', ...figures.notes.map((note) => `- ${note}`));
  return `${lines.join('\n')}\n`;
}

function writeRow(figures: Figure[]): string[] {
  if (figures.length === 0) return ['Not measured.'];
  const contenders = [...new Set(figures.flatMap(({ values }) => Object.keys(values)))];
  const others = contenders.filter((name) => name !== 'ours');
  const head = ['', 'ours', ...others.flatMap((name) => [name, 'ratio']), 'must reach', ''];
  return [
    `| ${head.join(' | ')} |`,
    `|---|${'--:|'.repeat(head.length - 2)}---|`,
    ...figures.map((figure) => `| ${writeFigure(figure, others).join(' | ')} |`),
  ];
}

function writeFigure(figure: Figure, others: string[]): string[] {
  const { name, unit, better, target, values } = figure;
  const own = median(values.ours ?? []);
  const isReached = target !== undefined && (better === 'lower' ? own <= target : own >= target);
  return [
    unit === '' || unit === '×' ? name : `${name}, ${unit}`,
    spread(values.ours),
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
  const digits = Math.abs(figure) < 1 ? 2 : Math.abs(figure) < 100 ? 1 : 0;
  return figure.toLocaleString('en', { maximumFractionDigits: digits });
}
