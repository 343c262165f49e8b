import { createHash } from 'node:crypto'
import { type IGripConfig, type IPublisherClient, Publisher } from '@fanoutio/grip'
import { EventStreamError, quote } from '../../core/errors.js'
import { type ControlEndpoint, controlEndpoint } from './endpoint.js'

/**
 * GRIP proxies: a URL such as `http://127.0.0.1:5561/?iss=pushpin&key=changeme`, a configuration, an
 * array of these, or a `Publisher` of `@fanoutio/grip`. null means no proxy.
 */
export type GripSpec =
  | null
  | string
  | IGripConfig
  | readonly (string | IGripConfig)[]
  | GripPublisher

/** What is needed of a `Publisher`, whichever copy of its package made it. */
type GripPublisher = Pick<Publisher, 'clients' | 'prefix' | 'validateGripSig'>

/** What the parts for GRIP are made of. */
export interface GripConfig {
  readonly endpoints: readonly ControlEndpoint[]
  readonly validateSignature: GripPublisher['validateGripSig']
  /** Before channel names, wherever the publisher has one of its own. */
  readonly prefix: string
  /** The same in each process of the same configuration; undefined when it has no key. */
  readonly secret: Buffer | undefined
}

/** @throws EventStreamError `ERR_OPTION`. */
export function resolveGrip(spec: NonNullable<GripSpec>): GripConfig {
  const publisher = publisherOf(spec)
  const { clients, prefix = '' } = publisher
  if (clients.length === 0) throw invalid('it names no proxy')
  for (const client of clients) checkUrl(client)
  const endpoints = clients.map(controlEndpoint)
  endpoints.forEach(({ name }, i) => {
    if (!canVerify(clients[i]?.getVerifyKey?.())) throw unverified(name)
  })
  return {
    endpoints,
    validateSignature: (signature) => publisher.validateGripSig(signature),
    prefix,
    secret: secretOf(clients),
  }
}

function publisherOf(spec: NonNullable<GripSpec>): GripPublisher {
  if (isPublisher(spec)) {
    if (typeof spec.validateGripSig === 'function') return spec
    throw invalid('its Publisher cannot check signatures; use @fanoutio/grip 4.2 or later')
  }
  const all = [spec].flat() as (string | IGripConfig)[]
  const wrong = all.find(
    (one) => typeof one !== 'string' && typeof Object(one).control_uri !== 'string',
  )
  if (wrong !== undefined) throw invalid(`it has ${quote(wrong)}`)
  try {
    return new Publisher(all)
  } catch (error) {
    // The error of a URL that is none has the URL in it, with its key: it must not be the cause.
    const { code, name } = Object(error) as { code?: unknown; name?: unknown }
    throw invalid(`it cannot be read (${code ?? name})`)
  }
}

/** `localhost:5561` is a URL too, and nothing can be sent there; nor where its URL has a password. */
function checkUrl(client: IPublisherClient): void {
  const { publishUri } = client as { publishUri?: unknown }
  if (typeof publishUri !== 'string') return
  // The error of one that is none would have it, and its password.
  if (!URL.canParse(publishUri)) throw invalid('its control_uri is no URL')
  const { protocol, username, password, pathname } = new URL(publishUri)
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw invalid('a URL of it does not begin with http:// or https://')
  }
  if (username + password !== '') {
    throw invalid('its control_uri has a password, which goes in pass')
  }
  if (pathname.includes('@')) {
    throw invalid(
      'a URL of it has an @ behind its host; percent-encode the password, or give it in pass',
    )
  }
}

/** Neither an empty key, which everybody knows, nor a private one, which only signs. */
function canVerify(key: unknown): boolean {
  if (key === undefined || key === null) return false
  const { type, jwk } = Object(key) as { type?: unknown; jwk?: { d?: unknown } }
  return type !== 'private' && jwk?.d === undefined && secretPart(key)?.length !== 0
}

function unverified(name: string): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `grip has no key that verifies the Grip-Sig of the proxy ${name}, so anybody could play that proxy. Give ` +
      "verify-key in its URL (verify_key in a configuration): for Pushpin its sig_key, as in '?verify-key=changeme'; " +
      'for Fanout use buildFanoutGripConfig of @fanoutio/grip/fastly-fanout, which has it. A shared key that is ' +
      "given as '?iss=pushpin&key=changeme' verifies too.",
  )
}

function isPublisher(spec: object | string): spec is GripPublisher {
  return Array.isArray((spec as Partial<GripPublisher>).clients)
}

function invalid(why: string): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `grip cannot be used: ${why}. Give a URL such as 'http://127.0.0.1:5561/?iss=pushpin&key=changeme', ` +
      'a configuration { control_uri, control_iss, key }, an array of these, or a Publisher.',
  )
}

/** Of whatever the proxies are configured with that others do not know, in whatever order. */
function secretOf(clients: readonly IPublisherClient[]): Buffer | undefined {
  const secrets = clients.map(credentialOf).filter((secret) => secret !== undefined)
  if (secrets.length === 0) return undefined
  const digests = secrets.map((secret) => createHash('sha256').update(secret).digest('hex'))
  return createHash('sha256')
    .update([...new Set(digests)].sort().join())
    .digest()
}

/** What others do not know; a public key is no secret. */
function credentialOf(client: IPublisherClient): string | Uint8Array | undefined {
  const auth = Object(client.getAuth?.()) as {
    getKey?(): unknown
    getToken?(): unknown
    getPass?(): unknown
  }
  const candidates = [auth.getKey?.(), auth.getToken?.(), auth.getPass?.(), client.getVerifyKey?.()]
  return candidates.map(secretPart).find((secret) => secret !== undefined && secret.length > 0)
}

function secretPart(value: unknown): string | Uint8Array | undefined {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  const { type, keyString, jwk } = Object(value) as {
    type?: unknown
    keyString?: unknown
    jwk?: { k?: unknown; d?: unknown }
  }
  if (type === 'private' && typeof keyString === 'string') return keyString
  const part = jwk?.k ?? jwk?.d
  return typeof part === 'string' ? part : undefined
}
