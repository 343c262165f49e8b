// Ports for servers that do not choose one by themselves.

import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * A port where nothing listened a moment ago. It is below those that the system gives to outgoing
 * connections, so that it stays free while its server is down.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000)
    const probe = createServer()
    try {
      await once(probe.listen(port, '127.0.0.1'), 'listening')
      probe.close()
      await once(probe, 'close')
      return port
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error
    }
  }
}
