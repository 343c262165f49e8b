import { createHmac, type KeyObject, sign } from 'node:crypto'

export interface GripClaims {
  readonly iss?: string
  /** Seconds since 1970. */
  readonly exp?: number
}

const nextHour = (): GripClaims => ({ iss: 'pushpin', exp: Math.floor(Date.now() / 1000) + 3600 })

/** What Pushpin sends as `Grip-Sig`, with a key that it shares with its origin. */
export function signHs256(key: string | Uint8Array, claims = nextHour()): string {
  return token('HS256', claims, (text) => createHmac('sha256', key).update(text).digest())
}

/** What Fanout sends as `Grip-Sig`, with a private key of the curve P-256. */
export function signEs256(key: KeyObject, claims = nextHour()): string {
  return token('ES256', claims, (text) =>
    sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }),
  )
}

/** A token that says it needs no signature, and has none. */
export function signWithNone(claims = nextHour()): string {
  return token('none', claims, () => Buffer.alloc(0))
}

function token(alg: string, claims: GripClaims, signText: (text: string) => Buffer): string {
  const text = [{ typ: 'JWT', alg }, claims].map(encode).join('.')
  return `${text}.${signText(text).toString('base64url')}`
}

function encode(part: object): string {
  // JSON has no Infinity, but reads 1e999 as that.
  const text = JSON.stringify(part, (_, value) => (value === Infinity ? '∞' : value))
  return Buffer.from(text.replace('"∞"', '1e999')).toString('base64url')
}
