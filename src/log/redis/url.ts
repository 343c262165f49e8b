import {
  credentialsOf,
  encodingAdvice,
  readConnectionUrl,
  withoutSecrets,
} from '../../core/connection-url.js'
import { EventStreamError, quote } from '../../core/errors.js'

/** What a URL says, with Sentinel's addresses apart, which no package reads from a URL. */
export interface RedisAddress {
  readonly url: string
  readonly database: number
  readonly sentinel:
    | {
        readonly name: string
        readonly sentinels: { readonly host: string; readonly port: number }[]
        readonly db: number
        readonly username?: string
        readonly password?: string
      }
    | undefined
}

const sentinelUrl =
  /^redis\+sentinel:\/\/(?:(?<userInfo>[\s\S]*)@)?(?<hosts>[^/@]+)\/(?<name>[^/?#@]+)(?:\/(?<db>\d+))?$/

/**
 * Reads `redis://user:password@host:port/db`, `rediss://…`, or
 * `redis+sentinel://user:password@host:port,host:port/master/db`. Users and passwords may be percent-encoded, or as
 * they are.
 *
 * @throws EventStreamError `ERR_OPTION`, without the password.
 */
export function parseRedisUrl(text: string): RedisAddress {
  if (text.startsWith('redis+sentinel:')) return sentinelAddress(text)
  const url = /^rediss?:\/\//.test(text) ? readConnectionUrl(text, isDatabase) : undefined
  if (url === undefined) throw wrong(text)
  const { hostname, pathname, searchParams } = new URL(url)
  // What ioredis would take as its option, and redis would not.
  const [path, query] = [pathname.slice(1), searchParams.get('db') ?? '']
  const isSame = path === '' || query === '' || path === query
  if (hostname === '' || !/^\d*$/.test(query) || !isSame) throw wrong(text)
  if (searchParams.has('keyPrefix')) {
    throw new EventStreamError(
      'ERR_OPTION',
      'redis is a URL with a keyPrefix; give the log a prefix: redisEventLog({ redis, prefix }).',
    )
  }
  return { url, database: Number(path || query), sentinel: undefined }
}

function isDatabase(path: string): boolean {
  return /^(?:\/\d*)?$/.test(path)
}

function sentinelAddress(text: string): RedisAddress {
  const groups = sentinelUrl.exec(text)?.groups
  if (groups === undefined) throw wrong(text)
  const { userInfo = '', hosts = '', name = '', db } = groups
  const sentinels = hosts.split(',').map((address) => {
    const [, host, port = '26379'] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
    if (host === undefined || Number(port) > 65_535) throw wrong(text)
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
  })
  const { user, password } = credentialsOf(userInfo)
  const database = Number(db ?? 0)
  const sentinel = {
    name: credentialsOf(name).user,
    sentinels,
    db: database,
    ...(user ? { username: user } : {}),
    ...(password ? { password } : {}),
  }
  return { url: text, database, sentinel }
}

function wrong(text: string): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `redis is ${quote(withoutSecrets(text))}; give a URL such as redis://127.0.0.1:6379/0, or ` +
      `redis+sentinel://host:26379,host:26379/master/0. ${encodingAdvice}`,
  )
}
