/**
 * What a failed write means: is it MongoDB's state, which passes, or what the document holds, which does not?
 *
 * Codes and their names: https://www.mongodb.com/docs/manual/reference/error-codes/, and with their categories
 * https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
 */

/**
 * `content`: what the document holds, unless everything is refused (circuit-breaker.ts). `transient`: MongoDB's state.
 * `unknown`: content once `unknownRefusalTriesMax` tries were answered with it.
 */
export type RefusalKind = 'duplicate' | 'content' | 'transient' | 'unknown';

const duplicateKeyCodes: ReadonlySet<number> = new Set([
  11000, // DuplicateKey
  11001, // the same, of an update
]);

/**
 * MongoDB's own text for a duplicate `_id`, before and since 3.2: `E11000 duplicate key error index: a.b.$_id_ dup key: …`
 * and `E11000 duplicate key error collection: a.b index: _id_ dup key: …`.
 */
const duplicateIdPattern = /^E11000 duplicate key error (?:collection: \S+ )?index: (?:\S+\$)?_id_(?: |$)/;

/** Refusals of a document for what it holds: no later try will pass. */
const contentCodes: ReadonlySet<number> = new Set([
  2, // BadValue
  9, // FailedToParse
  14, // TypeMismatch
  15, // Overflow: nested too deep
  22, // InvalidBSON
  52, // DollarPrefixedFieldName
  53, // InvalidIdField
  55, // InvalidDBRef
  56, // EmptyFieldName
  57, // DottedFieldName
  61, // ShardKeyNotFound: the document has no shard key
  116, // DocTooLargeForCapped
  121, // DocumentValidationFailure
  171, // CannotIndexParallelArrays
  241, // ConversionFailure, in the expression of a validator
  357, // InvalidBSONType
  378, // NonConformantBSON
  10334, // BSONObjectTooLarge
  13026, // of a 2d index: no pair of coordinates
  13027, // of a 2d index: a point out of its bounds
  13067, // of a 2d index: an empty field
  13068, // of a 2d index: one coordinate
  16675, // of a text index: an array before its text
  16755, // of a 2dsphere index: no geometry
  16756, // the same, malformed
  16766, // of a hashed index: an array
  16804, // of a 2d index: an array of something else than locations
  17261, // of a text index: a language that is no string
  17262, // of a text index: a language that it does not know
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
  75, // WriteConcernLegacyOK
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
  172, // TransportSessionClosed
  175, // QueryPlanKilled
  176, // FileOpenFailed
  189, // PrimarySteppedDown
  199, // ReplicaSetMonitorRemoved
  202, // NetworkInterfaceExceededTimeLimit
  203, // ShardingStateNotInitialized
  204, // TimeProofMismatch
  205, // ClusterTimeFailsRateLimiter
  206, // NoSuchSession
  208, // TooManyLocks
  209, // StaleClusterTime
  210, // CannotVerifyAndSignLogicalTime
  211, // KeyNotFound, with which cluster times are signed
  214, // AuthenticationRestrictionUnmet
  215, // DatabaseDropPending
  216, // ElectionInProgress
  227, // CannotImplicitlyCreateCollection
  230, // DNSHostNotFound
  231, // DNSProtocolError
  237, // CursorKilled
  239, // SnapshotTooOld
  246, // SnapshotUnavailable
  249, // StaleDbVersion
  250, // StaleChunkHistory
  261, // TooManyLogicalSessions
  262, // ExceededTimeLimit
  264, // TooManyFilesOpen
  267, // PreparedTransactionInProgress
  272, // MigrationConflict
  279, // ClientDisconnect
  281, // TransactionCoordinatorSteppingDown
  290, // TransactionExceededLifetimeLimitSeconds
  301, // DataCorruptionDetected
  303, // SplitHorizonChange
  308, // CurrentConfigNotCommittedYet
  310, // PeriodicJobIsStopped
  314, // ObjectIsBusy
  317, // ConnectionPoolExpired
  319, // MovePrimaryInProgress
  333, // ServiceExecutorInShutdown
  334, // MechanismUnavailable, of authentication
  338, // ReshardCollectionInProgress
  342, // ReshardingCriticalSectionTimeout
  343, // ShardCannotRefreshDueToLocksHeld
  354, // LoadBalancerSupportMismatch
  355, // InterruptedDueToStorageChange
  358, // InternalTransactionNotSupported
  365, // TemporarilyUnavailable: the cache is full
  371, // UserWritesBlocked
  372, // CloseConnectionForShutdownCommand
  384, // ConnectionError
  391, // ReauthenticationRequired
  398, // StreamTerminated
  402, // ResourceExhausted
  404, // LDAPRoleAcquisitionError
  406, // MigrationBlockingOperationCoordinatorCleaningUp
  407, // PooledConnectionAcquisitionExceededTimeLimit
  412, // UpdatesStillPending
  414, // AddOrRemoveShardInProgress
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
  16500, // TooManyRequests, of Cosmos DB: the request units of this second are used up
  46841, // ClientMarkedKilled
  50915, // BackupCursorOpenConflictWithCheckpoint
  56846, // ConfigServerUnreachable
  91331, // RetriableRemoteCommandFailure
  10045600, // InterruptedDueToFCVChange
]);

/**
 * Answers with one code in neither table before it counts as content. Enough to outlast a hiccup; and the document does
 * not hold a lease for ever. Other codes and failures of the network in between do not count.
 */
export const unknownRefusalTriesMax = 5;

export function classifyCode(code: number): RefusalKind {
  if (duplicateKeyCodes.has(code)) return 'duplicate';
  if (contentCodes.has(code)) return 'content';
  return transientCodes.has(code) ? 'transient' : 'unknown';
}

/**
 * Whether the message of a duplicate key says that it is the `_id`. False does not say that it is another: Cosmos DB
 * writes "Failed _id or unique index constraint.", and the driver drops `keyPattern` and `keyValue`.
 */
export function isDuplicateId(message: string): boolean {
  return duplicateIdPattern.test(message);
}
