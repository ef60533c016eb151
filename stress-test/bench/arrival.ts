/** What the audit finds after a load, as figures. */
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { awaitArrival } from '../arrival.ts';
import { documentBounds } from '../judgement.ts';
import type { Run } from '../run.ts';
import { createStoredRecords } from '../stored-records.ts';
import type { Figures } from './figures.ts';
import type { System } from './subjects.ts';

/** Everything is stored before it begins, so that nothing more is on its way but a double. */
const patience = { settleMs: 10_000, quietMs: 2_000 } as const;

export async function addAudit(
  figures: Figures,
  row: string,
  contender: string,
  { mongoDb }: System,
  run: Run,
): Promise<void> {
  const mongo = createMongoClient(mongoDb.uri, { appName: 'bench', poolSizeMax: 1 });
  try {
    const records = createStoredRecords(openDatabase(mongo, mongoDb.uri));
    const arrival = await awaitArrival(run, records, { documentsBefore: 0, onProgress() {}, ...patience });
    const { min, max } = documentBounds(run);
    const add = (name: string, value: number) =>
      figures.add({ row, name, unit: '', better: 'lower', target: 0 }, contender, value);
    add('confirmed ids missing', arrival.idsMissing.length);
    add('documents missing', Math.max(0, min - arrival.documentsAfter));
    add('documents too many', Math.max(0, arrival.documentsAfter - max));
    const lookedUp = { row, name: 'confirmed ids looked up', unit: '', better: 'higher' } as const;
    figures.add(lookedUp, contender, arrival.idsFound);
  } finally {
    await mongo.close();
  }
}
