/** All methods with one request and one response, by their gRPC path: one table, which gRPC and REST both call. */
import type { Broker } from '../broker/broker.ts';
import type { UnaryMethod } from './method.ts';
import { publisherMethods } from './publisher.ts';
import { subscriberMethods } from './subscriber.ts';
import { unsupportedMethods } from './unsupported.ts';

export function createMethods(broker: Broker): ReadonlyMap<string, UnaryMethod> {
  return new Map([...publisherMethods(broker), ...subscriberMethods(broker), ...unsupportedMethods(broker)]);
}
