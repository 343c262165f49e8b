import { EventStreamError, quote } from '../../core/errors.js'
import type { RedisDriver } from './driver.js'
import { ioredisDriver, ioredisPlace } from './ioredis.js'
import { modelOf, type RedisModel } from './model.js'
import { isNodeRedis, nodeRedisDriver, nodeRedisPlace } from './node-redis.js'
import { loadIoredis, loadNodeRedis } from './packages.js'
import { parseRedisUrl, type RedisAddress } from './url.js'

/** A client of `ioredis` or `redis`: anything that can be made anew with other options. */
export interface RedisClient {
  duplicate(...options: never[]): object
}

/**
 * What connections to Redis are made like.
 *
 * @throws EventStreamError `ERR_OPTION` when it is neither a URL nor a client, or a client whose settings no log can
 *   honour.
 */
export function redisModel(redis: string | RedisClient): RedisModel {
  if (typeof redis === 'string') {
    const address = parseRedisUrl(redis)
    const { database } = address
    return { keyPrefix: '', database, connect: () => driverFor(address), check: () => undefined }
  }
  if (isNodeRedis(redis))
    return modelOf(
      () => nodeRedisPlace(redis),
      () => nodeRedisDriver(redis),
    )
  if (isIoredis(redis)) {
    const client = redis as never
    return modelOf(
      () => ioredisPlace(client),
      () => ioredisDriver(client),
    )
  }
  throw new EventStreamError(
    'ERR_OPTION',
    `redis is ${quote(redis)}; give a URL such as redis://127.0.0.1:6379, or a client of ioredis or redis.`,
  )
}

/** Whether it is one of those clients, and not just something that has some of their commands. */
export function isRedisClient(client: unknown): client is RedisClient {
  return isNodeRedis(client) || isIoredis(client)
}

function isIoredis(client: unknown): boolean {
  const { status, duplicate, defineCommand } = Object(client) as Record<string, unknown>
  return (
    typeof status === 'string' &&
    typeof duplicate === 'function' &&
    typeof defineCommand === 'function'
  )
}

/** For a URL, whichever of the two packages is there will do. */
async function driverFor({ url, database, sentinel }: RedisAddress): Promise<RedisDriver> {
  const ioredis = await loadIoredis()
  if (ioredis !== undefined) {
    const options = { lazyConnect: true, db: database }
    const model = sentinel
      ? new ioredis.Redis({ ...options, ...sentinel })
      : new ioredis.Redis(url, options)
    return ioredisDriver(model)
  }
  const redis = await loadNodeRedis()
  if (redis !== undefined && sentinel === undefined) {
    return nodeRedisDriver(redis.createClient({ url, database }) as never)
  }
  throw new EventStreamError(
    'ERR_OPTION',
    sentinel
      ? 'The event log needs a package to talk to Redis Sentinel; run: npm install ioredis'
      : 'The event log needs a package to talk to Redis, and neither ioredis nor redis is installed; run: npm install ioredis',
  )
}
