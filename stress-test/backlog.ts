/** Messages that the emulator at `host` holds, over all its subscriptions: leased or not, and not acknowledged. */
export async function backlogCount(host: string): Promise<number> {
  const response = await fetch(`http://${host}/_emulator/backlog`);
  const { subscriptions } = (await response.json()) as { subscriptions: { unackedCount: number }[] };
  return subscriptions.reduce((sum, { unackedCount }) => sum + unackedCount, 0);
}
