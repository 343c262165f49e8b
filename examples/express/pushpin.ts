// The same page through a Pushpin of its own, which holds the connections: the server only answers, and
// publishes. With REDIS_URL it may be killed, and no page misses anything.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { freePort } from './free-port.js'
import { listen } from './listen.js'
import { startPushpin } from './private-pushpin.js'
import { ServerProcess } from './server-process.js'
import { untilStopped } from './until-stopped.js'

await untilStopped(async (stopping) => {
  const port = await choosePort()
  const originPort = await freePort()
  const pushpin = await startPushpin({ port, originPort })
  const pushpinEnded = pushpin.ended.then(() => {
    throw new Error('Pushpin has ended.')
  })
  const server = new ServerProcess('server', {
    PORT: String(originPort),
    GRIP_URL: pushpin.gripUrl,
  })
  try {
    await Promise.race([stopping, pushpinEnded, server.start()])
    console.log(`http://localhost:${port}`)
    await Promise.race([stopping, pushpinEnded])
  } finally {
    await server.stop()
    pushpinEnded.catch(() => undefined)
    await pushpin.stop()
  }
})

/** The port that PORT names, where nothing listens. */
async function choosePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server, '127.0.0.1')
  server.close()
  await once(server, 'close')
  return port
}
