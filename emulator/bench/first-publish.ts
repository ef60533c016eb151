/** From the start of a process to the first publish that it confirms. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createRawClient } from './raw-client.ts';

const pauseMs = 2;
const giveUpAfterMs = 60_000;

/** Creates `topic` unless it is there: one that forgot it has to. @returns ms since `begin`. */
export async function untilPublished(host: string, topic: string, begin: number): Promise<number> {
  await untilAccepts(host, begin);
  for (;;) {
    const client = createRawClient(host);
    try {
      await client.publish(topic, { count: 1, perRequest: 1, bytes: 3_000 }).catch(async () => {
        await client.createTopic(topic);
        await client.publish(topic, { count: 1, perRequest: 1, bytes: 3_000 });
      });
      return performance.now() - begin;
    } catch (error) {
      if (performance.now() - begin > giveUpAfterMs) throw error;
    } finally {
      client.close();
    }
    await pause(pauseMs);
  }
}

/** A gRPC client that is refused waits a second before it tries again; this one does not. */
async function untilAccepts(host: string, begin: number): Promise<void> {
  const [address, port] = host.split(':');
  for (;;) {
    const socket = connect(Number(port), address);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (performance.now() - begin > giveUpAfterMs) throw error;
    } finally {
      socket.destroy();
    }
    await pause(pauseMs);
  }
}
