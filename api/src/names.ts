/** Topic, subscription and namespace names that every part agrees on. They are not settings. */
export const names = {
  topic: 'writes',
  subscription: 'writes-writer',
  deadLetterTopic: 'writes-dead-letter',
  deadLetterSubscription: 'writes-dead-letter-audit',
  database: 'assessmentdb',
  collection: 'records',
} as const;
