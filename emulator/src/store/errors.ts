/** What the store refuses, each with what the operator can do about it. */

/** The data folder is damaged. Nothing in it was changed. */
export class DamagedFolder extends Error {
  override name = 'DamagedFolder';
}

/** Another process has the data folder open. */
export class FolderInUse extends Error {
  override name = 'FolderInUse';
}

/** There is no room for what was to be written. Of messages nothing was kept; acks and changes wait for room. */
export class StoreFull extends Error {
  override name = 'StoreFull';
}
