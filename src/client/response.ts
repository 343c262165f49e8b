import { EventSourceError } from './errors.js'
import type { Settings } from './options.js'

const maxBodyLength = 1000

/** Milliseconds that are waited for it: it may be a stream of another type. */
const maxBodyMs = 1000

/** Statuses that pass. */
const passing = /^5|408|42[59]/

/** A day: who is told to stay away for longer asks once more. */
const maxRetryAfterMs = 86_400_000

/**
 * Looks at the head of an answer.
 *
 * @returns Whether it is a stream; not when there is nothing more to come.
 * @throws EventSourceError `ERR_STATUS`, `ERR_CONTENT_TYPE`.
 */
export async function checkResponse(
  response: Response,
  host: { readonly options: Settings; mayBeOffline(): boolean },
): Promise<boolean> {
  const { status, headers, body } = response
  if (status === 204) return false
  const type = headers.get('content-type') ?? ''
  const isOk = status === 200
  const isStream = isOk && /^text\/event-stream *(;|$)/i.test(type)
  // A `fetch` of the application's may answer with something else.
  if (isStream && body?.getReader) return true
  const error = new EventSourceError(
    isOk ? 'ERR_CONTENT_TYPE' : 'ERR_STATUS',
    isStream
      ? 'Invalid response body, expected a web ReadableStream'
      : `No stream: ${status} ${type}`,
    {
      status,
      isFinal: !(isOk ? host.mayBeOffline() : passing.test(`${status}`)),
      body: await beginningOf(response),
      retryAfterMs: retryAfterOf(headers.get('retry-after') ?? ''),
    },
  )
  const isRetried = await host.options.retryOn?.(error, response)
  if (isRetried !== undefined) {
    Object.assign(error, { isFinal: !isRetried, retryAfterMs: error.retryAfterMs ?? 0 })
  }
  throw error
}

/** The rest is left: the connection ends with the attempt. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    timer = setTimeout(() => reader.cancel(), maxBodyMs)
    while (text.length < maxBodyLength) {
      const { done, value } = await reader.read()
      if (done) break
      text += decoder.decode(value, { stream: true })
    }
  } catch {
    // The status is what counts, also where there is no body.
  }
  clearTimeout(timer)
  return text.slice(0, maxBodyLength)
}

/** @returns undefined unless it is a number of seconds, or a date to come. */
function retryAfterOf(text: string): number | undefined {
  const ms = Number(text) * 1000 || Date.parse(text) - Date.now()
  return ms > 0 ? Math.min(ms, maxRetryAfterMs) : undefined
}
