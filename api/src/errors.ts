/** Every failure that a caller of the api can be told of, with its HTTP status, in one table. */

interface Failure {
  status: number;
  retryAfterSeconds?: number;
  /** The system's own doing, not the caller's: what the dashboard and the alert RequestsRefused are about. */
  isOwn?: true;
}

const failures = {
  invalid_request: { status: 400 },
  unauthorized: { status: 401 },
  not_found: { status: 404 },
  method_not_allowed: { status: 405 },
  request_timeout: { status: 408 },
  burst_running: { status: 409 },
  payload_too_large: { status: 413 },
  unsupported_media_type: { status: 415 },
  expectation_failed: { status: 417 },
  /** The key was used before with another body. */
  idempotency_key_reused: { status: 422 },
  headers_too_large: { status: 431 },
  internal: { status: 500, isOwn: true },
  /** Refused before anything was published: none of its writes is or will be stored. */
  overloaded: { status: 503, retryAfterSeconds: 1, isOwn: true },
  draining: { status: 503, retryAfterSeconds: 1 },
  /** Given up on while still waiting for its turn: none of its writes is or will be stored. */
  publish_not_sent: { status: 503, retryAfterSeconds: 2, isOwn: true },
  /** The broker's answer did not come in time or was an error: the writes may or may not be stored. */
  publish_unconfirmed: { status: 503, retryAfterSeconds: 2, isOwn: true },
  database_unavailable: { status: 503, retryAfterSeconds: 2, isOwn: true },
  too_many_viewers: { status: 503, retryAfterSeconds: 5 },
} satisfies Record<string, Failure>;

export type FailureCode = keyof typeof failures;

export const failureCodes = Object.keys(failures) as FailureCode[];

/** Codes of failures that are the system's own doing. */
export const ownFailures: ReadonlySet<string> = new Set(
  failureCodes.filter((code) => 'isOwn' in failures[code]),
);

/** `message` goes to the caller as it is: no stack, no address, no secret in it. `cause` goes to the log. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly code: FailureCode;
  /** The documents that may be stored, where the code leaves that open. */
  readonly ids: readonly string[] | undefined;

  constructor(code: FailureCode, message: string, options: ErrorOptions & { ids?: readonly string[] } = {}) {
    super(message, options);
    this.code = code;
    this.ids = options.ids;
  }

  get status(): number {
    return failures[this.code].status;
  }

  /** Seconds for the Retry-After header, where trying again makes sense. */
  get retryAfterSeconds(): number | undefined {
    const failure: Failure = failures[this.code];
    return failure.retryAfterSeconds;
  }

  get body(): string {
    return JSON.stringify({ status: 'error', code: this.code, message: this.message, ids: this.ids });
  }
}

/** For what comes, or is not there yet, when the process shuts down. */
export const draining = new ApiError('draining', 'The server is shutting down. Try again.');
