/**
 * The figures as an SVG: a strip for each that has something to compare with, bars of the medians, lines from the least
 * to the most, and a mark at what must be reached. Each strip has a scale of its own, from 0; in a row in which nothing is
 * compared, one for each unit, so that its strips can be.
 */
import { type Figure, median } from './figures.ts';
import type { Machine } from './machine.ts';

const width = 960;
const labelWidth = 400;
const barsWidth = width - labelWidth - 110;
const barHeight = 14;
const gap = 10;
const colours = ['#2563eb', '#94a3b8', '#64748b', '#cbd5e1'];
const text = { large: 'font-size="15" font-weight="bold"', plain: 'font-size="11"' } as const;

export interface Caption {
  machine: Machine;
  /** What stands over a row. */
  titles: Readonly<Record<string, string>>;
}

export function writePlot(figures: readonly Figure[], { machine, titles }: Caption): string {
  // That nothing may fail does not make a row one in which something is compared.
  const compared = new Set(
    figures.filter((figure) => isCompared(figure) && figure.target !== 0).map(({ row }) => row),
  );
  const shown = figures.filter((figure) => isCompared(figure) || !compared.has(figure.row));
  const scaleOf = (figure: Figure) =>
    mostOf(
      isCompared(figure)
        ? [figure]
        : shown.filter(({ row, unit }) => row === figure.row && unit === figure.unit),
    );
  const parts: string[] = [];
  let y = 24;
  const put = (x: number, line: string, style: string) => {
    parts.push(`<text x="${x}" y="${y}" ${style}>${escapeXml(line)}</text>`);
  };
  const what = `Commit ${machine.commit}, ${machine.cores} cores of ${machine.processor}`;
  put(10, what, text.large);
  y += 20;
  put(10, 'Bars: medians. Lines: from the least to the most. Red: what must be reached.', text.plain);
  let row = '';
  for (const figure of shown) {
    if (figure.row !== row) {
      row = figure.row;
      y += 34;
      put(10, `${row}: ${titles[row]}`, text.large);
      y += 8;
    }
    parts.push(...drawStrip(figure, y, scaleOf(figure)));
    y += stripHeight(figure) + gap;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 10}" font-family="sans-serif">`,
    `<title>Bench: ${escapeXml(what)}</title>`,
    '<rect width="100%" height="100%" fill="white"/>',
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function stripHeight({ values }: Figure): number {
  return Object.keys(values).length * barHeight;
}

function isCompared({ values, target }: Figure): boolean {
  return Object.keys(values).length > 1 || target !== undefined;
}

function mostOf(figures: readonly Figure[]): number {
  const all = figures.flatMap(({ values, target = 0 }) => [...Object.values(values).flat(), target]);
  return Math.max(...all) || 1;
}

/** @param most the value at the right end. */
function drawStrip(figure: Figure, top: number, most: number): string[] {
  const { name, unit, values, target } = figure;
  const x = (value: number) => labelWidth + (value / most) * barsWidth;
  const bars = Object.entries(values).map(([contender, all], index) => {
    const middle = median(all);
    const y = top + index * barHeight;
    const lineY = y + barHeight / 2;
    const label = `${name}${unit && unit !== '×' ? `, ${unit}` : ''}: ${contender}`;
    return [
      `<text x="${labelWidth - 8}" y="${y + 11}" text-anchor="end" ${text.plain}>${escapeXml(label)}</text>`,
      `<rect x="${labelWidth}" y="${y + 2}" width="${x(middle) - labelWidth}" height="${barHeight - 4}" fill="${colours[index] ?? '#e2e8f0'}"/>`,
      `<line x1="${x(Math.min(...all))}" x2="${x(Math.max(...all))}" y1="${lineY}" y2="${lineY}" stroke="black"/>`,
      `<text x="${x(Math.max(...all, middle, target ?? 0)) + 6}" y="${y + 11}" ${text.plain}>${middle.toLocaleString('en', { maximumSignificantDigits: 3 })}</text>`,
    ].join('\n');
  });
  if (target === undefined) return bars;
  const mark = `<line x1="${x(target)}" x2="${x(target)}" y1="${top}" y2="${top + stripHeight(figure)}" stroke="#dc2626" stroke-width="2"/>`;
  return [...bars, mark];
}

function escapeXml(line: string): string {
  return line.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
