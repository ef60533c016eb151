/**
 * The sequence numbers that a subscription is done with: all up to `through`, and single ones above it in pages of
 * bits. Acks in order cost nothing; in the worst order a backlog of 2,000,000 costs 250 kB.
 *
 * A page is absent → partly set → full, and goes when `through` has passed it.
 */

const pageBits = 32_768;
const pageWords = pageBits / 32;

/** The bits of every page that is full: behind one message that is never acked, a billion others cost 3 MB. */
const fullWords = new Uint32Array(pageWords).fill(0xffff_ffff);
const fullBytes = Buffer.from(fullWords.buffer);

interface Page {
  words: Uint32Array;
  count: number;
}

export interface SequenceSetState {
  through: number;
  /** Page number and its bits, base64, or `full`. */
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
    if (page.count === pageBits) page.words = fullWords;
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
    while (next <= this.#highest && this.has(next)) {
      const number = Math.floor(next / pageBits);
      next = this.#pages.get(number)?.words === fullWords ? (number + 1) * pageBits : next + 1;
    }
    return next;
  }

  /** How many from `first` to `last` are not in the set. */
  missingBetween(first: number, last: number): number {
    const from = Math.max(first, this.through + 1);
    return from > last ? 0 : last - from + 1 - this.#countBetween(from, last);
  }

  copy(): SequenceSet {
    return SequenceSet.from(this.state());
  }

  state(): SequenceSetState {
    const pages: [number, string][] = [];
    for (const [number, { words }] of this.#pages) {
      pages.push([number, words === fullWords ? 'full' : Buffer.from(words.buffer).toString('base64')]);
    }
    return { through: this.through, pages };
  }

  static from({ through, pages }: SequenceSetState): SequenceSet {
    const set = new SequenceSet(through);
    for (const [number, bits] of pages) {
      if (bits === 'full' && number * pageBits > through) {
        set.#addFullPage(number);
        continue;
      }
      const bytes = bits === 'full' ? fullBytes : Buffer.from(bits, 'base64');
      for (let bit = 0; bit < pageBits; bit++) {
        if (((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0) {
          const sequence = number * pageBits + bit;
          if (sequence > through) set.add(sequence);
        }
      }
    }
    return set;
  }

  #addFullPage(number: number): void {
    this.#pages.set(number, { words: fullWords, count: pageBits });
    this.countAbove += pageBits;
    this.#highest = Math.max(this.#highest, (number + 1) * pageBits - 1);
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

  /** How many from `first` on, above `through`, to `last` are in the set. */
  #countBetween(first: number, last: number): number {
    const end = Math.min(last, this.#highest);
    let count = 0;
    for (let from = first; from <= end; ) {
      const number = Math.floor(from / pageBits);
      const to = Math.min(end, (number + 1) * pageBits - 1);
      const page = this.#pages.get(number);
      if (page) count += countBits(page, from % pageBits, to % pageBits);
      from = to + 1;
    }
    return count;
  }
}

/** How many bits are set from bit `first` to bit `last` of a page. */
function countBits({ words, count }: Page, first: number, last: number): number {
  if (first === 0 && last === pageBits - 1) return count;
  let bits = 0;
  for (let at = first >>> 5; at <= last >>> 5; at++) {
    let word = words[at] ?? 0;
    if (at === first >>> 5) word &= -1 << (first & 31);
    if (at === last >>> 5) word &= -1 >>> (31 - (last & 31));
    bits += bitCount(word);
  }
  return bits;
}

/** Hacker's Delight (Warren, 2012), 5-1. */
function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return (Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24) & 0xff;
}
