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
  if (text.startsWith('redis+sentinel:')) return { url: text, sentinel: parseSentinel(text) }
  const url = /^rediss?:\/\//.test(text) ? readConnectionUrl(text, isDatabase) : undefined
  if (url === undefined || new URL(url).hostname === '') throw wrong(text)
  return { url, sentinel: undefined }
}

function isDatabase(path: string): boolean {
  return /^(?:\/\d*)?$/.test(path)
}

function parseSentinel(text: string): RedisAddress['sentinel'] {
  const groups = sentinelUrl.exec(text)?.groups
  if (groups === undefined) throw wrong(text)
  const { userInfo = '', hosts = '', name = '', db } = groups
  const sentinels = hosts.split(',').map((address) => {
    const [, host, port = '26379'] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
    if (host === undefined || Number(port) > 65_535) throw wrong(text)
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
  })
  const { user, password } = credentialsOf(userInfo)
  return {
    name: credentialsOf(name).user,
    sentinels,
    db: Number(db ?? 0),
    ...(user ? { username: user } : {}),
    ...(password ? { password } : {}),
  }
}

function wrong(text: string): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `redis is ${quote(withoutSecrets(text))}; give a URL such as redis://127.0.0.1:6379/0, or ` +
      `redis+sentinel://host:26379,host:26379/master/0. ${encodingAdvice}`,
  )
}
