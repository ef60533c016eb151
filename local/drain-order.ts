/** Each part before those that it needs, so that it can hand on what it holds. Anything else goes first. */
const drainOrder: readonly string[] = ['API', 'Writer', 'Broker', 'MongoDB'];

export function inDrainOrder<Part extends { name: string }>(parts: readonly Part[]): Part[] {
  return parts.toSorted((a, b) => drainOrder.indexOf(a.name) - drainOrder.indexOf(b.name));
}
