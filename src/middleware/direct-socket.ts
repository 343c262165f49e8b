import { OutgoingMessage, ServerResponse } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'

/** As Node made it. */
const { write: plainWrite } = OutgoingMessage.prototype
const { write: plainHttp2Write } = Http2ServerResponse.prototype

/** Whether something else may see what is written before the socket does. */
export function isWrapped(res: ServerResponse): boolean {
  return res.write !== (res instanceof ServerResponse ? plainWrite : plainHttp2Write)
}

/**
 * The socket that chunks may be written to past a response whose head has gone out. The framing of
 * the chunked transfer coding is then made once for all connections instead of once for each, which
 * is most of what `res.write` costs.
 *
 * @returns undefined, so that `res.write` is used, where bytes would go round something: HTTP/2, a
 *   middleware that wraps `write` (compression), an encoded or unchunked body (HTTP/1.0), or a
 *   request that waits behind another one of its connection.
 */
export function directSocket(res: ServerResponse): Socket | undefined {
  const { socket } = res
  const isPlain =
    res instanceof ServerResponse &&
    !isWrapped(res) &&
    res.chunkedEncoding &&
    !res.hasHeader('Content-Encoding') &&
    socket !== null &&
    !socket.destroyed
  return isPlain ? socket : undefined
}
