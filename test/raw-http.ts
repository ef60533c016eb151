/** HTTP as bytes: what no client library would send, and everything that comes back. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = createConnection({ host: hostname, port: Number(port) });
  // A server that ends a connection over which more is coming resets it.
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes as they are, and returns what comes back until the connection ends. */
export async function exchange(url: string, bytes: string | Buffer): Promise<string> {
  const socket = await openSocket(url);
  socket.write(bytes);
  return readToEnd(socket);
}

export async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece;
  });
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

/** @throws Error when it is not whole answers with a Content-Length each, as `methods` were sent. */
export function parseAnswers(text: string, methods: readonly string[] = []): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest !== '') {
    const [, status, head = ''] = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n([\s\S]*?)\r\n\r\n/.exec(rest) ?? [];
    if (!status) throw new Error(`not an answer: ${rest.slice(0, 200)}`);
    rest = rest.slice(rest.indexOf('\r\n\r\n') + 4);
    if (status === '100') continue;
    const headers = new Map(
      head.split('\r\n').map((line) => {
        const at = line.indexOf(':');
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
      }),
    );
    // What is no HTTP has no method either: its refusal has a body always.
    const isEmpty = status === '304' || (methods[answers.length] === 'HEAD' && rest === '');
    const length = isEmpty ? 0 : Number(headers.get('content-length'));
    if (!(rest.length >= length)) throw new Error(`cut off, or without a length: ${text.slice(0, 500)}`);
    answers.push({ status: Number(status), headers, body: rest.slice(0, length) });
    rest = rest.slice(length);
  }
  return answers;
}
