/**
 * A subscription's filter: parsed once, asked for every message.
 *
 *   filter     = expression { 'AND' expression } | expression { 'OR' expression }
 *   expression = [ 'NOT' | '-' ] ( '(' filter ')' | comparison )
 *   comparison = 'attributes' ':' key | 'attributes' '.' key ( '=' | '!=' ) string
 *              | 'hasPrefix' '(' 'attributes' '.' key ',' string ')'
 *
 * AND and OR are not mixed without parentheses. https://cloud.google.com/pubsub/docs/subscription-message-filter
 */
import { invalid } from './errors.ts';
import { limits } from './limits.ts';
import type { Attributes } from './message.ts';

export type Filter = (attributes: Attributes) => boolean;

interface Token {
  kind: 'word' | 'string' | 'sign' | 'end';
  text: string;
  at: number;
}

/** @throws Refusal with the position of the first character that does not fit. */
export function parseFilter(text: string): Filter {
  if (Buffer.byteLength(text) > limits.filterBytes) {
    throw invalid(
      `The filter has ${Buffer.byteLength(text)} bytes; at most ${limits.filterBytes} are allowed.`,
    );
  }
  const parser = new Parser(tokens(text));
  const filter = parser.filter();
  parser.end();
  return filter;
}

const pattern = /\s*(?:([A-Za-z_][\w-]*)|("(?:[^"\\]|\\.)*")|(!=|[=:.,()-])|$)/suy;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  pattern.lastIndex = 0;
  while (pattern.lastIndex < text.length) {
    const begin = pattern.lastIndex;
    const match = pattern.exec(text);
    if (!match)
      throw unexpected(text.slice(begin).trimStart().slice(0, 1), begin + leadingSpace(text, begin));
    const [all, word, string, sign] = match;
    const token = word ?? string ?? sign;
    if (token === undefined) break;
    const kind = word !== undefined ? 'word' : string !== undefined ? 'string' : 'sign';
    const value = kind === 'string' ? unquote(token, begin + all.length - token.length) : token;
    found.push({ kind, text: value, at: begin + all.length - token.length });
  }
  found.push({ kind: 'end', text: 'the end', at: text.length });
  return found;
}

function leadingSpace(text: string, from: number): number {
  return text.slice(from).length - text.slice(from).trimStart().length;
}

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\x07' };

/** Of Unicode. */
const codePointMax = 0x10_ffff;

/** `at`: where it begins in the filter. */
function unquote(quoted: string, at: number): string {
  return quoted
    .slice(1, -1)
    .replaceAll(
      /\\(?:[xX]([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))/gsu,
      (whole, hex, short, long, octal, one, offset) => {
        if (octal) return String.fromCodePoint(Number.parseInt(octal, 8));
        const code = hex ?? short ?? long;
        if (!code) return escapes[one] ?? one;
        const point = Number.parseInt(code, 16);
        if (point > codePointMax) throw unexpected(whole, at + 1 + offset);
        return String.fromCodePoint(point);
      },
    );
}

function unexpected(text: string, at: number) {
  return invalid(`Invalid filter: ${text} was not expected at position ${at}.`);
}

class Parser {
  #tokens: Token[];
  #position = 0;

  constructor(found: Token[]) {
    this.#tokens = found;
  }

  filter(): Filter {
    const parts = [this.#expression()];
    const operator = this.#peek().text;
    if (operator !== 'AND' && operator !== 'OR') return parts[0] as Filter;
    while (this.#peek().kind === 'word' && this.#peek().text === operator) {
      this.#position++;
      parts.push(this.#expression());
    }
    const { kind, text, at } = this.#peek();
    if (kind === 'word' && (text === 'AND' || text === 'OR')) {
      throw invalid(`Invalid filter: AND and OR need parentheses to be combined, at position ${at}.`);
    }
    return operator === 'AND'
      ? (attributes) => parts.every((part) => part(attributes))
      : (attributes) => parts.some((part) => part(attributes));
  }

  end(): void {
    const { kind, text, at } = this.#peek();
    if (kind !== 'end') throw unexpected(text, at);
  }

  #expression(): Filter {
    if (this.#peek().text === 'NOT' || this.#peek().text === '-') {
      this.#position++;
      const negated = this.#expression();
      return (attributes) => !negated(attributes);
    }
    if (this.#peek().text === '(' && this.#peek().kind === 'sign') {
      this.#position++;
      const inner = this.filter();
      this.#take('sign', ')');
      return inner;
    }
    return this.#peek().text === 'hasPrefix' ? this.#prefix() : this.#comparison();
  }

  #prefix(): Filter {
    this.#take('word', 'hasPrefix');
    this.#take('sign', '(');
    this.#take('word', 'attributes');
    this.#take('sign', '.');
    const key = this.#key();
    this.#take('sign', ',');
    const prefix = this.#take('string').text;
    this.#take('sign', ')');
    return (attributes) => attributes.get(key)?.startsWith(prefix) ?? false;
  }

  #comparison(): Filter {
    this.#take('word', 'attributes');
    const sign = this.#take('sign');
    if (sign.text === ':') {
      const key = this.#key();
      return (attributes) => attributes.has(key);
    }
    if (sign.text !== '.') throw unexpected(sign.text, sign.at);
    const key = this.#key();
    const operator = this.#take('sign');
    if (operator.text !== '=' && operator.text !== '!=') throw unexpected(operator.text, operator.at);
    const value = this.#take('string').text;
    return operator.text === '='
      ? (attributes) => attributes.get(key) === value
      : (attributes) => attributes.get(key) !== value;
  }

  #key(): string {
    const token = this.#peek();
    if (token.kind !== 'word' && token.kind !== 'string') throw unexpected(token.text, token.at);
    this.#position++;
    return token.text;
  }

  #peek(): Token {
    return this.#tokens[Math.min(this.#position, this.#tokens.length - 1)] as Token;
  }

  #take(kind: Token['kind'], text?: string): Token {
    const token = this.#peek();
    if (token.kind !== kind || (text !== undefined && token.text !== text)) {
      throw unexpected(token.text, token.at);
    }
    this.#position++;
    return token;
  }
}
