/** The writer's settings: the only reader of its environment. */
import { envelopeWritesMax } from '@assessment/api/envelope';
import { integer, port, sharedVariables } from '@assessment/api/environment';
import { recordsMax } from '@assessment/api/record-document';
import { z } from 'zod';

const mebibyte = 1024 * 1024;

export const configSchema = z.object({
  ...sharedVariables,
  PORT: port(3001),
  /** Envelopes leased at once. Small ones cost about 2 kB each beside their bytes. */
  LEASED_MESSAGES_MAX: integer(2_000, { min: 1, max: 100_000 }),
  /**
   * Bytes leased at once: 91,000 writes of 275 bytes, two seconds' work. With that much the process takes 194 MiB
   * (SOLUTION.md), and its pod has 256.
   */
  LEASED_BYTES_MAX: integer(24 * mebibyte, { min: mebibyte, max: 1024 * mebibyte }),
  /** Documents of one bulkWrite: two of the largest envelopes, so that a batch is not half full where one is left out. */
  BATCH_WRITES_MAX: integer(2 * envelopeWritesMax, { min: 1, max: 100_000 }),
  /**
   * Bytes of one batch's envelopes. As documents packed writes take 2.2 times as much, and what is over MongoDB's 48 MB
   * the driver sends in parts.
   */
  BATCH_BYTES_MAX: integer(4 * mebibyte, { min: 1024, max: 40 * mebibyte }),
  /** How long the first envelope of a batch waits for others. */
  BATCH_AGE_MAX_MS: integer(20, { min: 0, max: 60_000 }),
  /** Of MongoDB's 10 write tickets; the sum over all replicas has to stay within them. */
  WRITE_CONCURRENCY: integer(2, { min: 1, max: 10 }),
  /**
   * Documents that MongoDB refuses for what they hold, one after the other with none stored in between, until no refusal
   * is believed any more. Twice what one request holds, so that no single caller stops the dead letters; and with fewer
   * a poison document on an idle system is not held for ever. A change that makes MongoDB refuse everything sends fewer
   * than this to the dead letters.
   */
  REFUSED_IN_A_ROW_MAX: integer(2 * recordsMax, { min: 1, max: 1_000_000 }),
  /** How long a drain may take before the process gives up and exits 1; leases then pass to others. */
  DRAIN_TIMEOUT_MS: integer(20_000, { min: 100, max: 300_000 }),
});
