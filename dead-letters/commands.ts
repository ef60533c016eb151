/** What the commands do with the letters that are leased; each returns what it found or did. */
import { reasonOf } from '../command-line/reason.ts';
import { CutShort, type Leases } from './leases.ts';
import { type Letter, type LetterSummary, partOf, summarize } from './letter.ts';
import type { Selection } from './options.ts';

export interface Listing {
  letters: LetterSummary[];
  /** There are more than were asked for, or may be: it was stopped, or could not hold more. */
  isCut: boolean;
}

export interface Done {
  /** Replayed or dropped. */
  ids: string[];
  /** Asked for, and not there. */
  missing: string[];
  /** Not done, and still there. */
  failed: { id: string; reason: string }[];
  /** Came back while the command ran, because the writer could not store them this time either. */
  cameBack: number;
  /** Why it ended early; what was not done is there as before. */
  brokenOff?: string;
}

export type OnProgress = (letters: number) => void;

export async function list(leases: Leases, limit: number, onProgress: OnProgress): Promise<Listing> {
  const letters: LetterSummary[] = [];
  let isCut = false;
  try {
    for await (const batch of leases.read()) {
      letters.push(...batch.map(summarize));
      onProgress(letters.length);
      isCut = letters.length > limit;
      if (isCut) break;
    }
  } catch (error) {
    if (!(error instanceof CutShort)) throw error;
    isCut = true;
  }
  return { letters: letters.slice(0, limit), isCut };
}

/** Undefined when it is not there. @throws CutShort when it may be among those that were not looked at. */
export async function find(leases: Leases, id: string, onProgress: OnProgress): Promise<Letter | undefined> {
  for await (const batch of leases.read()) {
    onProgress(leases.heldCount());
    const letter = batch.find((one) => one.id === id);
    if (letter) return letter;
  }
  return undefined;
}

/** Each is acknowledged when `publish` has confirmed it. `publish` resolves with the id of the new message. */
export async function replay(
  leases: Leases,
  selection: Selection,
  publish: (letter: Letter) => Promise<string>,
  onProgress: OnProgress,
): Promise<Done> {
  const published = new Set<string>();
  const done: Done = { ids: [], missing: [], failed: [], cameBack: 0 };

  async function publishOne(letter: Letter): Promise<Letter | undefined> {
    if (partOf(letter) !== undefined) {
      done.failed.push({ id: letter.id, reason: 'is a part of a message that no envelope can be' });
      return undefined;
    }
    try {
      published.add(await publish(letter));
      return letter;
    } catch (error) {
      done.failed.push({ id: letter.id, reason: reasonOf(error) });
      return undefined;
    }
  }

  await forEachBatch(leases, selection, done, async (batch) => {
    const back = batch.filter(({ attributes }) => published.has(attributes.messageId ?? ''));
    done.cameBack += back.length;
    const sent = await Promise.all(batch.filter((letter) => !back.includes(letter)).map(publishOne));
    const confirmed = sent.filter((letter) => letter !== undefined);
    await leases.acknowledge(confirmed);
    done.ids.push(...confirmed.map(({ id }) => id));
    onProgress(done.ids.length);
  });
  return done;
}

export async function drop(leases: Leases, selection: Selection, onProgress: OnProgress): Promise<Done> {
  const done: Done = { ids: [], missing: [], failed: [], cameBack: 0 };
  await forEachBatch(leases, selection, done, async (batch) => {
    await leases.acknowledge(batch);
    done.ids.push(...batch.map(({ id }) => id));
    onProgress(done.ids.length);
  });
  return done;
}

/** Ends as soon as every id that was asked for was there. */
async function forEachBatch(
  leases: Leases,
  { ids }: Selection,
  done: Done,
  act: (batch: Letter[]) => Promise<void>,
): Promise<void> {
  const wanted = new Set(ids);
  try {
    for await (const batch of leases.read()) {
      await act(ids ? batch.filter(({ id }) => wanted.delete(id)) : batch);
      if (ids && wanted.size === 0) return;
    }
    done.missing = [...wanted];
  } catch (error) {
    done.brokenOff = reasonOf(error);
  }
}
