/** What one stream may have outstanding. A limit of 0 or less is none, as the service's documentation says. */

export class FlowControl {
  messages = 0;
  bytes = 0;
  #messagesMax: number;
  #bytesMax: number;

  constructor({ messagesMax, bytesMax }: { messagesMax: number; bytesMax: number }) {
    this.#messagesMax = messagesMax > 0 ? messagesMax : Number.POSITIVE_INFINITY;
    this.#bytesMax = bytesMax > 0 ? bytesMax : Number.POSITIVE_INFINITY;
  }

  /** A message over the limit of bytes is still delivered when nothing else is outstanding. */
  wouldExceed(bytes: number): boolean {
    if (this.messages === 0) return false;
    return this.messages >= this.#messagesMax || this.bytes + bytes > this.#bytesMax;
  }

  add(bytes: number): void {
    this.messages++;
    this.bytes += bytes;
  }

  remove(bytes: number): void {
    this.messages--;
    this.bytes -= bytes;
  }
}
