/** Breaks the whole system, part by part and in pairs, under load. `npm run chaos -- --help` says how. */
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { endProgress, showEverySecond, showProgress } from '../../command-line/progress.ts';
import { needs } from '../../test/programs.ts';
import { NotJudged } from '../run.ts';
import { type ChaosOptions, help, readOptions } from './options.ts';
import { planRounds } from './plan.ts';
import { findChaosProblems, formatChaos, formatRound } from './report.ts';
import { startRig } from './rig.ts';
import { countDoubles, type RoundResult, runRound } from './round.ts';

async function runChaos({ rounds, seed, among, isJson }: ChaosOptions): Promise<number> {
  const { skip } = needs('mongodb');
  if (skip) throw new NotJudged(skip);
  console.error(
    `seed ${seed}: ${rounds} rounds of 15 s, or 30 with a silent connection, at most; Ctrl-C ends everything`,
  );
  showProgress('starting the system');
  const rig = await startRig();
  const results: RoundResult[] = [];
  try {
    for (const strikes of planRounds(seed, among)) {
      const number = results.length + 1;
      const what = strikes.map(({ fault }) => fault.name).join(' + ');
      const result = await showEverySecond(runRound(rig, strikes), (seconds) =>
        showProgress(`${number} of ${rounds}: ${what}, ${seconds} s`, results.length / rounds),
      );
      results.push(result);
      endProgress();
      console.error(formatRound(result, number));
      if (number === rounds) break;
    }
    showProgress('reading all documents');
    const judged = { seed, rounds: results, ...(await countDoubles(rig)) };
    const findings = { ...judged, problems: findChaosProblems(judged) };
    endProgress();
    process.stdout.write(isJson ? `${JSON.stringify(findings)}\n` : formatChaos(findings));
    return findings.problems.length === 0 ? exitCodes.passed : exitCodes.failed;
  } finally {
    await rig.close();
  }
}

await runCommand({
  command: 'npm run chaos --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: runChaos,
});
