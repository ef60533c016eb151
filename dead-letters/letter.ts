/** A message of the dead-letter topic: what it holds and why it is there. */
import { decodeEnvelope, UnreadableEnvelope, type Write } from '@assessment/api/envelope';

export interface Letter {
  /** Of the letter itself; that of the message it was is the attribute `messageId`. */
  id: string;
  publishTime: Date;
  /** As the writer's dead-letter.ts sets them. */
  attributes: Record<string, string>;
  data: Buffer;
}

/** What a list holds of a letter, without its data. */
export interface LetterSummary {
  id: string;
  publishTime: string;
  bytes: number;
  /** In the envelope; null when it cannot be read. */
  writes: number | null;
  reason: string;
  attributes: Record<string, string>;
}

export function summarize(letter: Letter): LetterSummary {
  const content = readContent(letter);
  return {
    id: letter.id,
    publishTime: letter.publishTime.toISOString(),
    bytes: letter.data.length,
    writes: 'writes' in content ? content.writes.length : null,
    reason: letter.attributes.reason ?? '',
    attributes: letter.attributes,
  };
}

export function readContent({ data }: Letter): { writes: Write[] } | { problem: string } {
  try {
    return { writes: decodeEnvelope(data) };
  } catch (error) {
    if (!(error instanceof UnreadableEnvelope)) throw error;
    return { problem: error.message };
  }
}

/** Such as `1/2`, where one letter could not hold the message; only whole ones can be published again. */
export function partOf({ attributes }: Letter): string | undefined {
  return attributes.part;
}
