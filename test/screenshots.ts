/**
 * The README's pictures of the dashboard: `npm run screenshots` starts the system, puts a load on it, and writes
 * docs/dashboard-*.png. By `--out FOLDER` somewhere else.
 */
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { CannotRun } from '../command-line/cannot-run.ts';
import { exitCodes, runCommand } from '../command-line/command.ts';
import { formatCount } from '../command-line/count.ts';
import { parseFlags, readFolder } from '../command-line/flags.ts';
import { endProgress, showProgress } from '../command-line/progress.ts';
import { startBrowser } from './browser.ts';
import { needs } from './programs.ts';
import { startSystem } from './system.ts';
import { until } from './until.ts';

const help = `Takes the README's pictures of the dashboard.

  npm run screenshots -- [--out FOLDER]

  --out FOLDER   where they are written; default docs
  --help         this text

Needs chromium on PATH, and MongoDB as the tests do.
Exit code: 0 taken, 1 not, 2 bad usage or a part is not there, 130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run screenshots
  npm run screenshots -- --out /tmp
`;

const burstRequests = 15_000;
/** Before the burst, so that it is seen where it begins. */
const calmMs = 6_000;

const looks: Record<string, BrowserContextOptions> = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
};

/** @throws BadUsage */
function readOptions(args: string[]): { folder: string } | 'help' {
  const { values } = parseFlags(args, {
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return 'help';
  return { folder: readFolder(values.out ?? join(import.meta.dirname, '../docs')) };
}

async function takeAll({ folder }: { folder: string }): Promise<number> {
  const { skip } = needs('mongodb', 'chromium');
  if (skip) throw new CannotRun(skip);
  showProgress('starting the system');
  const system = await startSystem({ BURST_REQUESTS_MAX: String(burstRequests) });
  const browser = await startBrowser();

  async function take(page: Page, look: string, isScreenOnly = false): Promise<void> {
    const path = join(folder, `dashboard-${look}.png`);
    await page.screenshot({ path, fullPage: !isScreenOnly });
    endProgress();
    console.log(path);
  }

  try {
    const pages: Record<string, Page> = {};
    for (const [look, options] of Object.entries(looks)) {
      const page = await (await browser.newContext(options)).newPage();
      await page.goto(system.api.url);
      await page.locator('#connection[data-state=live]').waitFor();
      pages[look] = page;
    }
    const { light, dark, phone } = pages;
    if (!light || !dark || !phone) throw new Error('not every page is open');
    showProgress('before the burst');
    await light.waitForTimeout(calmMs);
    await light.getByLabel('Requests').fill(String(burstRequests));
    await light.getByRole('button').click();
    const answered = async () => (await light.locator('#burst-status').textContent()) ?? '';
    await until(answered, (text) => {
      const count = Number.parseInt(text.replaceAll(',', ''), 10) || 0;
      showProgress(`${formatCount(count)} of ${formatCount(burstRequests)} requests`, count / burstRequests);
      return count > burstRequests / 2;
    });
    await take(light, 'light');
    await take(phone, 'phone', true);
    showProgress('without the writer');
    await system.writer.kill();
    await dark.locator('[data-part=writer][data-state=down]').waitFor();
    await light.waitForTimeout(3_000);
    await take(dark, 'dark');
  } finally {
    await browser.close();
    await system.stop();
  }
  return exitCodes.passed;
}

await runCommand({
  command: 'npm run screenshots --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: takeAll,
  crashExitCode: exitCodes.failed,
});
