import { setTimeout as sleep } from 'node:timers/promises'
import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { redisEventLog } from '../../src/redis.js'
import { resolveStreamsOptions, type StreamsOptions } from '../../src/resumable/options.js'
import { Streams } from '../../src/resumable/streams.js'
import { PostgresServer } from './postgres-server.js'
import { RedisServer } from './redis-server.js'

export type StoreName = 'redis' | 'postgres'

/** A store that several processes share. */
export interface StreamStore {
  readonly name: StoreName
  readonly url: string
  /** Crashes, and is there again with all that it had, after so long. */
  restart(awayMs?: number): Promise<void>
  /** Loses all that it had, as a store without persistence does. */
  empty(): Promise<void>
  stop(): Promise<void>
}

export async function startStore(name: StoreName): Promise<StreamStore> {
  if (name === 'redis') {
    const server = await RedisServer.start({ appendOnly: 'always' })
    return {
      name,
      url: server.url,
      restart: async (awayMs = 0) => {
        await server.kill()
        await sleep(awayMs)
        await server.restart()
      },
      empty: async () => void (await server.cli('FLUSHALL')),
      stop: () => server.stop(),
    }
  }
  const server = await PostgresServer.start()
  await setUpPostgres(server.url)
  return {
    name,
    url: server.url,
    restart: async (awayMs = 0) => {
      await server.kill()
      await sleep(awayMs)
      await server.restart()
    },
    empty: async () => void (await server.query('TRUNCATE headwater.channel, headwater.entry')),
    stop: () => server.stop(),
  }
}

/** A log as one more process has it. */
export function openLog(
  name: StoreName | 'memory',
  url: string,
  own: { readonly timeoutMs?: number } = {},
): StreamLog {
  if (name === 'memory') return memoryEventLog()
  // Orphans are found at the next look.
  const options = { pollIntervalMs: 200, timeoutMs: 2000, onHealth: () => undefined, ...own }
  if (name === 'redis') return redisEventLog({ redis: url, ...options })
  return postgresEventLog({ pool: url, ...options })
}

/** Streams as one more process has them. */
export function openStreams(
  log: StreamLog,
  options: StreamsOptions = {},
  onError: NonNullable<EventStreamOptions['onError']> = () => undefined,
): Streams {
  const relay = async () => undefined
  return new Streams({ log, options: resolveStreamsOptions(options), relay, onError })
}
