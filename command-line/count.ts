/** A count as a person reads it, such as 12,000. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
