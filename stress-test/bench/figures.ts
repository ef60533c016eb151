/** What was measured: figures by row, each with the values of every contender's runs. */

export interface FigureKind {
  /** The part of the report that it stands in. */
  row: string;
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

type Combine = (own: number, other: number) => number;

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

  /**
   * A figure of its own, run by run, of two contenders' values of another; of none where there is no such number,
   * as when nothing was answered.
   */
  derive(kind: FigureKind, of: string, others: [own: string, other: string], calculate: Combine): void {
    const figure = this.all.find(({ row, name }) => row === kind.row && name === of);
    const [own = [], other = []] = others.map((contender) => figure?.values[contender]);
    for (const [run, ownValue] of own.entries()) {
      const value = calculate(ownValue, other[run] ?? Number.NaN);
      if (Number.isFinite(value)) this.add(kind, others[0], value);
    }
  }

  /** How many times another contender's figure ours is, run by run. */
  deriveRatio(kind: Omit<FigureKind, 'unit'>, of: string, others: [own: string, other: string]): void {
    this.derive({ ...kind, unit: '×' }, of, others, (own, other) => own / other);
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
