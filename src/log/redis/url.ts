import { EventStreamError } from '../../core/errors.js'

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
  /^redis\+sentinel:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^/@]+)\/(?<name>[^/?#]+)(?:\/(?<db>\d+))?$/

/**
 * Reads `redis://user:password@host:port/db`, `rediss://…`, or
 * `redis+sentinel://user:password@host:port,host:port/master/db`.
 *
 * @throws EventStreamError `ERR_OPTION`, without the password.
 */
export function parseRedisUrl(text: string): RedisAddress {
  if (text.startsWith('redis+sentinel:')) return { url: text, sentinel: parseSentinel(text) }
  if (/^rediss?:\/\//.test(text) && URL.canParse(text)) {
    const { pathname, hostname } = new URL(text)
    if (hostname !== '' && /^(?:\/\d*)?$/.test(pathname)) return { url: text, sentinel: undefined }
  }
  throw wrong(text)
}

function parseSentinel(text: string): RedisAddress['sentinel'] {
  const groups = sentinelUrl.exec(text)?.groups
  if (groups === undefined) throw wrong(text)
  const { user, password, hosts = '', name = '', db } = groups
  const sentinels = hosts.split(',').map((address) => {
    const [, host, port = '26379'] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? []
    if (host === undefined || Number(port) > 65_535) throw wrong(text)
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
  })
  return {
    name: decodeURIComponent(name),
    sentinels,
    db: Number(db ?? 0),
    ...(user ? { username: decodeURIComponent(user) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  }
}

function wrong(text: string): EventStreamError {
  const shown = text.replace(/\/\/[^@/]*@/, '//…@').slice(0, 80)
  return new EventStreamError(
    'ERR_OPTION',
    `redis is "${shown}"; give a URL such as redis://127.0.0.1:6379/0, or redis+sentinel://host:26379,host:26379/master/0.`,
  )
}
