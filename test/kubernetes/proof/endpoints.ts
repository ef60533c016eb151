/** Asks each endpoint once, through the address given, and prints what came; exit code 1 for a wrong answer. */
const [baseUrl = 'http://api'] = process.argv.slice(2);
const { writes } = await ask('/api/data', 200);
await ask('/api/stats', 200);
await ask('/healthz', 200);
await ask('/readyz', 200);
await ask('/servez', 200);
await ask('/metrics', 200);
await ask(`/api/records/${'0'.repeat(24)}`, 404);
await askUntilStored(`/api/records/${writes[0]}`);

// biome-ignore lint/suspicious/noExplicitAny: whatever came
async function ask(path: string, wanted: number): Promise<any> {
  const response = await fetch(baseUrl + path, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  console.log(`${response.status} ${path} ${text.slice(0, 120).replaceAll('\n', ' ')}`);
  if (response.status !== wanted) process.exitCode = 1;
  return text.startsWith('{') ? JSON.parse(text) : text;
}

/** It is stored a moment after it was confirmed. */
async function askUntilStored(path: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { status } = await fetch(baseUrl + path, { signal: AbortSignal.timeout(10_000) });
    if (status !== 404) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await ask(path, 200);
}
