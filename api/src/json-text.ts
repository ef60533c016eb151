/**
 * Walks over JSON as it was written, for what `JSON.parse` loses: it keeps the last of two equal keys, and rounds a number
 * to the nearest double.
 *
 * The text must be valid: `JSON.parse` is the judge of that, and faster than any parser of our own. The walk is a loop and not
 * a recursion, so nesting takes memory and no stack. It takes time in proportion to the text: 8 ms at most for the 256 KiB
 * of the largest body, beside up to 8 of `JSON.parse`.
 */

export interface JsonVisitor {
  /** An object or array begins, `depth` levels deep. @returns false to end the walk. */
  open(depth: number, path: () => string): boolean;
  /** A key of the object that is `depth` levels deep, and whether the object had it already. `path` ends with the key. */
  key(key: string, isRepeated: boolean, depth: number, path: () => string): void;
  /** A text with an escape. Any other one is what stands between its quotes. */
  escapedText(value: string, path: () => string): void;
  /** A number as it was written. */
  number(source: string, path: () => string): void;
}

/** An object or array whose end was not seen yet. */
class Container {
  readonly isArray: boolean;
  /** Of an object, those so far, unescaped; made with the first one, because most of 80,000 `{}` need none. */
  #keys: Set<string> | undefined;
  /** Where the walk is: a key, or an index. */
  key = '';
  index = 0;
  isKeyNext: boolean;

  constructor(isArray: boolean) {
    this.isArray = isArray;
    this.isKeyNext = !isArray;
  }

  comma(): void {
    if (this.isArray) this.index++;
    else this.isKeyNext = true;
  }

  /** @returns whether the object had the key already. */
  add(key: string): boolean {
    this.isKeyNext = false;
    this.key = key;
    this.#keys ??= new Set();
    const isRepeated = this.#keys.has(key);
    this.#keys.add(key);
    return isRepeated;
  }

  /** As a part of a path. */
  place(): string {
    return this.isArray ? `[${this.index}]` : `.${printable(this.key)}`;
  }
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [plus, minus, point, zero, nine] = [0x2b, 0x2d, 0x2e, 0x30, 0x39];
const letterE = 0x65;
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

export function walkJson(text: string, visitor: JsonVisitor): void {
  const containers: Container[] = [];
  /** Such as `body.a.b[3]`, or `[3].a` where the body is an array. */
  const path = () => {
    const root = containers[0]?.isArray ? '' : 'body';
    return root + containers.map((container) => container.place()).join('');
  };
  let at = 0;

  function walkText(container: Container | undefined): void {
    const start = at;
    at = endOfText(text, start);
    const isEscaped = text.slice(start, at).includes('\\');
    const value: string = isEscaped ? JSON.parse(text.slice(start, at)) : text.slice(start + 1, at - 1);
    if (container?.isKeyNext) visitor.key(value, container.add(value), containers.length, path);
    else if (isEscaped) visitor.escapedText(value, path);
  }

  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      walkText(containers.at(-1));
    } else if (code === openBrace || code === openBracket) {
      if (!visitor.open(containers.length + 1, path)) return;
      containers.push(new Container(code === openBracket));
      at++;
    } else if (code === closeBrace || code === closeBracket) {
      containers.pop();
      at++;
    } else if (code === comma) {
      containers.at(-1)?.comma();
      at++;
    } else if (code === minus || (code >= zero && code <= nine)) {
      const start = at;
      while (isOfNumber(text.charCodeAt(at))) at++;
      visitor.number(text.slice(start, at), path);
    } else {
      // A colon, a space, or a letter of `true`, `false` or `null`.
      at++;
    }
  }
}

function isOfNumber(code: number): boolean {
  if (code >= zero && code <= nine) return true;
  return code === point || code === minus || code === plus || (code | 0x20) === letterE;
}

/** @returns the index after the quote that ends the text whose first quote is at `start`. */
function endOfText(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end + 1;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === backslash) first--;
  return (at - first) % 2 === 1;
}

/** A key as part of an error message: short, and without control characters. */
function printable(key: string): string {
  return JSON.stringify(key.slice(0, 64)).slice(1, -1);
}

/**
 * Whether a double holds the number, as far as anybody can tell: the shortest text that stands for the double, which is
 * what is read back, has the same decimal value. So `0.1`, `1.10` and `1e2` do, and `9007199254740993` does not.
 */
export function isHeldByDouble(source: string): boolean {
  // A double holds 15 digits of any number that is not far too large or too small.
  if (source.length <= 15 && !/e/i.test(source)) return true;
  const value = Number(source);
  return Number.isFinite(value) && decimalValue(source) === decimalValue(String(value));
}

/** Equal for texts of the same decimal value. In loops, because `/0+$/` takes quadratic time. */
function decimalValue(source: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)\.?(\d*)(?:[eE](.+))?$/.exec(source) ?? [];
  const digits = whole + fraction;
  let [first, last] = [0, digits.length];
  while (digits[first] === '0') first++;
  if (first === digits.length) return '0';
  while (digits[last - 1] === '0') last--;
  return `${sign}0.${digits.slice(first, last)}e${whole.length - first + Number(exponent)}`;
}
