/** The dashboard in a real browser, in front of real parts, one of which is killed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { viewersMax } from '../api/src/dashboard/viewers.ts';
import { dashboardPaths } from '../api/src/routes/dashboard.ts';
import { startBrowser } from './browser.ts';
import { startApi } from './parts.ts';
import { needs } from './programs.ts';
import { request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

const burstRequestsMax = 300;

const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

/** One stream of the dashboard, whose frames are kept. */
async function watch(url: string) {
  const asked = get(`${url}/dashboard/events`, { agent: false });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  // Both ends may break it off.
  response.on('error', () => {}).once('close', resolve);
  return {
    status: response.statusCode,
    retryAfter: response.headers['retry-after'],
    text: () => text,
    frames: () =>
      text
        .split('\n\n')
        .filter((part) => part.startsWith('data: '))
        .slice(0, text.endsWith('\n\n') ? undefined : -1)
        .map((part) => JSON.parse(part.slice('data: '.length))),
    async close() {
      asked.destroy();
      await closed;
    },
    closed,
  };
}

describe('the dashboard', needs('mongodb', 'chromium'), () => {
  let system: System;
  let browser: Browser;
  let url: string;

  before(async () => {
    system = await startSystem({ BURST_REQUESTS_MAX: String(burstRequestsMax) });
    url = system.api.url;
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  async function open(options: BrowserContextOptions = {}, target = url) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const troubles: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) troubles.push(message.text());
    });
    page.on('pageerror', (error) => troubles.push(error.message));
    page.on('requestfailed', (failed) => troubles.push(`${failed.url()} failed`));
    const asked = new Set<string>();
    page.on('request', (sent) => asked.add(sent.url()));
    await page.goto(target);
    await page.locator('#connection[data-state=live]').waitFor();
    return { page, troubles, asked, close: () => context.close() };
  }

  const figure = (page: Page, name: string) => page.locator(`[data-figure="${name}"]`);
  const number = async (page: Page, name: string) =>
    Number((await figure(page, name).textContent())?.replaceAll(',', ''));

  async function assertAxeFindsNothing(page: Page): Promise<void> {
    await page.evaluate(axe);
    const { violations } = (await page.evaluate('axe.run()')) as {
      violations: { id: string; impact: string; nodes: { html: string }[] }[];
    };
    const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html}`);
    assert.deepEqual(found, []);
  }

  test('loads without a word in the console, and asks nobody but the api, for what answers under any load', async () => {
    const { page, troubles, asked, close } = await open();
    for (const part of ['api', 'topic', 'writer', 'mongodb']) {
      await page.locator(`[data-part=${part}][data-state=up]`).waitFor();
    }
    assert.equal(await page.locator('figure canvas').count(), 6);
    assert.ok(asked.size > 5, [...asked].join());
    assert.deepEqual(
      [...asked].filter((target) => !dashboardPaths.some((path) => target === url + path)),
      [],
    );
    await close();
    assert.deepEqual(troubles, []);
  });

  test('its numbers move when a burst is started by the keyboard, on every page that is open', async () => {
    const [one, other] = [await open(), await open()];
    await until(
      () => number(other.page, 'documents'),
      (documents) => documents >= 0,
    );
    const documentsBefore = await number(other.page, 'documents');
    await one.page.getByLabel('Requests').fill(String(burstRequestsMax));
    await one.page.keyboard.press('Tab');
    await one.page.keyboard.press('Enter');
    const moved = until(
      () => number(other.page, 'confirmed'),
      (rate) => rate > 0,
    );
    const text = `${burstRequestsMax} of ${burstRequestsMax} requests answered`;
    await one.page.locator('#burst-status', { hasText: text }).waitFor();
    await moved;
    await until(
      () => number(other.page, 'documents'),
      (documents) => documents - documentsBefore >= 5 * burstRequestsMax,
    );
    for (const { troubles, close } of [one, other]) {
      await close();
      assert.deepEqual(troubles, []);
    }
  });

  test('shows what is refused, and why', async () => {
    const { page, close } = await open();
    await request(`${url}/api/records/no-id`);
    await page.locator('#refused tr', { hasText: 'invalid_request' }).waitFor();
    await close();
  });

  const looks: [string, BrowserContextOptions][] = [
    ['in the light', { colorScheme: 'light' }],
    ['in the dark', { colorScheme: 'dark' }],
    ['on a phone', { colorScheme: 'light', viewport: { width: 360, height: 740 } }],
  ];
  for (const [look, options] of looks) {
    test(`axe finds nothing wrong ${look}, and nothing is wider than the screen`, async () => {
      const { page, close } = await open({ ...options, reducedMotion: 'reduce' });
      await page.locator('[data-part=mongodb][data-state=up]').waitFor();
      await assertAxeFindsNothing(page);
      const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      assert.ok(Number(overflow) <= 0, `${overflow} pixels`);
      await close();
    });
  }

  test('says how many requests of a burst failed', async () => {
    await using api = await startApi({
      ...system,
      broker: { host: '127.0.0.1:1' },
      env: { BURST_REQUESTS_MAX: '100', PUBLISH_TIMEOUT_MS: '100' },
    });
    const { page, close } = await open({}, api.url);
    await page.getByLabel('Requests').fill('100');
    await page.keyboard.press('Enter');
    const status = page.locator('#burst-status[aria-live=polite]', { hasText: 'failed' });
    const [answered, failed] =
      /^(\d+) of 100 requests answered, (\d+) failed$/
        .exec((await status.textContent()) ?? '')
        ?.slice(1)
        .map(Number) ?? [];
    assert.equal(Number(answered) + Number(failed), 100);
    await close();
  });

  test('tells each page how large a burst may be, and refuses more, another origin and what is no number', async () => {
    const stream = await watch(url);
    await until(
      async () => stream.text(),
      (text) => text.includes(`{"burstRequestsMax":${burstRequestsMax}}`),
    );
    await stream.close();
    const json = { 'content-type': 'application/json' };
    const start = (body: string, headers: Record<string, string> = json) =>
      request(`${url}/dashboard/burst`, { method: 'POST', headers, body });
    for (const requests of [0, burstRequestsMax + 1, 1.5, '"1"', 'null']) {
      const { status, body } = await start(`{"requests":${requests}}`);
      assert.equal(status, 400, String(requests));
      assert.match(body.message, /^requests: wants a whole number from 1 to 300/);
    }
    assert.equal((await start('{"requests":1}', { 'content-type': 'text/plain' })).status, 415);
    const large = await start(`{"requests":1,"more":"${'x'.repeat(1_024)}"}`);
    assert.equal(large.status, 413);
    assert.equal(large.body.message, 'body: must have at most 1024 bytes.');
    assert.equal((await start('{"requests":1}', { ...json, 'sec-fetch-site': 'cross-site' })).status, 400);
    assert.equal((await request(`${url}/dashboard/burst`)).status, 405);
  });

  /** The server hears a little later that the viewer of an earlier test has left. */
  const watchOnceThereIsRoom = () =>
    until(
      () => watch(url),
      ({ status }) => status === 200,
    );

  test('refuses one viewer more than its bound with 503 and Retry-After, and takes one when another left', async () => {
    const all = await Promise.all(Array.from({ length: viewersMax }, watchOnceThereIsRoom));
    const refused = await watch(url);
    assert.equal(refused.status, 503);
    assert.equal(refused.retryAfter, '5');
    await refused.closed;
    assert.match(refused.text(), /"code":"too_many_viewers"/);
    await all.pop()?.close();
    const taken = await watchOnceThereIsRoom();
    await Promise.all([...all, taken].map((stream) => stream.close()));
  });

  test('a page that is one too many says so, does not call the api down, and gets in when another left', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const all = await Promise.all(Array.from({ length: viewersMax }, watchOnceThereIsRoom));
    await page.goto(url);
    await page.locator('#connection', { hasText: 'too many watch' }).waitFor();
    await page.locator('[data-part=api][data-state=unwatched]').waitFor();
    await Promise.all(all.map((stream) => stream.close()));
    await page.locator('#connection[data-state=live]').waitFor();
    await page.locator('[data-part=api][data-state=up]').waitFor();
    await context.close();
  });

  test('a frame holds no id and no document', async () => {
    const { body } = await request(`${url}/api/data`);
    const stream = await watch(url);
    await until(
      async () => stream.frames(),
      (frames) => frames.length > 1,
    );
    await stream.close();
    assert.doesNotMatch(stream.text(), /[0-9a-f]{24}/);
    assert.equal(body.status, 'success');
  });

  test('a writer that is killed shows within 3 seconds, to everybody, and that it is back as well', async () => {
    const { page, troubles, close } = await open({ reducedMotion: 'reduce' });
    // A live region that only comes with its first entry is not read out.
    await page.getByRole('log', { name: 'What happened' }).waitFor({ state: 'attached' });
    await page.locator('[data-part=writer][data-state=up]').waitFor();
    await system.writer.kill();
    await page.locator('[data-part=writer][data-state=down]').waitFor({ timeout: 3_000 });
    assert.match(await page.title(), /writer/);
    await page.locator('#happened li', { hasText: 'writer is down' }).waitFor();
    await assertAxeFindsNothing(page);
    await system.writer.restart();
    await page.locator('[data-part=writer][data-state=up]').waitFor();
    await close();
    assert.deepEqual(troubles, []);
  });

  test('a MongoDB that does not answer shows, and so does an api that is gone, and both come back', async () => {
    const { page, close } = await open();
    system.mongoDb.pause();
    await page.locator('[data-part=mongodb][data-state=down]').waitFor();
    system.mongoDb.resume();
    await page.locator('[data-part=mongodb][data-state=up]').waitFor();
    await system.api.kill();
    await page.locator('#connection[data-state=lost]').waitFor();
    await page.locator('[data-part=api][data-state=down]').waitFor();
    const figures = await page.locator('[data-figure], .legend dd').allTextContents();
    assert.deepEqual(new Set(figures), new Set(['–']), 'nothing that was known stands beside it');
    await system.api.restart();
    await page.locator('#connection[data-state=live]').waitFor();
    await page.locator('[data-part=api][data-state=up]').waitFor();
    const happened = await page.locator('#happened li').allTextContents();
    const ofOthers = happened.filter((text) => !/(MongoDB|api) is /.test(text));
    assert.deepEqual(ofOthers, [], 'what nobody looked at has not happened');
    await close();
  });

  /** An api whose writer says what a test wants it to. */
  async function startApiBesideWriter(context: TestContext, metrics: () => string) {
    const server = createServer((_request, response) => response.end(metrics()));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    return startApi({ ...system, env: { WRITER_METRICS_HOST: `127.0.0.1:${port}` } });
  }

  test('tells the memory of each process', async (context) => {
    const bytes = [120, 250].map((mebibytes) => mebibytes * 1024 * 1024);
    const lines = bytes.map((value, pod) => `process_resident_memory_bytes{pod="${pod}"} ${value}\n`);
    await using api = await startApiBesideWriter(context, () => lines.join(''));
    const { page, close } = await open({}, api.url);
    await page.locator('.legend dd', { hasText: /^120 \+ 250\sMiB$/ }).waitFor();
    await close();
  });

  test('asks nobody while nobody watches, once a second however many do, and offers no burst by itself', async (context) => {
    let asked = 0;
    await using api = await startApiBesideWriter(context, () => {
      asked++;
      return 'writer_batch_writes_count 1\n';
    });
    assert.equal(asked, 0);
    const streams = await Promise.all([watch(api.url), watch(api.url), watch(api.url)]);
    await until(
      async () => streams.map((stream) => stream.frames().length),
      (counts) => counts.every((count) => count >= 3),
    );
    const frames = streams[0]?.frames().length ?? 0;
    assert.ok(asked <= frames + 1, `${asked} questions for ${frames} frames`);
    await Promise.all(streams.map((stream) => stream.close()));
    const burst = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"requests":1}' };
    assert.equal((await request(`${api.url}/dashboard/burst`, burst)).status, 404);
  });

  test('a drain ends the streams', async () => {
    await using api = await startApi(system);
    const stream = await watch(api.url);
    await api.stop();
    await stream.closed;
    assert.equal(await api.exited(), 0);
  });
});
