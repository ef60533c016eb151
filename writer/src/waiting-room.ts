/**
 * Bounds the leased messages that wait for a remedy: for a dead-letter topic that does not confirm, or for a MongoDB that
 * refuses everything. What finds no place goes back to the broker, so that there are leases left for good writes.
 *
 * open → closed while the writer drains: nothing enters, and who waits gives up, because a stop does not wait for a
 * remedy.
 */
export interface WaitingRoom {
  /** Takes a place; false without one. A message over the bound of bytes enters when nobody else is there. */
  enter(bytes: number): boolean;
  leave(bytes: number): void;
  isFull(): boolean;
  /** Aborted when the room is closed. */
  signal(): AbortSignal;
  close(): void;
  open(): void;
}

export function createWaitingRoom(bounds: { messagesMax: number; bytesMax: number }): WaitingRoom {
  let messages = 0;
  let bytes = 0;
  let closing = new AbortController();

  return {
    enter(more) {
      const fits = messages < bounds.messagesMax && bytes + more <= bounds.bytesMax;
      if (closing.signal.aborted || !(fits || messages === 0)) return false;
      messages++;
      bytes += more;
      return true;
    },
    leave(less) {
      messages--;
      bytes -= less;
    },
    isFull: () => messages >= bounds.messagesMax || bytes >= bounds.bytesMax,
    signal: () => closing.signal,
    close: () => closing.abort(),
    open() {
      closing = new AbortController();
    },
  };
}
