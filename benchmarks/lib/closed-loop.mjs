// Publishes, waits until everything is delivered, and publishes again: no server is ever overloaded,
// so the cost of a delivery is told apart from what happens under load.

/**
 * @param options.publish - Makes the server publish once, what makes `deliveries` in all.
 * @returns How often it was published, and how long that took.
 */
export async function repeat({ client, ms, deliveries, publish }) {
  let { events } = await client.stats()
  const start = performance.now()
  let times = 0
  do {
    publish()
    events += deliveries
    times += 1
    const stats = await client.until(events, 30_000)
    if (stats.events !== events) throw new Error(`${stats.events} deliveries, not ${events}.`)
  } while (performance.now() - start < ms)
  return { times, seconds: (performance.now() - start) / 1000 }
}
