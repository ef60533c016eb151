/** The link of the chaos run, between a client and a server on real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { until } from '../../test/until.ts';
import { createLink, type Link } from '../chaos/link.ts';

/** What one end of a connection has seen. */
interface End {
  socket: Socket;
  received: string;
  hasEnded: boolean;
  isReset: boolean;
}

function watch(socket: Socket): End {
  const end: End = { socket, received: '', hasEnded: false, isReset: false };
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    end.received += text;
  });
  socket.on('end', () => {
    end.hasEnded = true;
  });
  socket.on('error', () => {
    end.isReset = true;
  });
  return end;
}

/** A server with a link in front, and what connects through it. */
async function startLinked(context: TestContext) {
  const accepted: End[] = [];
  const clients: End[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(watch(socket)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const link = await createLink((server.address() as AddressInfo).port);
  context.after(async () => {
    for (const { socket } of [...clients, ...accepted]) socket.destroy();
    await link.close();
    server.close();
  });

  function open(): End {
    const client = watch(connect({ port: link.port, host: '127.0.0.1', allowHalfOpen: true }));
    clients.push(client);
    return client;
  }

  /** Both ends of a connection that works. */
  async function connectBoth(): Promise<{ client: End; far: End }> {
    const count = accepted.length;
    const client = open();
    client.socket.write('hello');
    const far = await until(() => accepted[count]);
    await until(() => far?.received === 'hello');
    return { client, far: far as End };
  }
  return { link, accepted, open, connectBoth };
}

/** Whatever the link passes on late has passed when another connection has gone through it. */
async function passAnother({ link, connectBoth }: { link: Link; connectBoth(): Promise<unknown> }) {
  link.open();
  await connectBoth();
}

test('an open link passes both ways, and the end of one way while the other goes on', async (context) => {
  const { connectBoth } = await startLinked(context);
  const { client, far } = await connectBoth();
  client.socket.end('bye');
  await until(() => far.hasEnded);
  assert.equal(far.received, 'hellobye');
  far.socket.end('later');
  await until(() => client.hasEnded);
  assert.equal(client.received, 'later');
});

test('a cut resets what is connected and refuses what comes, until the link is open again', async (context) => {
  const { link, open, connectBoth } = await startLinked(context);
  const { client, far } = await connectBoth();
  link.cut();
  await until(() => client.isReset && far.isReset);
  const refused = open();
  await until(() => refused.isReset);
  link.open();
  await connectBoth();
});

test('a silent connection passes nothing and closes nothing, also when the link is open again', async (context) => {
  const linked = await startLinked(context);
  const { client, far } = await linked.connectBoth();
  linked.link.silence();
  client.socket.write('lost');
  far.socket.write('lost');
  await passAnother(linked);
  client.socket.write('late');
  far.socket.write('late');
  await passAnother(linked);
  assert.deepEqual([client.received, far.received], ['', 'hello']);
  assert.deepEqual([client.hasEnded, client.isReset, far.hasEnded, far.isReset], Array(4).fill(false));
});

test('neither side of a silent connection hears that the other one has closed or reset it', async (context) => {
  const linked = await startLinked(context);
  const ends = [await linked.connectBoth(), await linked.connectBoth(), await linked.connectBoth()];
  linked.link.silence();
  ends[0]?.client.socket.end();
  ends[1]?.client.socket.resetAndDestroy();
  ends[2]?.far.socket.resetAndDestroy();
  await passAnother(linked);
  linked.link.cut();
  await passAnother(linked);
  const left = [ends[0]?.far, ends[1]?.far, ends[2]?.client];
  assert.deepEqual(
    left.map((end) => [end?.hasEnded, end?.isReset]),
    Array(3).fill([false, false]),
  );
});

test('a connection made while the link is silent is accepted and never answered', async (context) => {
  const linked = await startLinked(context);
  linked.link.silence();
  const client = linked.open();
  client.socket.write('anybody?');
  await until(() => !client.socket.connecting);
  await passAnother(linked);
  assert.equal(linked.accepted.length, 1, 'the server has heard of the other connection alone');
  assert.deepEqual([client.received, client.hasEnded, client.isReset], ['', false, false]);
});

test('a mute link takes requests to the server and no answer back, and can be cut', async (context) => {
  const linked = await startLinked(context);
  const { client, far } = await linked.connectBoth();
  linked.link.mute();
  client.socket.write(' again');
  await until(() => far.received === 'hello again');
  far.socket.write('an answer');
  const { client: other } = await linked.connectBoth();
  linked.link.cut();
  await until(() => client.isReset && other.isReset);
  assert.equal(client.received, '');
  linked.link.open();
  await linked.connectBoth();
});
