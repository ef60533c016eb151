/**
 * Everybody who watches the dashboard: one Server-sent events stream each
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html), the same bytes for all.
 */
import type { ServerResponse } from 'node:http';
import { ApiError } from '../errors.ts';
import type { Frame } from './frame.ts';

export interface Viewers {
  /** @throws ApiError `too_many_viewers`, `draining`. */
  add(response: ServerResponse): void;
  send(frame: Frame): void;
  /** Ends all streams; the pages connect again by themselves, to another process where there is one. */
  close(): void;
}

export interface ViewersOptions {
  /** What each page is told first. */
  settings: { burstRequestsMax: number };
  onFirst: () => void;
  onLast: () => void;
}

/** 20 µs and 1 kB a frame each: 1 ms a second for all of them. */
export const viewersMax = 50;

/** A page that takes nothing for so long is asleep; it comes back by itself when it wakes up. */
const framesSkippedMax = 30;

export function createViewers({ settings, onFirst, onLast }: ViewersOptions): Viewers {
  /** How many frames in a row each could not be sent. */
  const skipped = new Map<ServerResponse, number>();
  let isClosed = false;

  return {
    add(response) {
      if (isClosed) throw new ApiError('draining', 'The server is shutting down. Try again.');
      if (skipped.size >= viewersMax) {
        throw new ApiError('too_many_viewers', `At most ${viewersMax} may watch at once. Try again.`);
      }
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      response.write(`retry: 1000\nevent: settings\ndata: ${JSON.stringify(settings)}\n\n`);
      skipped.set(response, 0);
      response.once('close', () => {
        skipped.delete(response);
        if (skipped.size === 0) onLast();
      });
      if (skipped.size === 1) onFirst();
    },
    send(frame) {
      const bytes = Buffer.from(`data: ${JSON.stringify(frame, round)}\n\n`);
      for (const [response, count] of skipped) {
        if (!response.writableNeedDrain) {
          skipped.set(response, 0);
          response.write(bytes);
        } else if (count < framesSkippedMax) skipped.set(response, count + 1);
        else response.destroy();
      }
    },
    close() {
      isClosed = true;
      for (const response of skipped.keys()) response.end();
    },
  };
}

/** Four digits are more than anybody sees. */
function round(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}
