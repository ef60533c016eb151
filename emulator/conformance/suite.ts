/** All checks, in the order of the table. */
import type { Feature } from './check.ts';
import { deadLetter } from './features/dead-letter.ts';
import { exactlyOnce } from './features/exactly-once.ts';
import { filter } from './features/filter.ts';
import { flowControl } from './features/flow-control.ts';
import { health } from './features/health.ts';
import { leases } from './features/leases.ts';
import { limits } from './features/limits.ts';
import { listing } from './features/lists.ts';
import { ordering } from './features/ordering.ts';
import { processes } from './features/process.ts';
import { publish } from './features/publish.ts';
import { pull } from './features/pull.ts';
import { push } from './features/push.ts';
import { refused } from './features/refused.ts';
import { rest } from './features/rest.ts';
import { restart } from './features/restart.ts';
import { retry } from './features/retry.ts';
import { seek } from './features/seek.ts';
import { snapshots } from './features/snapshots.ts';
import { streamingPull } from './features/streaming-pull.ts';
import { subscriptions } from './features/subscriptions.ts';
import { topics } from './features/topics.ts';

export const suite: readonly Feature[] = [
  topics,
  subscriptions,
  listing,
  publish,
  pull,
  streamingPull,
  flowControl,
  leases,
  deadLetter,
  retry,
  ordering,
  filter,
  exactlyOnce,
  snapshots,
  seek,
  push,
  limits,
  rest,
  restart,
  processes,
  health,
  refused,
];
