/** The rows, in their order, and what stands over each. */
export const titles = {
  official: 'The official Node client, messages of 3,000 B, 1,000 a publish',
  batches: 'A raw gRPC client: messages a publish × their size',
  memory: 'Memory against a backlog, messages of 3,000 B, MB of 1,000,000 B',
  start: 'Start to first publish',
  idle: 'Idle',
  restart: 'After a restart',
  limits: 'In a cgroup of 256 MiB and half a core, messages of 3,000 B',
} as const;

export type RowName = keyof typeof titles;
export const rowNames = Object.keys(titles) as RowName[];
