/** One request over HTTP/1.1 as it is, for what fetch does not send: another target, an Origin, a connection of one's own. */
import { once } from 'node:events';
import { type Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { text as textOf } from 'node:stream/consumers';

export interface RequestOptions {
  headers?: Record<string, string>;
  body?: unknown;
  agent?: Agent;
  signal?: AbortSignal;
}

export interface RawAnswer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  text: string;
  /** It came over a connection that had answered another request before. */
  isReused: boolean;
}

/** `line` such as 'GET /v1/projects/…' or 'GET http://…'. */
export async function requestHttp(
  address: string,
  line: string,
  options: RequestOptions = {},
): Promise<RawAnswer> {
  const [method = '', path = ''] = line.split(' ');
  const { hostname, port } = new URL(`http://${address}`);
  const { body, headers, agent, signal } = options;
  const request = httpRequest({
    ...{ hostname, port, method, path },
    headers: { 'content-type': 'application/json', ...headers },
    ...(agent && { agent }),
    ...(signal && { signal }),
  });
  request.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(request, 'response');
  return {
    status: response.statusCode,
    headers: response.headers,
    text: await textOf(response),
    isReused: request.reusedSocket,
  };
}
