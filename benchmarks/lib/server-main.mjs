// One server in its own process: `server-main.mjs <name>`. The benchmark calls the functions below
// over IPC.

import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'

const {
  server,
  publish,
  port,
  pid = process.pid,
  counts = {},
  calls: ownCalls = {},
} = await import(`../servers/${process.argv[2]}.mjs`)
// Not without an exit event: nginx is ended by it.
process.on('disconnect', () => process.exit())
process.on('SIGTERM', () => process.exit())

const nowUs = () => Number(process.hrtime.bigint() / 1000n)

/** @param atUs - When the event was due, for the client to tell its latency from. */
function eventAt(atUs, text) {
  return { t: `@${String(atUs).padStart(16, '0')}`, text }
}

/** Makes an event about 115 bytes on the wire. */
const shortText = '.'.repeat(36)

/** What a server adds of its own comes last. */
const calls = {
  /** Publishes events on channel 0, all in one turn of the event loop. */
  tick({ events, textBytes }) {
    const text = textBytes === undefined ? shortText : 'x'.repeat(textBytes)
    for (let i = 0; i < events; i++) publish(0, eventAt(nowUs(), text))
  },

  /** Publishes events on channel 0, one in each turn of the event loop. */
  async turns({ events }) {
    for (let i = 0; i < events; i++) {
      publish(0, eventAt(nowUs(), shortText))
      await nextTurn()
    }
  },

  /** Publishes one event on each channel, some in each turn of the event loop. */
  async sweep({ channels, perTurn }) {
    for (let i = 0; i < channels; i++) {
      publish(i, eventAt(nowUs(), shortText))
      if (i % perTurn === perTurn - 1) await nextTurn()
    }
  },

  /** Publishes on channel 0 at a rate: when late, all that is due, each with the time it was due. */
  async rate({ perSecond, seconds }) {
    const events = Math.round(perSecond * seconds)
    const startUs = nowUs()
    for (let i = 0; i < events; ) {
      const due = Math.min(events, Math.ceil(((nowUs() - startUs) * perSecond) / 1e6))
      for (; i < due; i++)
        publish(0, eventAt(startUs + Math.round((i * 1e6) / perSecond), shortText))
      await delay(1)
    }
    return events
  },

  /** Keeps so many events under way, each on one of `channels`. */
  async keepPublishing({ atOnce, ms, textBytes, channels = 1 }) {
    const text = 'x'.repeat(textBytes)
    const start = performance.now()
    let events = 0
    const publishOn = async (_, i) => {
      for (; performance.now() - start < ms; events++) {
        await publish(i % channels, eventAt(nowUs(), text))
      }
    }
    await Promise.all(Array.from({ length: atOnce }, publishOn))
    return { events, seconds: (performance.now() - start) / 1000 }
  },

  /** Publishes on channel 0, so many events at a time, and waits for all of these before the next. */
  async publishAll({ events, atOnce }) {
    const startUs = nowUs()
    let failed = 0
    for (let sent = 0; sent < events; sent += atOnce) {
      const some = { length: Math.min(atOnce, events - sent) }
      const publishes = Array.from(some, async () => publish(0, eventAt(nowUs(), shortText)))
      const results = await Promise.allSettled(publishes)
      failed += results.filter(({ status }) => status === 'rejected').length
    }
    return { startUs, seconds: (nowUs() - startUs) / 1e6, failed }
  },

  /** What the server has counted. */
  counts() {
    return counts
  },

  /** What Node does with connections on which nothing has come for 5 s. */
  closeIdle() {
    server.closeIdleConnections()
  },

  memory() {
    for (let i = 0; i < 3; i++) globalThis.gc()
    const { rss, heapUsed, external } = process.memoryUsage()
    return { rss, heapUsed, held: heapUsed + external }
  },

  cpuUs() {
    const { user, system } = process.cpuUsage()
    return user + system
  },

  ...ownCalls,
}

process.on('message', async ({ id, call, options }) => {
  const result = await calls[call](options)
  if (id !== undefined) process.send({ id, result })
})

if (server === undefined) {
  process.send({ port, pid })
} else {
  server.listen(
    { port: Number(process.env.LISTEN_PORT ?? 0), host: '127.0.0.1', backlog: 4096 },
    () => {
      process.send({ port: server.address().port, pid })
    },
  )
}
