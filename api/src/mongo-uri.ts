/** What MONGODB_URI says, and what the services do not take from it. The driver itself reads hosts, users, TLS and the rest. */
import { MongoClient, type WriteConcernSettings } from 'mongodb';
import { names } from './names.ts';

/** https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions, on any operating system. */
const databaseNamePattern = /^[^/\\. "$*<>:|?\0]{1,63}$/;

/** mongo.ts sets these for each service, because the stated time limits and bounds rest on them. */
const ownOptions = [
  'connectTimeoutMS',
  'heartbeatFrequencyMS',
  'maxPoolSize',
  'serverSelectionTimeoutMS',
  'socketTimeoutMS',
  'waitQueueTimeoutMS',
  // Without any effect in the driver since 7.8.
  'timeoutMS',
];

/** Returns the database that the URI names, or `assessmentdb`. The driver's own default would be `test`. */
export function databaseName(uri: string): string {
  const named = /^mongodb(?:\+srv)?:\/\/[^/?]+\/([^/?]+)/.exec(uri)?.[1];
  return named ? decodeURIComponent(named) : names.database;
}

/**
 * Returns the write concern that the URI names. What it leaves out is `majority` and the journal: on a replica set no
 * failover takes back what was acknowledged, and no crash of the machine does on a single node.
 */
export function writeConcern(uri: string): WriteConcernSettings {
  const { w, journal, wtimeoutMS } = new MongoClient(uri).options.writeConcern ?? {};
  return { w: w ?? 'majority', journal: journal ?? true, ...(wtimeoutMS !== undefined && { wtimeoutMS }) };
}

/** Returns the rule that `uri` breaks, undefined where it breaks none. The text quotes no value but that of `w`. */
export function problemOfUri(uri: string): string | undefined {
  try {
    if (!databaseNamePattern.test(databaseName(uri))) return 'names a database that MongoDB does not allow';
    if (writeConcern(uri).w === 0) {
      return (
        'has the option `w=0`, with which MongoDB acknowledges nothing. ' +
        '`w` must be 1 or more, or a name such as `majority`, because an envelope is acknowledged after its documents'
      );
    }
  } catch {
    // The driver throws for a host or an option that it does not take, and names it, at times with its value.
    return 'must be a URI that the driver takes, such as mongodb://127.0.0.1:27017/assessmentdb';
  }
  const given = optionNames(uri);
  const refused = ownOptions.find((name) => given.has(name.toLowerCase()));
  return refused && `has the option \`${refused}\`, which each service sets by itself. Leave it out`;
}

/** Returns the options that `uri` names, in lower case, because MongoDB's URIs do not distinguish it. */
export function optionNames(uri: string): Set<string> {
  const options = new URLSearchParams(uri.split('?')[1]);
  return new Set([...options.keys()].map((name) => name.toLowerCase()));
}
