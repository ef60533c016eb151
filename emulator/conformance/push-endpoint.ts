/** Where push subscriptions post to: a real HTTP server on a free port. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Pushed {
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Endpoint {
  url: string;
  pushed: Pushed[];
  /** The first `count` that came, once there are so many. */
  take(count: number): Promise<Pushed[]>;
  close(): Promise<void>;
}

/** Answers with `statuses` in turn, with the last one from then on; never where one is 0. */
export async function startEndpoint(statuses: readonly number[]): Promise<Endpoint> {
  const pushed: Pushed[] = [];
  let changed = () => {};
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const status = statuses[Math.min(pushed.length, statuses.length - 1)] ?? 204;
    pushed.push({ headers: request.headers, body });
    if (status !== 0) response.writeHead(status).end();
    changed();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/push`,
    pushed,
    async take(count) {
      while (pushed.length < count) {
        const { promise, resolve } = Promise.withResolvers<void>();
        changed = resolve;
        await promise;
      }
      return pushed.slice(0, count);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
