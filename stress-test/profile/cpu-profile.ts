/**
 * What V8 writes for `node --cpu-prof`: a tree of calls, and which of its nodes was running at each sample.
 * https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile
 */
import { z } from 'zod';

const profileSchema = z.object({
  /** µs of the system's monotonic clock, as in `process.hrtime`. */
  startTime: z.number(),
  endTime: z.number(),
  nodes: z.array(
    z.looseObject({
      id: z.number(),
      callFrame: z.looseObject({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
    }),
  ),
  samples: z.array(z.number()),
  /** µs since the sample before, or the start. */
  timeDeltas: z.array(z.number()),
});

export type CpuProfile = z.infer<typeof profileSchema>;
type CallFrame = CpuProfile['nodes'][number]['callFrame'];

/** µs of its own time, without what it called. */
export type Shares = Map<string, number>;

export function parseProfile(json: string): CpuProfile {
  return profileSchema.parse(JSON.parse(json));
}

/** What ran between two times of the monotonic clock, in µs, without the time in which nothing did. */
export function cut(profile: CpuProfile, from: number, to: number): CpuProfile {
  const idle = new Set(
    profile.nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id),
  );
  const samples: number[] = [];
  const timeDeltas: number[] = [];
  let at = profile.startTime;
  for (const [index, sample] of profile.samples.entries()) {
    const delta = profile.timeDeltas[index] ?? 0;
    at += delta;
    if (at < from || at > to || idle.has(sample)) continue;
    samples.push(sample);
    timeDeltas.push(delta);
  }
  const busy = timeDeltas.reduce((sum, delta) => sum + delta, 0);
  return { ...profile, samples, timeDeltas, startTime: 0, endTime: busy };
}

export function shareByPackage(profile: CpuProfile): Shares {
  return shareBy(profile, packageOf);
}

export function shareByFunction(profile: CpuProfile): Shares {
  return shareBy(profile, (frame) => {
    const { functionName, url, lineNumber } = frame;
    const name = functionName || '(anonymous)';
    const file = url.split('/').at(-1);
    return file ? `${packageOf(frame)}: ${name} (${file}:${lineNumber + 1})` : `${packageOf(frame)}: ${name}`;
  });
}

/** In the order of their time. */
function shareBy({ nodes, samples, timeDeltas }: CpuProfile, name: (frame: CallFrame) => string): Shares {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, name(callFrame)]));
  const shares: Shares = new Map();
  for (const [index, sample] of samples.entries()) {
    const key = names.get(sample) ?? 'unknown';
    shares.set(key, (shares.get(key) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return new Map([...shares].sort(([, a], [, b]) => b - a));
}

/** The project's own folders, packages by their name, Node's own code, and what is no JavaScript. */
function packageOf({ functionName, url }: CallFrame): string {
  const packages = [...url.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)];
  const last = packages.at(-1)?.[1];
  if (last) return last;
  const own = /\/(api|writer|emulator)\/src\//.exec(url)?.[1];
  if (own) return own;
  if (url.startsWith('node:')) return 'Node';
  return functionName.startsWith('(') ? functionName : 'native';
}
