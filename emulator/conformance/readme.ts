/** The sections of the emulator's README that are written by the code they speak of. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { limits } from '../src/broker/limits.ts';
import { usage } from '../src/config.ts';

const path = join(import.meta.dirname, '../README.md');

const sections = ['flags', 'limits', 'conformance'] as const;
type Section = (typeof sections)[number];

const begin = (section: Section) => `<!-- ${section}: written by npm run conformance -- --write -->`;
const end = (section: Section) => `<!-- end of ${section} -->`;

export function readSection(section: Section): string {
  const [from, to, text] = find(section);
  return text.slice(from, to);
}

export function writeSection(section: Section, content: string): void {
  const [from, to, text] = find(section);
  writeFileSync(path, `${text.slice(0, from)}${content}${text.slice(to)}`);
}

function find(section: Section): [from: number, to: number, text: string] {
  const text = readFileSync(path, 'utf8');
  const from = text.indexOf(begin(section));
  const to = text.indexOf(end(section));
  if (from < 0 || to < from) throw new Error(`${path} has no section ${section}`);
  return [from + begin(section).length + 2, to - 2, text];
}

export function flagsSection(): string {
  return `\`\`\`\n${usage.trim()}\n\`\`\``;
}

const words: Record<keyof typeof limits, string> = {
  messagesPerPublish: 'messages of a publish',
  publishBytes: 'bytes of a publish request',
  attributesPerMessage: 'attributes of a message',
  attributeKeyBytes: 'bytes of an attribute key',
  attributeValueBytes: 'bytes of an attribute value',
  orderingKeyBytes: 'bytes of an ordering key',
  ackDeadlineSecondsMin: 'shortest ack deadline, s',
  ackDeadlineSecondsMax: 'longest ack deadline, s',
  retentionSecondsMin: 'shortest message retention, s',
  retentionSecondsMax: 'longest message retention, s',
  retentionSecondsDefault: "a subscription's message retention by default, s",
  expirationSecondsMin: 'shortest expiration of a subscription, s',
  expirationSecondsDefault: 'expiration of a subscription by default, s',
  backoffSecondsMax: 'longest backoff of a retry policy, s',
  backoffSecondsMinDefault: 'minimum backoff by default, s',
  backoffSecondsMaxDefault: 'maximum backoff by default, s',
  deliveryAttemptsMin: 'fewest delivery attempts before the dead-letter topic',
  deliveryAttemptsMax: 'most delivery attempts before the dead-letter topic',
  deliveryAttemptsDefault: 'delivery attempts by default',
  topicsPerProject: 'topics of a project',
  subscriptionsPerProject: 'subscriptions of a project',
  subscriptionsPerTopic: 'subscriptions of a topic',
  snapshotsPerProject: 'snapshots of a project',
  snapshotSeconds: 'life of a snapshot, less the age of its oldest message, s',
  snapshotSecondsMin: 'a snapshot that would live shorter is refused, s',
  filterBytes: 'bytes of a filter',
  labelsPerResource: 'labels of a resource',
  pageSize: 'resources of a page',
  pullMessages: 'messages of a Pull',
  ackRequestBytes: 'bytes of a request of acks',
};

export function limitsSection(): string {
  const rows = Object.entries(limits).map(
    ([key, value]) => `| ${words[key as keyof typeof limits]} | ${value.toLocaleString('en')} |`,
  );
  return ['| limit | |', '| --- | --: |', ...rows].join('\n');
}
