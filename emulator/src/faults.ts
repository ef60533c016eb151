/**
 * Errors and delays that a test asks for, to see how its clients take them: rules that are looked at before a unary method
 * and before a StreamingPull opens. The first that meets a call acts on it, and one with a `count` is gone after as
 * many. They are in memory only. Without rules a call costs the look at an empty list.
 */
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import type { output } from 'zod';
import { StatusError, type StatusName, statusCodes } from './methods/status.ts';

const faultsMax = 100;
/** Longer than any client's default deadline. */
const delayMsMax = 600_000;
const messageCharactersMax = 1_000;

const codes = (Object.keys(statusCodes) as StatusName[]).filter((code) => code !== 'OK');

const require = createRequire(import.meta.url);

/** zod takes 30 ms of CPU to load, a fifth of a start that needs no faults. */
function createSchema(methods: Iterable<string>) {
  const { z }: typeof import('zod') = require('zod');
  const fault = z
    .strictObject({
      /** `Publish`; `*` for all. */
      method: z.enum(['*', ...methods]),
      /** Without it the call goes on after the delay. */
      code: z.enum(codes).optional(),
      message: z.string().max(messageCharactersMax).optional(),
      probability: z.number().gt(0).max(1).default(1),
      delayMs: z.int().min(0).max(delayMsMax).default(0),
      /** How many calls it acts on; without it, all. */
      count: z.int().min(1).optional(),
    })
    .refine(({ code, delayMs }) => code !== undefined || delayMs > 0, {
      error: 'wants a code, a delayMs or both',
    })
    .refine(({ code, message }) => code !== undefined || message === undefined, {
      error: 'has a message without a code',
    });
  return z.array(fault).max(faultsMax);
}

type Schema = ReturnType<typeof createSchema>;
export type Fault = output<Schema>[number];

export class Faults {
  #schema: Schema | undefined;
  #paths: ReadonlySet<string>;
  #faults: Fault[] = [];

  /** @param paths of the gRPC methods that they can act on. */
  constructor(paths: Iterable<string>) {
    this.#paths = new Set(paths);
  }

  /** With the `count` that is left. */
  list(): readonly Fault[] {
    return this.#faults;
  }

  /** In place of those that were. @throws StatusError INVALID_ARGUMENT that names each bad field. */
  replace(json: unknown): void {
    this.#schema ??= createSchema(new Set([...this.#paths].map(methodOf)));
    const result = this.#schema.safeParse(json);
    if (!result.success) {
      const issues = result.error.issues.map(({ path, message }) => `faults${pathText(path)}: ${message}`);
      throw new StatusError('INVALID_ARGUMENT', issues.join('; '));
    }
    this.#faults = result.data;
  }

  clear(): void {
    this.#faults = [];
  }

  /** @returns undefined when the call may go on at once; else a promise of that. Rejects with StatusError. */
  before(path: string): Promise<void> | undefined {
    if (this.#faults.length === 0 || !this.#paths.has(path)) return undefined;
    const method = methodOf(path);
    const meets = (fault: Fault) =>
      (fault.method === '*' || fault.method === method) && Math.random() < fault.probability;
    const fault = this.#faults.find(meets);
    if (!fault) return undefined;
    if (fault.count !== undefined) {
      fault.count--;
      if (fault.count === 0) this.#faults = this.#faults.filter((other) => other !== fault);
    }
    return act(fault);
  }
}

async function act({ method, code, message, delayMs }: Fault): Promise<void> {
  // The process may end meanwhile.
  if (delayMs > 0) await delay(delayMs, undefined, { ref: false });
  if (code)
    throw new StatusError(code, message ?? `A fault for ${method} was asked for at /_emulator/faults.`);
}

function methodOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
}
