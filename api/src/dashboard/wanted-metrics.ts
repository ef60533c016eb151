/** The metrics that a frame is made of, by the process that has them. */
export const wanted = {
  api: new Set([
    'api_requests_total',
    'api_http_request_duration_seconds',
    'api_requests_refused_total',
    'api_requests_in_flight',
    'api_publish_duration_seconds',
    'api_writes_confirmed_total',
    'api_mongodb_operations',
    'api_mongodb_operations_limit',
    'process_resident_memory_bytes',
  ]),
  writer: new Set([
    'writer_batches_total',
    'writer_batch_writes',
    'writer_bulk_write_duration_seconds',
    'writer_bulk_write_retries_total',
    'writer_writes_inserted_total',
    'writer_envelopes_total',
    'writer_mongodb_operations',
    'writer_mongodb_operations_limit',
    'process_resident_memory_bytes',
  ]),
  emulator: new Set([
    'pubsub_emulator_unacked_messages',
    'pubsub_emulator_outstanding_messages',
    'pubsub_emulator_oldest_unacked_seconds',
    'process_resident_memory_bytes',
  ]),
} as const;
