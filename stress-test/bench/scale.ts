/** How much is measured. */
export interface Scale {
  rounds: number;
  /** Before the first round, so that the code is compiled. */
  warmSeconds: number;
  /** Of one load of wrk. */
  seconds: number;
  /** Of the load that stands for the assessment's users. */
  users: number;
  usersSeconds: number;
  /** What k6 is told of the profile, and what that is. */
  k6Args: string[];
  k6Load: string;
  /** With 5 s, k6 and the system fill two cores between them, and it is the machine that is measured. */
  thinkSeconds: number;
  /** Documents that the writer has to drain. */
  backlogWrites: number;
  /** Users of the load at a fixed rate, one request a second each. */
  fixedRate: number;
  /** Processes of a kind. */
  apiCounts: number[];
  writerCounts: number[];
  /** Characters of a caller's own document, which takes about 100 bytes more where it is stored. */
  documentSizes: number[];
  /** Documents in the collection, growing. */
  collectionWrites: number[];
}

export const full: Scale = {
  rounds: 3,
  warmSeconds: 5,
  seconds: 10,
  users: 10_000,
  usersSeconds: 60,
  k6Args: ['-e', 'PROFILE=short'],
  k6Load: 'a tenth of each stage’s time, up to 10,000 users',
  thinkSeconds: 10,
  backlogWrites: 1_000_000,
  fixedRate: 1_000,
  apiCounts: [1, 2],
  writerCounts: [1, 2, 4],
  documentSizes: [500, 2_000, 4_000, 8_000, 16_000],
  collectionWrites: [10_000, 100_000, 1_000_000, 10_000_000],
};

export const quick: Scale = {
  rounds: 1,
  warmSeconds: 1,
  seconds: 1,
  users: 100,
  usersSeconds: 2,
  k6Args: ['--vus', '20', '--duration', '2s'],
  k6Load: '20 users for 2 s',
  thinkSeconds: 1,
  backlogWrites: 5_000,
  fixedRate: 50,
  apiCounts: [2],
  writerCounts: [2],
  documentSizes: [2_000],
  collectionWrites: [1_000, 3_000],
};
