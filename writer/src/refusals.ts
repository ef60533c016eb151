/**
 * What a failed write means: is it MongoDB's state, which passes, or what the document holds, which does not?
 *
 * Codes and their names: https://www.mongodb.com/docs/manual/reference/error-codes/
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

/** Refusals of the moment, even when they come for a single document of a batch. */
const transientCodes: ReadonlySet<number> = new Set([
  6, // HostUnreachable
  7, // HostNotFound
  24, // LockTimeout
  46, // LockBusy
  50, // MaxTimeMSExpired
  64, // WriteConcernFailed
  89, // NetworkTimeout
  91, // ShutdownInProgress
  112, // WriteConflict
  146, // ExceededMemoryLimit
  189, // PrimarySteppedDown
  202, // NetworkInterfaceExceededTimeLimit
  262, // ExceededTimeLimit
  9001, // SocketException
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11601, // Interrupted
  11602, // InterruptedDueToReplStateChange
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
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
