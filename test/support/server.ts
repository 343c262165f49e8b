import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach } from '@jest/globals'

export interface RunningServer {
  /** `http://127.0.0.1:<port>`, without a slash behind it. */
  readonly url: string
  readonly server: Server
  /** Stops listening and cuts every connection. May be called twice. */
  close(): Promise<void>
}

const running = new Set<RunningServer>()

/**
 * Serves a listener, such as an Express app, until the end of the test that called this.
 *
 * @param port - That of a server closed before, to take its place. By default a free one.
 */
export async function startServer(listener: RequestListener, port = 0): Promise<RunningServer> {
  const server = createServer(listener).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const started: RunningServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    async close() {
      if (!running.delete(started)) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  running.add(started)
  return started
}

afterEach(async () => {
  for (const server of running) await server.close()
})
