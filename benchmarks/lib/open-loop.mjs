// Publishes at a rate, whether or not the server keeps up.

/** The server has failed when the last event is later than this. */
const graceMs = 2000

/**
 * Latency counts from when an event was due, so that a server that falls behind is not let off.
 *
 * @returns Latencies, whether everything was delivered, and the part of its time that the client
 *   was busy.
 */
export async function publishAtRate({ server, client, connections, perSecond, seconds }) {
  const { events, cpuUs } = await client.reset()
  const start = performance.now()
  const published = await server.ask('rate', { perSecond, seconds })
  const expected = events + published * connections
  const stats = await client.until(expected, graceMs)
  const elapsedUs = (performance.now() - start) * 1000
  return {
    p50Ms: stats.p50Us / 1000,
    p99Ms: stats.p99Us / 1000,
    isWhole: stats.events === expected,
    clientBusy: (stats.cpuUs - cpuUs) / elapsedUs,
  }
}
