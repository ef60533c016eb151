/** One page of a list, sorted by name. The token is the name of the first on the next page. */
import { invalid } from './errors.ts';
import { limits } from './limits.ts';

export interface PageRequest {
  pageSize: number;
  pageToken: string;
}

export interface Page<Entry> {
  entries: Entry[];
  nextPageToken: string;
}

/** @throws Refusal when the token is none of this list. */
export function pageOf<Entry extends { name: string }>(
  entries: Entry[],
  prefix: string,
  { pageSize, pageToken }: PageRequest,
): Page<Entry> {
  if (pageToken !== '' && !pageToken.startsWith(prefix)) throw invalid(`Invalid page_token: ${pageToken}`);
  const size = pageSize > 0 ? Math.min(pageSize, limits.pageSize) : limits.pageSize;
  const sorted = entries.filter(({ name }) => name >= pageToken).sort((a, b) => (a.name < b.name ? -1 : 1));
  return { entries: sorted.slice(0, size), nextPageToken: sorted[size]?.name ?? '' };
}
