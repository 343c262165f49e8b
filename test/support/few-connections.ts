import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** What Supavisor answers when it has no more connections in session mode. */
const message =
  'MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size'

function errorResponse(code: string): Buffer {
  const fields = ['SFATAL', 'VFATAL', `C${code}`, `M${message}`].map((field) => `${field}\0`)
  const body = Buffer.from(`${fields.join('')}\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** Stands before a Postgres as Supavisor does in session mode: so many connections, and XX000 for those beyond. */
export class FewConnections {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  refused = 0

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  static async start(target: { readonly port: number }, most: number): Promise<FewConnections> {
    let open = 0
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const few = new FewConnections(server)
    server.on('connection', (client) => {
      few.#keep(client)
      if (open >= most) {
        few.refused += 1
        // The startup message is read first.
        client.once('data', () => client.end(errorResponse('XX000')))
        return
      }
      open += 1
      const upstream = connect(target.port, '127.0.0.1')
      few.#keep(upstream)
      client.pipe(upstream).pipe(client)
      client.once('close', () => {
        open -= 1
        upstream.destroy()
      })
      upstream.once('close', () => client.destroy())
    })
    return few
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  async stop(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
