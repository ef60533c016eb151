/** Whether each part on the way of a write does what it should, in one sentence for people. */
import { ownFailures } from '../errors.ts';
import type { Figures, Frame, Part } from './frame.ts';
import { type Process, silencesMax } from './processes.ts';
import { total, totalsBy } from './samples.ts';

export interface PartsInput {
  /** Undefined where nobody said where the writer is. */
  writers: Process[] | undefined;
  /** The other processes of the api, undefined when it only looks at itself. */
  apis: Process[] | undefined;
  api: Figures;
  writer: Figures;
  /** Rounds in which the broker, or MongoDB, did not answer. */
  brokerSilences: number;
  mongoDbSilences: number;
  /** Seconds that the oldest write has waited; null when it is not known. */
  oldestAge: number | null;
}

/** Seconds: a burst of a minute is what the broker is for; what waits for longer is not being stored as it comes. */
const oldestAgeMax = 60;

export function judgeParts(input: PartsInput): Frame['parts'] {
  return {
    api: judgeApi(input),
    topic: judgeTopic(input),
    writer: judgeWriter(input),
    mongodb: judgeSilences(input.mongoDbSilences, 'does not answer; writes wait in the broker') ?? {
      state: 'up',
      text: 'answers',
    },
  };
}

function judgeApi({ api, apis }: PartsInput): Part {
  const silent = silentText(apis);
  if (silent) return { state: 'trouble', text: silent };
  const refused = api.grown ? totalsBy(api.grown, 'api_requests_refused_total', 'code') : {};
  const codes = Object.keys(refused).filter((code) => ownFailures.has(code) && (refused[code] ?? 0) > 0);
  if (codes.length > 0) return { state: 'trouble', text: `refuses requests: ${codes.join(', ')}` };
  return { state: 'up', text: apis && apis.length > 1 ? `${apis.length} processes answer` : 'answers' };
}

/** One answer that came late is a busy part, not one that is gone. */
function judgeSilences(silences: number, text: string): Part | undefined {
  if (silences === 0) return undefined;
  return silences < silencesMax ? { state: 'trouble', text: 'answers slowly' } : { state: 'down', text };
}

function judgeTopic({ brokerSilences, oldestAge }: PartsInput): Part {
  const silent = judgeSilences(brokerSilences, 'does not answer; requests get 503');
  if (silent) return silent;
  if (oldestAge !== null && oldestAge > oldestAgeMax) {
    return { state: 'trouble', text: `the oldest write waits for ${Math.round(oldestAge)} s` };
  }
  return { state: 'up', text: 'confirms writes' };
}

function judgeWriter({ writers, writer }: PartsInput): Part {
  if (!writers) return { state: 'unwatched', text: 'not watched: WRITER_METRICS_HOST is not set' };
  const silent = silentText(writers);
  const present = writers.filter(({ isGone }) => !isGone).length;
  if (present === 0) return { state: 'down', text: 'does not answer; writes wait in the broker' };
  if (silent) return { state: 'trouble', text: silent };
  const retries = writer.grown ? (total(writer.grown, 'writer_bulk_write_retries_total') ?? 0) : 0;
  if (retries > 0) return { state: 'trouble', text: 'repeats bulkWrite calls that MongoDB did not take' };
  return { state: 'up', text: present > 1 ? `${present} processes store` : 'stores' };
}

function silentText(processes: Process[] | undefined): string | undefined {
  const all = processes ?? [];
  const gone = all.filter(({ isGone }) => isGone).length;
  if (gone > 0) return `${gone} of ${all.length} processes do not answer`;
  return all.some(({ sample }) => !sample) ? 'answers slowly' : undefined;
}
