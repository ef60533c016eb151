/** The results of a run in words: lines for a terminal, Markdown for the README. */
import type { Check, Feature } from './check.ts';
import type { Outcome, Result } from './runner.ts';

type Group = [feature: Feature, results: Result[]];

export function byFeature(results: readonly Result[]): Group[] {
  return [...Map.groupBy(results, ({ feature }) => feature)];
}

function countOf(results: readonly Result[], ...outcomes: Outcome[]): number {
  return results.filter(({ outcome }) => outcomes.includes(outcome)).length;
}

/** Such as `9 of 13, 4 departing`. */
export function summaryOf(results: readonly Result[]): string {
  const passed = countOf(results, 'passed');
  const parts = [`${passed} of ${results.length}`];
  for (const [outcome, words] of [
    ['refused', 'refused openly'],
    ['departs', 'departing'],
    ['failed', 'FAILED'],
    ['left out', 'left out'],
  ] as const) {
    const count = countOf(results, outcome);
    if (count > 0) parts.push(`${count} ${words}`);
  }
  return `${passed === results.length ? '✓ ' : ''}${parts.join(', ')}`;
}

/** The README's section: what each passes, what this emulator refuses, where Google's departs. */
export function conformanceSection(ours: readonly Result[], googles: readonly Result[]): string {
  const google = new Map(byFeature(googles));
  const rows = byFeature(ours).map(
    ([feature, results]) =>
      `| ${feature.title} | ${summaryOf(results)} | ${summaryOf(google.get(feature) ?? [])} |`,
  );
  return [
    "| feature | this emulator | Google's emulator (jar 0.8.20) |",
    '| --- | --- | --- |',
    ...rows,
    `| **all** | **${summaryOf(ours)}** | **${summaryOf(googles)}** |`,
    '',
    'Refused openly, with UNIMPLEMENTED and a message that says so:',
    '',
    ...ours.flatMap(({ check }) => (check.refuses ? [`- ${check.refuses}`] : [])),
    '',
    "<details><summary>Where Google's emulator departs from the documentation</summary>",
    '',
    "| the service, and this emulator | Google's emulator | documented |",
    '| --- | --- | --- |',
    ...departures(googles),
    '',
    '</details>',
  ].join('\n');
}

/** Those of a feature that depart in the same way share a row. */
function departures(googles: readonly Result[]): string[] {
  return byFeature(googles).flatMap(([, results]) => {
    const departing = results.filter(({ outcome }) => outcome === 'departs').map(({ check }) => check);
    const groups = Map.groupBy(departing, ({ google }) => google?.does ?? '');
    return [...groups].map(([does, checks]) => {
      const names = checks.map(({ name }) => name);
      return `| ${names.join('; ')} | ${does} | ${linksOf(checks)} |`;
    });
  });
}

function linksOf(checks: readonly Check[]): string {
  const sources = new Set(checks.map(({ source }) => source));
  return [...sources]
    .filter((source) => source.startsWith('https:'))
    .map((source) => {
      const [url = '', ...where] = source.split(' ');
      return `[${where.join(' ').replace(/[()]/g, '') || url.slice(url.lastIndexOf('/') + 1)}](${url})`;
    })
    .join(', ');
}
