/**
 * What a number of users needs, from what a request costs (SOLUTION.md, "Capacity"). Plain proportion: the costs are
 * those of a machine that is full. With less load a request costs more, because fewer share an envelope; then there is
 * room for that.
 */
import { createWrites, encodedBytes, type Write, writesPerRequest } from '@assessment/api/envelope';
import { BSON } from 'mongodb';

/** CPU µs a request, by part. */
export interface Costs {
  api: number;
  broker: number;
  writer: number;
  mongoDb: number;
}

/** `npm run bench -- --only steady` at commit 5052296, with SecantusDB in place of mongod. */
export const measuredCosts: Costs = { api: 70, broker: 17, writer: 29, mongoDb: 87 };

/** Cores of a pod at most, by its manifest, and how much of them is planned with, as the api's autoscaler does. */
const cores = { api: 1, broker: 0.5, writer: 0.5, mongoDb: 0.5 } as const;
const planned = 0.7;

const writes = createWrites(new Date());
/** An entry of the index on `_id`. */
const indexBytes = 30;
/** Of one write, in the broker and in MongoDB. */
const bytes = { inBroker: mean(writes.map(encodedBytes)), stored: mean(writes.map(sizeStored)) } as const;

/** The volumes of the manifests, and what the emulator is told to fill of its own. */
const volumeBytes = { broker: 3 * 1024 ** 3, mongoDb: 2 * 1024 ** 3 } as const;

/**
 * The least of what Pub/Sub lets a project publish in a region unless more is asked for, bytes/s:
 * https://docs.cloud.google.com/pubsub/quotas, small regions.
 */
const pubsubQuotaBytes = 50e6;

export interface Demand {
  users: number;
  /** Between an answer and a user's next request, and until an answer. */
  thinkSeconds: number;
  answerSeconds: number;
  /** How long all of them are there. */
  loadSeconds: number;
}

export interface Capacity {
  requestsPerSecond: number;
  documentsPerSecond: number;
  apiPods: number;
  /** For each MongoDB node. */
  writerPods: number;
  /** Of a core of the project's emulator, and whether its pod has that. */
  brokerCores: number;
  isEmulatorEnough: boolean;
  publishedBytesPerSecond: number;
  pubsubQuotaShare: number;
  /** Documents a second that one MongoDB node stores when it has nothing else to do. */
  storedPerSecondMax: number;
  /** MongoDB nodes, each with its share of the documents, that would store it as fast as it comes. */
  mongoDbNodes: number;
  storedBytesPerSecond: number;
  /** Until one node's volume is full. */
  volumeSeconds: number;
  /** What waits at the end of the load with one node, and how long that takes to drain. */
  backlogDocuments: number;
  backlogBytes: number;
  drainSeconds: number;
  /** Whether the emulator's volume holds that. */
  isBacklogHeld: boolean;
}

export function computeCapacity(demand: Demand, costs: Costs): Capacity {
  const { users, thinkSeconds, answerSeconds, loadSeconds } = demand;
  const requestsPerSecond = users / (thinkSeconds + answerSeconds);
  const documentsPerSecond = requestsPerSecond * writesPerRequest;
  const coresOf = (perRequest: number, rate: number) => (perRequest * rate) / 1e6;
  const storedPerSecondMax = (cores.mongoDb * 1e6 * writesPerRequest) / costs.mongoDb;
  const storedPerSecond = Math.min(documentsPerSecond, storedPerSecondMax);
  const brokerCores = coresOf(costs.broker, requestsPerSecond);
  const publishedBytesPerSecond = documentsPerSecond * bytes.inBroker;
  const backlogDocuments = (documentsPerSecond - storedPerSecond) * loadSeconds;
  const backlogBytes = backlogDocuments * bytes.inBroker;
  const storedBytesPerSecond = storedPerSecond * bytes.stored;
  return {
    requestsPerSecond,
    documentsPerSecond,
    apiPods: Math.ceil(coresOf(costs.api, requestsPerSecond) / (cores.api * planned)),
    writerPods: Math.ceil(
      coresOf(costs.writer, storedPerSecond / writesPerRequest) / (cores.writer * planned),
    ),
    brokerCores,
    isEmulatorEnough: brokerCores <= cores.broker * planned,
    publishedBytesPerSecond,
    pubsubQuotaShare: publishedBytesPerSecond / pubsubQuotaBytes,
    storedPerSecondMax,
    mongoDbNodes: Math.ceil(documentsPerSecond / (storedPerSecondMax * planned)),
    storedBytesPerSecond,
    volumeSeconds: volumeBytes.mongoDb / storedBytesPerSecond,
    backlogDocuments,
    backlogBytes,
    drainSeconds: backlogDocuments / storedPerSecondMax,
    isBacklogHeld: backlogBytes <= volumeBytes.broker,
  };
}

function sizeStored(write: Write): number {
  return BSON.calculateObjectSize(write) + indexBytes;
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
