import { randomBytes } from 'node:crypto'
import { EventStreamError, quote } from './core/errors.js'
import { checkWhole } from './core/options.js'
import type { EventStreamOptions } from './options.js'
import { type GripConfig, resolveGrip } from './publishers/grip/config.js'

const [minPollMs, maxPollMs] = [1000, 240_000]

/** Options that begin with `grip`, checked and with their defaults. */
export interface GripSettings extends GripConfig {
  readonly secret: Buffer
  readonly required: boolean
  readonly requiresExpiry: boolean
  readonly linkPath: string | undefined
  readonly basePath: string
  readonly pollMs: number
  readonly maxLinks: number
}

/** Of held streams, and of direct ones. */
export const defaultKeepAliveMs = 15_000

export const gripOptionNames = [
  'grip',
  'gripPrefix',
  'gripRequired',
  'gripRequireExpiry',
  'gripSecret',
  'gripLinkPath',
  'gripBasePath',
  'gripPollMs',
  'gripMaxLinks',
] as const satisfies (keyof EventStreamOptions)[]

/**
 * @returns undefined when there is no proxy.
 * @throws EventStreamError `ERR_OPTION`.
 */
export function resolveGripOptions(options: EventStreamOptions): GripSettings | undefined {
  const {
    grip,
    gripPrefix = 'events-',
    gripRequired = false,
    gripRequireExpiry = true,
    gripSecret,
    gripLinkPath,
    gripBasePath = '',
    gripPollMs = defaultPollMs(options),
    gripMaxLinks = 10,
  } = options
  check('gripPrefix', gripPrefix, prefixPattern, prefixWant)
  check('gripLinkPath', gripLinkPath ?? '/', pathPattern, "a path such as '/event-links'")
  check('gripBasePath', gripBasePath || '/', pathPattern, "a path such as '/api'")
  checkWhole('gripPollMs', gripPollMs, minPollMs, maxPollMs)
  checkWhole('gripMaxLinks', gripMaxLinks, 1, 1000)
  // Not quoted: it is a secret, even of the wrong kind.
  if (gripSecret !== undefined && (typeof gripSecret !== 'string' || gripSecret === '')) {
    throw new EventStreamError(
      'ERR_OPTION',
      'gripSecret is no text; give the same to all processes.',
    )
  }
  for (const [name, value] of Object.entries({ gripRequired, gripRequireExpiry })) {
    if (typeof value === 'boolean') continue
    throw new EventStreamError('ERR_OPTION', `${name} is ${quote(value)}; give true or false.`)
  }
  if (grip === undefined || grip === null) {
    if (!gripRequired) return undefined
    throw new EventStreamError(
      'ERR_OPTION',
      'gripRequired is true without a proxy; give grip its URL.',
    )
  }
  const config = resolveGrip(grip)
  const prefix = `${config.prefix}${gripPrefix}`
  check('The prefix of the Publisher in grip', prefix, prefixPattern, prefixWant)
  return {
    ...config,
    prefix,
    secret: gripSecret === undefined ? (config.secret ?? randomBytes(32)) : Buffer.from(gripSecret),
    required: gripRequired,
    requiresExpiry: gripRequireExpiry,
    linkPath: gripLinkPath,
    basePath: gripBasePath.replace(/\/$/, ''),
    pollMs: gripPollMs,
    maxLinks: gripMaxLinks,
  }
}

/** As often as keep-alives are due, so that the answers are the keep-alives. */
function defaultPollMs({ keepAliveMs = defaultKeepAliveMs }: EventStreamOptions): number {
  return Math.min(Math.max(keepAliveMs, minPollMs), maxPollMs)
}

/** Proxies have no way to write a `,` or `;` in a channel's name. */
const prefixPattern = /^[\w.~:/-]*$/
const prefixWant = "letters, digits and ._~:/-, such as 'events-'"

/** No query, no second slash at its beginning, nothing that would end the link. */
const pathPattern = /^\/(?!\/)[\w.~:/@!$&'()*+=%-]*$/

function check(name: string, value: unknown, pattern: RegExp, want: string): void {
  if (typeof value === 'string' && pattern.test(value)) return
  throw new EventStreamError('ERR_OPTION', `${name} is ${quote(value)}; give ${want}.`)
}
