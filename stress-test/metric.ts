/**
 * One figure of a process's Prometheus text, asked for by its name: all of them would cost the process milliseconds.
 * @throws Error when it has none of that name, or does not answer.
 */
export async function readMetric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics?name=${name}`)).text();
  const figure = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
  if (figure === undefined) throw new Error(`${url}/metrics has no ${name}`);
  return Number(figure);
}

const requestDuration = 'api_http_request_duration_seconds';

/** How many requests to GET /api/data an api has answered with success. */
export async function readAnsweredCount(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics?name=${requestDuration}`)).text();
  const labels = '\\{(?=[^}]*route="data")(?=[^}]*status="200")[^}]*\\}';
  return Number(new RegExp(`^${requestDuration}_count${labels} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}
