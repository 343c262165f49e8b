// The same page from two server processes: events are in one Redis, which is a private one unless
// REDIS_URL names another, and a proxy takes each connection to the next process.
import { once } from 'node:events'
import { listen } from './listen.js'
import { startRedis } from './private-redis.js'
import { roundRobin } from './round-robin.js'
import { ServerProcess } from './server-process.js'

const stopping = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
const servers: ServerProcess[] = []
const proxy = roundRobin(() => servers.map((server) => server.port))

/** Serves until it is told to end, and leaves nothing behind. */
async function run(): Promise<void> {
  const port = await listen(proxy)
  const redis = process.env.REDIS_URL ? undefined : await startRedis()
  const redisEnded = redis?.ended.then(() => {
    throw new Error('redis-server has ended.')
  })
  const redisUrl = redis?.url ?? String(process.env.REDIS_URL)
  servers.push(new ServerProcess('process 1', redisUrl), new ServerProcess('process 2', redisUrl))
  try {
    await Promise.race([stopping, Promise.all(servers.map((server) => server.start()))])
    console.log(`http://localhost:${port}`)
    await Promise.race([stopping, redisEnded ?? stopping])
  } finally {
    proxy.close()
    await Promise.all(servers.map((server) => server.stop()))
    redisEnded?.catch(() => undefined)
    await redis?.stop()
  }
}

try {
  await run()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
// An idle connection to the proxy must not keep it.
process.exit()
