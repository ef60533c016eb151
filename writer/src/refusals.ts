/**
 * What a failed write means: is it MongoDB's state, which passes, or what the document holds, which does not?
 *
 * Codes and their names: https://www.mongodb.com/docs/manual/reference/error-codes/, and with their categories
 * https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
 */

const duplicateKeyCodes: ReadonlySet<number> = new Set([
  11000, // DuplicateKey
  11001, // the same, of an update
]);

/** The index in a duplicate key's message, `E11000 duplicate key error collection: a.b index: _id_ dup key: …`. */
const indexPattern = / index: (?:\S+\$)?(\S+)/;

/** Refusals of a document for what it holds: no later try will pass. */
const poisonCodes: ReadonlySet<number> = new Set([
  2, // BadValue
  9, // FailedToParse
  14, // TypeMismatch
  15, // Overflow: nested too deep
  22, // InvalidBSON
  52, // DollarPrefixedFieldName
  53, // InvalidIdField
  55, // InvalidDBRef
  57, // DottedFieldName
  121, // DocumentValidationFailure
  10334, // BSONObjectTooLarge
  17280, // KeyTooLong, of an index
]);

/**
 * Of MongoDB's state, even when they come for a single document of a batch: those of the server's categories for what
 * passes (retriable, network, interruption, not primary, stale routing, overloaded), and those without a category that
 * say nothing of a document.
 */
const transientCodes: ReadonlySet<number> = new Set([
  1, // InternalError
  6, // HostUnreachable
  7, // HostNotFound
  8, // UnknownError: what the storage engine reports and has no code of its own
  11, // UserNotFound
  13, // Unauthorized
  18, // AuthenticationFailed
  24, // LockTimeout
  26, // NamespaceNotFound: dropped at this moment; an insert makes it
  39, // FileStreamFailed
  46, // LockBusy
  48, // NamespaceExists: made by another insert at this moment
  50, // MaxTimeMSExpired
  64, // WriteConcernTimeout
  70, // ShardNotFound
  79, // UnknownReplWriteConcern
  82, // NoProgressMade
  83, // RemoteResultsUnavailable
  89, // NetworkTimeout
  90, // CallbackCanceled
  91, // ShutdownInProgress
  94, // NotYetInitialized
  95, // NotSecondary
  100, // UnsatisfiableWriteConcern
  107, // LockFailed
  109, // ConfigurationInProgress
  112, // WriteConflict
  117, // ConflictingOperationInProgress
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  145, // PooledConnectionsDropped
  146, // ExceededMemoryLimit
  149, // NoConfigPrimary
  150, // StaleEpoch
  189, // PrimarySteppedDown
  199, // ReplicaSetMonitorRemoved
  202, // NetworkInterfaceExceededTimeLimit
  203, // ShardingStateNotInitialized
  208, // TooManyLocks
  211, // KeyNotFound, with which cluster times are signed
  214, // AuthenticationRestrictionUnmet
  215, // DatabaseDropPending
  216, // ElectionInProgress
  227, // CannotImplicitlyCreateCollection
  246, // SnapshotUnavailable
  249, // StaleDbVersion
  250, // StaleChunkHistory
  262, // ExceededTimeLimit
  264, // TooManyFilesOpen
  272, // MigrationConflict
  279, // ClientDisconnect
  301, // DataCorruptionDetected
  303, // SplitHorizonChange
  314, // ObjectIsBusy
  317, // ConnectionPoolExpired
  319, // MovePrimaryInProgress
  343, // ShardCannotRefreshDueToLocksHeld
  355, // InterruptedDueToStorageChange
  365, // TemporarilyUnavailable: the cache is full
  371, // UserWritesBlocked
  384, // ConnectionError
  391, // ReauthenticationRequired
  402, // ResourceExhausted
  406, // MigrationBlockingOperationCoordinatorCleaningUp
  407, // PooledConnectionAcquisitionExceededTimeLimit
  433, // AdmissionQueueOverflow
  449, // RateLimitExceeded
  450, // PooledConnectionAcquisitionRejected
  453, // InterruptedDueToReshardingCriticalSection
  462, // IngressRequestRateLimitExceeded
  8000, // AtlasError, such as that its space is used up
  9001, // SocketException
  10058, // LegacyNotPrimary
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11601, // Interrupted
  11602, // InterruptedDueToReplStateChange
  12501, // QuotaExceeded
  12586, // BackgroundOperationInProgressForDatabase
  12587, // BackgroundOperationInProgressForNamespace
  13388, // StaleConfig
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
  46841, // ClientMarkedKilled
  50915, // BackupCursorOpenConflictWithCheckpoint
  91331, // RetriableRemoteCommandFailure
  10045600, // InterruptedDueToFCVChange
]);

/**
 * Tries of a document that is refused with a code in neither table. Enough to outlast a hiccup; then it
 * goes to the dead-letter topic with the code, which is no loss, and does not hold a lease for ever.
 */
export const unknownRefusalTriesMax = 5;

/**
 * A duplicate `_id` is `stored`: ids are made once, so it is the redelivery of a write that is there.
 * A duplicate of another unique key, which somebody may have put on the collection, is another document.
 */
export function classifyRefusal(code: number, message = ''): 'stored' | 'poison' | 'transient' | 'unknown' {
  if (duplicateKeyCodes.has(code)) {
    const index = indexPattern.exec(message)?.[1];
    return index === undefined || index === '_id_' ? 'stored' : 'poison';
  }
  if (poisonCodes.has(code)) return 'poison';
  if (transientCodes.has(code)) return 'transient';
  return 'unknown';
}
