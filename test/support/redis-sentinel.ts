import { RedisServer, type RedisServerOptions } from './redis-server.js'
import { until } from './until.js'

export interface SentinelOptions {
  /** Servers beside the master. By default 2. */
  readonly replicas?: number | undefined
  /** More than half of them must agree. By default 3. */
  readonly sentinels?: number | undefined
  /** Milliseconds of silence after which a sentinel takes a server for dead. By default 1000. */
  readonly downAfterMs?: number | undefined
}

/** What clients ask the sentinels for. */
const name = 'main'

// Faster than by default, so that tests need not wait for what is periodic. Not any faster: a replica
// is asked once a second while its master is down, and no longer fit after 5 ping periods of silence.
const periods = ['info-period', 500, 'ping-period', 400, 'ask-period', 200, 'publish-period', 200]
// Otherwise a sentinel of a machine that was busy for two seconds does nothing for thirty.
const tilt = ['tilt-period', 1000]

/** A master, its replicas, and sentinels that make one of these the master when it fails. */
export class SentinelGroup {
  readonly name = name
  /** The first one is the master in the beginning. */
  readonly servers: readonly RedisServer[]
  readonly sentinels: readonly RedisServer[]

  constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.servers = servers
    this.sentinels = sentinels
  }

  /** Of the sentinels, as clients take them. */
  get addresses(): { readonly host: string; readonly port: number }[] {
    return this.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
  }

  /** The server that all sentinels which run name as the master; undefined while they disagree. */
  async master(): Promise<RedisServer | undefined> {
    const asked = this.sentinels.map((sentinel) =>
      sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name),
    )
    const ports = new Set<number>()
    for (const answer of await Promise.allSettled(asked)) {
      if (answer.status === 'fulfilled') ports.add(Number((answer.value as string[])[1]))
    }
    return ports.size === 1 ? this.servers.find(({ port }) => ports.has(port)) : undefined
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()))
  }
}

/** @returns Once the sentinels know each other and all servers. End it by `stop`. */
export async function startSentinel(options: SentinelOptions = {}): Promise<SentinelGroup> {
  const { replicas = 2, sentinels = 3, downAfterMs = 1000 } = options
  const master = await RedisServer.start()
  const config = [
    `sentinel monitor ${name} 127.0.0.1 ${master.port} ${Math.floor(sentinels / 2) + 1}`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 3000`,
  ]
  const [others, watchers] = await Promise.all([
    startMany(replicas, { replicaOf: master }),
    startMany(sentinels, { config, extra: ['--sentinel'] }),
  ])
  const group = new SentinelGroup([master, ...others], watchers)
  for (const sentinel of watchers) await sentinel.cli('SENTINEL', 'DEBUG', ...periods, ...tilt)
  await until(async () => {
    const views = await Promise.all(watchers.map(viewOf))
    return views.every((view) => view.replicas === replicas && view.sentinels === sentinels - 1)
  }, 20_000)
  return group
}

function startMany(count: number, options: RedisServerOptions): Promise<RedisServer[]> {
  return Promise.all(Array.from({ length: count }, () => RedisServer.start(options)))
}

/** How many other servers a sentinel knows. A replica counts once it is fit to be the master. */
async function viewOf(sentinel: RedisServer): Promise<{ replicas: number; sentinels: number }> {
  const replicas = (await sentinel.cli('SENTINEL', 'REPLICAS', name)) as string[][]
  const sentinels = (await sentinel.cli('SENTINEL', 'SENTINELS', name)) as string[][]
  const isFit = (fields: string[]) => fields[fields.indexOf('master-link-status') + 1] === 'ok'
  return { replicas: replicas.filter(isFit).length, sentinels: sentinels.length }
}
