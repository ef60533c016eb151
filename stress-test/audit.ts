/**
 * Proves after a load that every confirmed id is in MongoDB exactly once: none missing, none double.
 * `npm run audit -- --help` says how to run it.
 *
 * What was confirmed comes from the outside: from the answers that the clients of the load received.
 *
 * None missing: each id that was written down is looked up. A load of the audit's own writes down all of
 * them, k6 about one request in 50 or more.
 *
 * None double: an id cannot be there twice, so a double is a document that no request accounts for, and
 * shows only in the count. The run added at least 5 documents for each confirmed request, and at most 5
 * more for each request whose outcome is unknown.
 *
 * The documents are counted by the time in their ids. The api makes ids when a request arrives, and no
 * request was sent before the first full second, by the api's clock, after `beganAt`. So the documents
 * of that second and later are those of the run, whatever the collection held before and whatever an
 * older backlog still adds; and what a faulty writer adds under ids of its own carries the writer's time,
 * which is later, and counts as well. `before` is that same count when the run begins: 0, unless ids of
 * the future are there. For a run of k6 it is taken to be 0.
 *
 * With keys (--keys, stress-test.js with KEYS) every request has an idempotency key and is repeated until it is confirmed,
 * so the run added exactly 5 documents for each key. The ids of keys have no time in them and are counted apart: all of
 * the collection, before and after the run, beside what the time in other ids counts. A double that a faulty api or writer
 * makes under an id of either kind counts. `before` is what the load of the audit's own counts, or `npm run stress`
 * before it starts k6. An older backlog with ids of keys has to be stored by then.
 *
 * The limits. Whatever else writes from the beginning of the run to the end of the audit counts as
 * doubles, and without keys so does a GET that a client or a proxy repeats by itself and gets answered: k6 does,
 * when a kept-alive connection breaks and can be opened anew at once. A double counts when the writer's clock
 * is not behind the beginning of the run. An id that the clock of another api replica dates before the run
 * is counted where it was written down, so all have to be then (RECORD_EVERY=1). A redelivery that comes
 * later than --quiet-period after the last arrival is not waited for: the leases of a writer that died last 10 s,
 * but Google's emulator (0.8.20) goes on sending to the dead one too, and redelivers without a bound.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { exitCodes, runCommand } from '../command-line/command.ts';
import { formatCount } from '../command-line/count.ts';
import { endProgress, showProgress } from '../command-line/progress.ts';
import { onStopSignals } from '../command-line/stop-signals.ts';
import { readApiClock } from './api-client.ts';
import { awaitArrival } from './arrival.ts';
import { type AuditOptions, help, readOptions } from './audit-options.ts';
import { findProblems, firstSecond, idsCount } from './judgement.ts';
import { readK6Run } from './k6-run.ts';
import { driveLoad } from './load.ts';
import { openMongoDb } from './mongodb.ts';
import { createOutFolder } from './out-folder.ts';
import { formatJson, formatReport } from './report.ts';
import { type Run, unknownCount } from './run.ts';
import { createStoredRecords, type StoredRecords } from './stored-records.ts';

async function audit(options: AuditOptions): Promise<number> {
  const { mongo, database } = await openMongoDb();
  try {
    const records = createStoredRecords(database);
    const { run, documentsBefore } = await obtainRun(options.source, records);
    console.error('waiting until what was confirmed is stored');
    const arrival = await awaitArrival(run, records, {
      documentsBefore,
      settleMs: options.settleMs,
      quietMs: options.quietMs,
      onProgress({ idsFound, documentsAfter }, sinceLastMs) {
        const seconds = Math.floor(sinceLastMs / 1000);
        showProgress(
          `${formatCount(idsFound)} of ${formatCount(idsCount(run))} ids found, ` +
            `${formatCount(documentsAfter - documentsBefore)} documents, last arrival ${seconds} s ago`,
          idsFound / idsCount(run),
        );
      },
    });
    endProgress();
    const findings = { ...arrival, run, documentsBefore };
    process.stdout.write(options.isJson ? formatJson(findings) : formatReport(findings));
    return findProblems(findings).length === 0 ? exitCodes.passed : exitCodes.failed;
  } finally {
    await mongo.close();
  }
}

async function obtainRun(source: AuditOptions['source'], records: StoredRecords) {
  if (source.kind === 'k6') {
    onStopSignals({ onFirst: () => process.exit(exitCodes.interrupted) });
    return { run: await readK6Run(source), documentsBefore: source.documentsBefore };
  }
  const load = source;
  await createOutFolder(load.folder);
  const beganAt = await readApiClock(load.baseUrl);
  await pause(1_000); // into the first second in which nothing has an id
  const first = firstSecond({ beganAt });
  const keyedBefore = load.isKeyed ? await records.countKeyed() : 0;
  const documentsBefore = keyedBefore + (await records.countFrom(first, first));
  const stopping = new AbortController();
  let isLoading = true;
  onStopSignals({ onFirst: () => (isLoading ? stopping.abort() : process.exit(exitCodes.interrupted)) });
  const seconds = load.durationMs / 1000;
  console.error(`load: ${load.connections} connections to ${load.baseUrl} for ${seconds} s, Ctrl-C ends it`);
  const run = await driveLoad(
    {
      ...load,
      keys: load.isKeyed ? {} : undefined,
      idsFile: join(load.folder, 'ids.txt'),
      signal: stopping.signal,
      onProgress(soFar, elapsedMs) {
        const text = `${Math.floor(elapsedMs / 1000)} s: ${describe(soFar)}`;
        showProgress(text, elapsedMs / load.durationMs);
      },
    },
    beganAt,
  );
  isLoading = false;
  endProgress();
  console.error(`load: ${describe(run)}`);
  return { run, documentsBefore };
}

function describe(run: Run): string {
  const [confirmed, refused, unknown] = [run.confirmed, run.refused, unknownCount(run)].map(formatCount);
  const kinds = Object.entries(run.failures).map(([kind, count]) => `${formatCount(count)} × ${kind}`);
  const listed = kinds.length === 0 ? '' : ` (${kinds.join(', ')})`;
  if (run.keyed) {
    return `${confirmed} confirmed, ${formatCount(run.keyed.repeats)} repeats, ${unknown} not confirmed yet${listed}`;
  }
  return `${confirmed} confirmed, ${refused} refused, ${unknown} unknown${listed}`;
}

await runCommand({
  command: 'npm run audit --',
  help,
  read: () => readOptions(process.argv.slice(2), process.env),
  run: audit,
});
