/** What was measured: figures by row, each with the values of every contender's runs. */

export const rowNames = ['official', 'batches', 'memory', 'start', 'idle', 'restart', 'limits'] as const;
export type RowName = (typeof rowNames)[number];

export interface FigureKind {
  row: RowName;
  name: string;
  unit: string;
  /** Which direction is better, and what ours must reach. */
  better: 'lower' | 'higher';
  target?: number;
}

export interface Figure extends FigureKind {
  /** By contender, a value a run. */
  values: Record<string, number[]>;
}

export class Figures {
  readonly all: Figure[] = [];
  /** Why something was not measured. */
  readonly notes: string[] = [];

  add(kind: FigureKind, contender: string, value: number): void {
    let figure = this.all.find(({ row, name }) => row === kind.row && name === kind.name);
    if (!figure) {
      figure = { ...kind, values: {} };
      this.all.push(figure);
    }
    figure.values[contender] ??= [];
    figure.values[contender].push(value);
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }
}

/** NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
