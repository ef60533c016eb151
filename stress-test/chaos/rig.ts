/**
 * The system to be broken: every part a process of its own, a link between any two that talk, and a disk of their own
 * for the two that keep data. Each process reaches the others through links alone; whoever judges does not use them.
 *
 *   load ── client-api ── api ── api-emulator ──── emulator ── writer-emulator ── writer ── writer-mongodb ── MongoDB
 *                          └──── api-mongodb ──────────────────────────────────────────────────────────────────┘
 */
import { MongoClient } from 'mongodb';
import {
  type Backends,
  declarations,
  type NodeProcess,
  startApi,
  startEmulator,
  startMongoDb,
  startWriter,
} from '../../test/parts.ts';
import { createLink, type Link } from './link.ts';
import { createMongoDbLink, type MongoDbLink } from './mongodb-link.ts';
import { createPart, type Part, type PartName } from './part.ts';
import { mountDisk, type SmallDisk, whyNoDisk } from './small-disk.ts';

export const linkNames = [
  'client-api',
  'api-emulator',
  'api-mongodb',
  'writer-emulator',
  'writer-mongodb',
] as const;

export type LinkName = (typeof linkNames)[number];

export interface Rig {
  parts: Record<PartName, Part>;
  links: Record<Exclude<LinkName, 'writer-mongodb'>, Link> & { 'writer-mongodb': MongoDbLink };
  /** None without the right to mount one. */
  disks: Record<'emulator' | 'mongodb', SmallDisk> | undefined;
  /** Through the link. */
  apiUrl: string;
  /** Not through the link. */
  apiOwnUrl: string;
  /** More of the api's URLs that the load sends each try to; none unless a fault adds them. */
  alsoTo: string[];
  /** Not through a link. */
  broker: { host: string };
  mongo: MongoClient;
  /** Beside the first, behind the same links to broker and MongoDB. */
  startSecondApi(): Promise<NodeProcess>;
  startSecondWriter(): Promise<NodeProcess>;
  close(): Promise<void>;
}

/** Room for what a hundred rounds store, and for the files that both allocate in full. */
const diskBytes = { emulator: 512 * 1024 ** 2, mongodb: 2 * 1024 ** 3 } as const;

/**
 * SecantusDB, where it stands in for mongod, has allocated its log in full, so a full disk is felt at the next
 * checkpoint. A smaller log does not do: when its next file does not fit, SecantusDB 0.5.3-beta.196 confirms a last
 * commit that it loses (SOLUTION.md).
 */
const storage = ['--checkpoint-seconds', '1'];

/** Half of the default, so that a broker that is away is told within a round. */
const publishTimeoutMs = 2_500;

export async function startRig(): Promise<Rig> {
  const disks = whyNoDisk()
    ? undefined
    : { emulator: mountDisk(diskBytes.emulator), mongodb: mountDisk(diskBytes.mongodb) };
  const [mongoDb, broker] = await Promise.all([
    startMongoDb({ ...disks?.mongodb, storage }),
    startEmulator(JSON.stringify(declarations), disks?.emulator),
  ]);
  const mongoDbPort = portOf(mongoDb.uri);
  const brokerPort = portOf(`http://${broker.host}`);
  const inner = {
    'api-emulator': await createLink(brokerPort),
    'api-mongodb': await createLink(mongoDbPort),
    'writer-emulator': await createLink(brokerPort),
    'writer-mongodb': await createMongoDbLink(mongoDbPort),
  };
  const behind = (brokerLink: Link, mongoDbLink: Link): Backends => ({
    mongoDb: { uri: mongoDb.uri.replace(`:${mongoDbPort}/`, `:${mongoDbLink.port}/`) },
    broker: { host: `127.0.0.1:${brokerLink.port}` },
    env: { PUBLISH_TIMEOUT_MS: String(publishTimeoutMs) },
  });
  const apiBackends = behind(inner['api-emulator'], inner['api-mongodb']);
  const writerBackends = behind(inner['writer-emulator'], inner['writer-mongodb']);
  const [api, writer] = await Promise.all([startApi(apiBackends), startWriter(writerBackends)]);
  const links = { 'client-api': await createLink(portOf(api.url)), ...inner };
  const parts = {
    api: createPart('api', api),
    writer: createPart('writer', writer),
    emulator: createPart('emulator', broker),
    mongodb: createPart('mongodb', mongoDb),
  };
  const mongo = new MongoClient(mongoDb.uri, { appName: 'chaos', serverSelectionTimeoutMS: 2_000 });
  return {
    parts,
    links,
    disks,
    apiUrl: `http://127.0.0.1:${links['client-api'].port}`,
    apiOwnUrl: api.url,
    alsoTo: [],
    broker,
    mongo,
    startSecondApi: () => startApi(apiBackends),
    startSecondWriter: () => startWriter(writerBackends),
    async close() {
      await mongo.close();
      await Promise.all([parts.api.close(), parts.writer.close()]);
      await Promise.all([parts.emulator.close(), parts.mongodb.close()]);
      await Promise.all(Object.values(links).map((link) => link.close()));
    },
  };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
