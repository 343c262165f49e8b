import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** How long a connection waits for a server, when there is none. */
const patienceMs = 10_000

/**
 * Stands in front of servers of this machine: each connection goes to the next one, or past it when
 * nothing listens there.
 *
 * @param ports - Those of the servers; undefined while one of them is away.
 */
export function roundRobin(ports: () => readonly (number | undefined)[]): Server {
  let turn = 0
  return createServer(async (client) => {
    client.once('error', () => client.destroy())
    turn += 1
    const first = turn
    const deadline = performance.now() + patienceMs
    while (!client.destroyed && performance.now() < deadline) {
      const all = ports()
      for (let i = 0; i < all.length; i++) {
        const server = await open(all[(first + i) % all.length])
        if (server !== undefined) {
          join(client, server)
          return
        }
      }
      await delay(100)
    }
    client.destroy()
  })
}

function open(port: number | undefined): Promise<Socket | undefined> {
  if (port === undefined) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

/** What befalls one end befalls the other: a reset too. */
function join(client: Socket, server: Socket): void {
  client.pipe(server).pipe(client)
  server.once('error', () => client.resetAndDestroy())
  client.once('error', () => server.resetAndDestroy())
  client.once('close', () => server.destroy())
  if (client.destroyed) server.destroy()
}
