/** The gRPC front: its services, its limits on requests, and how it closes. */
import type { Socket } from 'node:net';
import {
  Server,
  ServerCredentials,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Broker } from '../broker/broker.ts';
import { defineService } from './definitions.ts';
import { createHealth, healthDefinition } from './health.ts';
import { createPublisher } from './publisher.ts';
import { createSubscriber } from './subscriber.ts';

export interface GrpcFront {
  /** Takes a connection that speaks HTTP/2. */
  connect(socket: Socket): void;
  /** Refuses new calls with UNAVAILABLE. */
  drain(): void;
  /** Resolves when all calls are answered and connections closed, or were cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Above the 10 MiB of a publish, so that one over it gets the broker's answer; over this grpc-js refuses at once. */
const receiveBytesMax = 16 * 1024 * 1024;

export function createGrpcFront(broker: Broker): GrpcFront {
  const server = new Server({
    'grpc.max_receive_message_length': receiveBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': 1024 * 1024,
  });
  let isDraining = false;
  const guarded = (methods: UntypedServiceImplementation) =>
    Object.fromEntries(
      Object.entries(methods).map(([name, method]) => [name, guard(method, () => isDraining)]),
    );
  server.addService(defineService('google.pubsub.v1.Publisher'), guarded(createPublisher(broker)));
  server.addService(defineService('google.pubsub.v1.Subscriber'), guarded(createSubscriber(broker)));
  server.addService(
    healthDefinition,
    createHealth(() => !isDraining),
  );
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    connect: (socket) => injector.injectConnection(socket),
    drain() {
      isDraining = true;
    },
    async close(graceMs) {
      const closed = Promise.withResolvers<void>();
      server.tryShutdown(() => closed.resolve());
      injector.drain(graceMs);
      const timer = setTimeout(() => closed.resolve(), graceMs);
      await closed.promise;
      clearTimeout(timer);
      injector.destroy();
      server.forceShutdown();
    },
  };
}

function guard(method: UntypedHandleCall, isDraining: () => boolean): UntypedHandleCall {
  const refused = { code: status.UNAVAILABLE, details: 'The emulator is shutting down.' };
  return ((call: { emit(event: string, error: unknown): void }, callback?: (error: unknown) => void) => {
    if (!isDraining()) return (method as unknown as (...args: unknown[]) => unknown)(call, callback);
    if (callback) callback(refused);
    else call.emit('error', refused);
  }) as unknown as UntypedHandleCall;
}
