import { RedisServer } from '../support/redis-server.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

/** A server, and the way that its replica takes to it. */
export interface Side {
  readonly server: RedisServer
  readonly link: TcpProxy
}

export async function startSide(): Promise<Side> {
  const server = await RedisServer.start()
  return { server, link: await TcpProxy.start(server.url) }
}

/** Makes one a replica of the other. */
export async function copy(from: Side, to: Side): Promise<void> {
  await to.server.cli('REPLICAOF', '127.0.0.1', from.link.port)
  await until(async () => {
    const { master_link_status: status } = await to.server.info('replication')
    return status === 'up'
  }, 20_000)
}

export async function endSide({ server, link }: Side): Promise<void> {
  await link.close()
  await server.stop()
}
