/**
 * MongoDB's errors, told to the writer in place of its reply. In each the documents were stored or were not, as both
 * happens; only a duplicate key is always said of what is stored.
 *
 * Codes and replies: https://www.mongodb.com/docs/manual/reference/error-codes/
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Document, ObjectId } from 'mongodb';
import { replayDeadLetters } from '../dead-letters.ts';
import type { Treatment } from '../mongodb-link.ts';
import type { Random } from '../random.ts';
import type { Rig } from '../rig.ts';
import type { Fault, Moment } from './fault.ts';

const touches = ['writer-mongodb'];

export const mongoDbErrors: Fault[] = [
  {
    name: 'error-write-errors',
    touches,
    run: (rig, moment) =>
      answerInserts(rig, moment, (ids, random) => ({
        isForwarded: isStored(random),
        reply: () => writeErrors(ids, 112, 'WriteConflict error: this operation conflicted with another'),
      })),
  },
  {
    name: 'error-not-primary',
    touches,
    run: (rig, moment) =>
      answerInserts(rig, moment, (_ids, random) => ({
        isForwarded: isStored(random),
        reply: () => commandError(10107, 'NotWritablePrimary', 'not primary'),
      })),
  },
  {
    name: 'error-timeout',
    touches,
    run: (rig, moment) =>
      answerInserts(rig, moment, (ids, random) => ({
        isForwarded: isStored(random),
        reply: () =>
          random.pick([
            commandError(50, 'MaxTimeMSExpired', 'operation exceeded time limit'),
            writeConcernTimeout(ids),
          ]),
      })),
  },
  {
    name: 'error-no-reply',
    touches,
    async run(rig, moment) {
      const silent = { isForwarded: isStored(moment.random), reply: () => undefined };
      await answerInserts(rig, moment, () => silent);
      // What waits for a reply hears of it when the connection ends.
      rig.links['writer-mongodb'].cut();
      rig.links['writer-mongodb'].open();
    },
  },
  {
    name: 'error-duplicate-key',
    touches,
    run: (rig, moment) =>
      answerInserts(rig, moment, (ids) => ({
        isForwarded: true,
        reply: () =>
          writeErrors(ids, 11000, 'E11000 duplicate key error collection: assessmentdb.records index: _id_'),
      })),
  },
  {
    name: 'error-document-too-large',
    touches,
    async run(rig, moment) {
      await refuseOneDocument(rig, moment);
      moment.note(`${await replayDeadLetters(rig.broker)} dead letters replayed`);
    },
  },
];

function isStored(random: Random): boolean {
  return random.next() < 0.5;
}

async function answerInserts(
  rig: Rig,
  { holdMs, random, note }: Moment,
  treat: (ids: ObjectId[], random: Random) => Treatment,
): Promise<void> {
  let answered = 0;
  const { promise: first, resolve } = Promise.withResolvers<void>();
  rig.links['writer-mongodb'].treatInserts((ids) => {
    answered++;
    resolve();
    return treat(ids, random);
  });
  await first;
  await pause(holdMs);
  rig.links['writer-mongodb'].treatInserts(undefined);
  note(`${answered} inserts answered`);
}

/** The first document that comes; whatever holds it is refused whole, until it has come alone. */
async function refuseOneDocument(rig: Rig, { holdMs }: Moment): Promise<void> {
  let refused: ObjectId | undefined;
  const { promise: isAlone, resolve } = Promise.withResolvers<void>();
  rig.links['writer-mongodb'].treatInserts((ids) => {
    refused ??= ids[0];
    if (!ids.some((id) => refused?.equals(id))) return undefined;
    if (ids.length === 1) resolve();
    return {
      isForwarded: false,
      reply: () => commandError(10334, 'BSONObjectTooLarge', 'object to insert too large'),
    };
  });
  await isAlone;
  await pause(holdMs);
  rig.links['writer-mongodb'].treatInserts(undefined);
}

function commandError(code: number, codeName: string, errmsg: string): Document {
  return { ok: 0, code, codeName, errmsg };
}

function writeErrors(ids: ObjectId[], code: number, errmsg: string): Document {
  return { ok: 1, n: 0, writeErrors: ids.map((_, index) => ({ index, code, errmsg })) };
}

function writeConcernTimeout(ids: ObjectId[]): Document {
  const writeConcernError = { code: 64, codeName: 'WriteConcernFailed', errmsg: 'waiting timed out' };
  return { ok: 1, n: ids.length, writeConcernError };
}
