import { duration } from './finding.js'

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was closed without an answer',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ENOTFOUND: 'there is no host of that name',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that host',
  ETIMEDOUT: 'the host does not answer',
  EPROTO: 'what listens there speaks no TLS',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is of another host',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what listens there speaks no TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'what listens there speaks no TLS',
}

/**
 * @param failure - Of the request. Without one, there was no answer.
 * @param waitedMs - For how long there was none.
 */
export function unreachable(
  { host }: URL,
  failure: NodeJS.ErrnoException | undefined,
  waitedMs = 0,
): Error {
  if (failure === undefined)
    return new Error(`${host} did not answer within ${duration(waitedMs)}.`)
  return new Error(`${host} cannot be reached: ${reasonOf(failure)}.`)
}

function reasonOf({ code = '' }: NodeJS.ErrnoException): string {
  const known = reasons[code]
  if (known !== undefined) return `${known} (${code})`
  if (code.startsWith('HPE_')) return `the answer is no HTTP/1.1 (${code})`
  if (/CERT|SIGNATURE|ISSUER/.test(code)) {
    return `its certificate is not trusted (${code}); NODE_EXTRA_CA_CERTS names a file with more authorities`
  }
  return code === '' ? 'the request failed' : code
}
