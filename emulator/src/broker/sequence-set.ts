/**
 * The sequence numbers that a subscription is done with: all up to `through`, and single ones above it in pages of
 * bits. Acks in order cost nothing; in the worst order a backlog of 2,000,000 costs 250 kB.
 */

const pageBits = 32_768;
const pageWords = pageBits / 32;

interface Page {
  words: Uint32Array;
  count: number;
}

export interface SequenceSetState {
  through: number;
  /** Page number and its bits, base64. */
  pages: [number, string][];
}

export class SequenceSet {
  /** Every number up to this one is in the set. */
  through: number;
  /** How many above `through` are in the set. */
  countAbove = 0;
  #pages = new Map<number, Page>();
  #highest: number;

  constructor(through: number) {
    this.through = through;
    this.#highest = through;
  }

  has(sequence: number): boolean {
    if (sequence <= this.through) return true;
    if (sequence > this.#highest) return false;
    const page = this.#pages.get(Math.floor(sequence / pageBits));
    if (!page) return false;
    const bit = sequence % pageBits;
    return ((page.words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** @returns false when it was there already. */
  add(sequence: number): boolean {
    if (sequence === this.through + 1) {
      this.#advance(sequence);
      return true;
    }
    if (this.has(sequence)) return false;
    const number = Math.floor(sequence / pageBits);
    let page = this.#pages.get(number);
    if (!page) {
      page = { words: new Uint32Array(pageWords), count: 0 };
      this.#pages.set(number, page);
    }
    const bit = sequence % pageBits;
    page.words[bit >>> 5] = (page.words[bit >>> 5] ?? 0) | (1 << (bit & 31));
    page.count++;
    this.countAbove++;
    if (sequence > this.#highest) this.#highest = sequence;
    return true;
  }

  addRange(first: number, last: number): void {
    if (first <= this.through + 1) {
      if (last > this.through) this.#advance(last);
      return;
    }
    for (let sequence = first; sequence <= last; sequence++) this.add(sequence);
  }

  /** The first number from `sequence` on that is not in the set. */
  nextMissing(sequence: number): number {
    let next = Math.max(sequence, this.through + 1);
    while (next <= this.#highest && this.has(next)) next++;
    return next;
  }

  /** Whether all from `first` to `last` are in the set. */
  hasRange(first: number, last: number): boolean {
    return last <= this.through || this.nextMissing(first) > last;
  }

  copy(): SequenceSet {
    return SequenceSet.from(this.state());
  }

  state(): SequenceSetState {
    const pages: [number, string][] = [];
    for (const [number, { words }] of this.#pages) {
      pages.push([number, Buffer.from(words.buffer).toString('base64')]);
    }
    return { through: this.through, pages };
  }

  static from({ through, pages }: SequenceSetState): SequenceSet {
    const set = new SequenceSet(through);
    for (const [number, bits] of pages) {
      const bytes = Buffer.from(bits, 'base64');
      for (let bit = 0; bit < pageBits; bit++) {
        if (((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0) {
          const sequence = number * pageBits + bit;
          if (sequence > through) set.add(sequence);
        }
      }
    }
    return set;
  }

  /** Moves `through` to `sequence` and over what follows it in the set. */
  #advance(sequence: number): void {
    let through = sequence;
    const before = this.through;
    if (this.countAbove > 0) {
      this.countAbove -= this.#countBetween(before + 1, sequence);
      this.through = through;
      while (this.countAbove > 0 && this.#isSet(through + 1)) {
        through++;
        this.countAbove--;
      }
    }
    this.through = through;
    if (this.#highest < through) this.#highest = through;
    const firstPage = Math.floor((through + 1) / pageBits);
    if (this.#pages.size > 0 && Math.floor((before + 1) / pageBits) !== firstPage) {
      for (const number of this.#pages.keys()) if (number < firstPage) this.#pages.delete(number);
    }
    if (this.countAbove === 0) this.#pages.clear();
  }

  #isSet(sequence: number): boolean {
    const page = this.#pages.get(Math.floor(sequence / pageBits));
    const bit = sequence % pageBits;
    return page !== undefined && ((page.words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  #countBetween(first: number, last: number): number {
    let count = 0;
    for (let sequence = first; sequence <= Math.min(last, this.#highest); sequence++) {
      if (this.#isSet(sequence)) count++;
    }
    return count;
  }
}
