// The same page from two server processes: events are in one Redis, which is a private one unless
// REDIS_URL names another, and a proxy takes each connection to the next process.
import { listen } from './listen.js'
import { startRedis } from './private-redis.js'
import { roundRobin } from './round-robin.js'
import { ServerProcess } from './server-process.js'
import { untilStopped } from './until-stopped.js'

const servers: ServerProcess[] = []
const proxy = roundRobin(() => servers.map((server) => server.port))

await untilStopped(async (stopping) => {
  const port = await listen(proxy)
  const redis = process.env.REDIS_URL ? undefined : await startRedis()
  const redisEnded = redis?.ended.then(() => {
    throw new Error('redis-server has ended.')
  })
  const redisUrl = redis?.url ?? String(process.env.REDIS_URL)
  for (const name of ['process 1', 'process 2']) {
    servers.push(new ServerProcess(name, { PORT: '0', REDIS_URL: redisUrl, PROCESS_NAME: name }))
  }
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
})
