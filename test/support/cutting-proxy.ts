import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { pipeline } from 'node:stream'

/** Stands in front of a server of this machine. */
export interface CuttingProxy {
  /** `http://127.0.0.1:<port>`, without a slash behind it. */
  readonly url: string
  /** `cut(true)` cuts all connections, and new ones until `cut(false)`. */
  cut(value: boolean): void
  close(): void
}

export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  const clients = new Set<Socket>()
  let isCut = false
  const proxy = net.createServer((client) => {
    clients.add(client)
    const upstream = net.connect(port, '127.0.0.1')
    pipeline(client, upstream, client, () => {
      clients.delete(client)
      upstream.destroy()
    })
    if (isCut) client.resetAndDestroy()
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`,
    cut(value) {
      isCut = value
      if (isCut) for (const client of clients) client.resetAndDestroy()
    },
    close() {
      proxy.close()
    },
  }
}
