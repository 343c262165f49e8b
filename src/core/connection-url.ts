/** What can be no secret: an address without user, password and query. */
const plainAddress = /^(?:[a-z][a-z\d+.-]*:\/\/)?[\w.-]+(?::\d{1,5})?(?:\/[\w-]*)*$/i

const schemeOf = /^[a-z][a-z\d+.-]*:\/\//i

/**
 * A connection URL as it may be shown. Where the password of one that cannot be read ends nobody can tell, so
 * nothing of it is shown but how it begins.
 */
export function withoutSecrets(text: string): string {
  return text === '' || plainAddress.test(text) ? text : `${schemeOf.exec(text)?.[0] ?? ''}…`
}

/** Text of any kind, in which there may be a URL with a password: that, and what is behind it. */
export function withoutPasswords(text: string): string {
  if (!text.includes('://') || !text.includes('@')) return text
  return text.replace(/([a-z][a-z\d+.-]*:\/\/)[\s\S]*@[\s\S]*$/i, '$1…')
}

/** Of a password: what there is to do when its URL cannot be read. */
export const encodingAdvice =
  'Where the user or the password has a character such as / or @, write encodeURIComponent(password) instead.'

/**
 * Reads a connection URL, whose user and password may be percent-encoded, or as they are.
 *
 * @param isPath - Whether a path may be one.
 * @returns The URL, with both encoded; undefined when it is none, or may be read in two ways.
 */
export function readConnectionUrl(
  text: string,
  isPath: (path: string) => boolean,
): string | undefined {
  const [, scheme = '', authority = '', rest = ''] =
    /^([a-z][a-z\d+.-]*:\/\/)([^/?#]*)([\s\S]*)$/i.exec(text.trim()) ?? []
  const isWhole = (url: string) => URL.canParse(url) && isPath(new URL(url).pathname)
  const standard = scheme + encoded(authority) + rest
  const isStandard = scheme !== '' && isWhole(standard)
  const [, path = '', query = ''] = /^([^?#]*)(?:\?([^#]*))?/.exec(rest) ?? []
  const isNamed = !path.includes('@') && /^[\w.-]+=/.test(query)
  const isPlain = !rest.includes('@') || (authority.includes('@') && isNamed)
  if (isStandard && isPlain && !rest.includes('#')) return standard
  // Then the password has a character that ends an address: everything up to the last @ is user and password.
  const address = authority + rest
  const userInfo = address.slice(0, address.lastIndexOf('@') + 1)
  if (!userInfo.includes(':') || (isStandard && isNamed)) return undefined
  const typed = scheme + encoded(userInfo) + address.slice(userInfo.length)
  return isWhole(typed) && !typed.includes('#') ? typed : undefined
}

/** Encodes user and password, which end with the last `@`. */
function encoded(authority: string): string {
  const at = authority.lastIndexOf('@')
  if (at === -1) return authority
  const { user, password } = credentialsOf(authority.slice(0, at))
  const parts = [user, ...(password === undefined ? [] : [password])]
  return `${parts.map((part) => encodeURIComponent(part.toWellFormed())).join(':')}${authority.slice(at)}`
}

/** @param userInfo - Both as they are, or percent-encoded. */
export function credentialsOf(userInfo: string): { user: string; password: string | undefined } {
  const colon = userInfo.indexOf(':')
  if (colon === -1) return { user: decoded(userInfo), password: undefined }
  return { user: decoded(userInfo.slice(0, colon)), password: decoded(userInfo.slice(colon + 1)) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A % of the password's own.
    return text
  }
}
