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
