/** One line on a terminal that is written over; nothing where standard error is no terminal. */
let isShown = false;

const barWidth = 20;

/** @param share of the work that is done, where it is known: from 0 to 1, drawn as a bar. */
export function showProgress(text: string, share?: number): void {
  if (!process.stderr.isTTY) return;
  isShown = true;
  const line = share === undefined ? text : `${drawBar(share)} ${text}`;
  // Some terminals do not say how wide they are.
  process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns || 80) - 1)}`);
}

export function endProgress(): void {
  if (isShown) process.stderr.write('\r\u001b[K');
  isShown = false;
}

/** Calls `show` with the seconds since, at once and then every second until `work` has ended. */
export async function showEverySecond<Value>(
  work: Promise<Value>,
  show: (seconds: number) => void,
): Promise<Value> {
  let seconds = 0;
  show(seconds);
  const timer = setInterval(() => show(++seconds), 1_000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

function drawBar(share: number): string {
  const done = Math.round(Math.min(Math.max(share, 0), 1) * barWidth);
  return '█'.repeat(done) + '░'.repeat(barWidth - done);
}
