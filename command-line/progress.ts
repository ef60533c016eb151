/** One line on a terminal that is written over; nothing where standard error is no terminal. */
let isShown = false;

export function showProgress(text: string): void {
  if (!process.stderr.isTTY) return;
  isShown = true;
  process.stderr.write(`\r\u001b[K${text.slice(0, process.stderr.columns - 1)}`);
}

export function endProgress(): void {
  if (isShown) process.stderr.write('\r\u001b[K');
  isShown = false;
}
