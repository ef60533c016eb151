import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { findFreePort, startProcess } from '../../test/process.ts';
import { limitConnectTime } from '../src/connect-limit.ts';

/** Takes one or two connections into its queue, and then lets every other wait. */
const deaf = `require('node:net').createServer().listen({ host: '127.0.0.1', port: +process.argv[1], backlog: 1 },
  () => console.log('listening'))`;

test('ends an attempt to connect that is not answered, and leaves connections alone', async () => {
  const port = await findFreePort();
  await using server = await startProcess({
    command: process.execPath,
    args: ['--eval', deaf, String(port)],
    ready: /listening/,
  });
  server.pause();
  limitConnectTime(200);
  limitConnectTime(1);
  const sockets: Socket[] = [];
  const ended = Promise.withResolvers<NodeJS.ErrnoException>();
  for (let count = 0; count < 8; count++) {
    sockets.push(connect(port, '127.0.0.1').on('error', ended.resolve));
  }
  const error = await ended.promise;
  assert.equal(error.code, 'ETIMEDOUT');
  assert.equal(error.message, 'no connection within 200 ms');
  for (const socket of sockets) socket.destroy();

  const listening = createServer((socket) => setTimeout(() => socket.end('late'), 500)).listen(
    0,
    '127.0.0.1',
  );
  await once(listening, 'listening');
  const { port: openPort } = listening.address() as { port: number };
  const [answer] = await once(connect(openPort, '127.0.0.1'), 'data');
  assert.equal(String(answer), 'late');
  listening.close();
});
