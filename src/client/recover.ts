import type { Block } from './block-reader.js'
import { EventSourceError } from './errors.js'
import type { Address, Settings } from './options.js'
import { ask } from './request.js'

/** What a recovery endpoint answers. */
interface Missed {
  readonly status: string
  readonly streamId: string
  readonly events: readonly {
    readonly id: string
    readonly event?: string
    readonly data: unknown
  }[]
  readonly lastEventId: string
  /** Whether there is no more by now. */
  readonly isComplete: boolean
  readonly isReset: boolean
  readonly reason?: string
  readonly result?: unknown
}

/** Milliseconds between an answer and the next question. */
const pauseMs = 100

/** What an answer may have, whatever an event may: one has a thousand events, or a mebibyte and one event. */
const minAnswerBytes = 8_388_608

/** The stream that something was missed of. */
interface Recovering {
  readonly options: Settings
  lastEventId: string
  take(block: Block): void
  settled(): Promise<void>
  finish(ending: object): void
}

/**
 * Takes what was missed, and the end if there was one.
 *
 * @param error - What the stream's own address has answered for good, if that is why.
 */
export type Recover = (
  stream: Recovering,
  signal: AbortSignal,
  error?: EventSourceError,
) => Promise<void>

/**
 * Has what was missed from the recovery endpoint of a stream. It is asked by `source.recover()`, and when the
 * stream's own address says 404 or 410.
 *
 * @param address - Of the endpoint; may be a function of the position.
 */
export function recoverFrom(address: Address | ((position: string) => Address)): Recover {
  return async (stream, signal, error) => {
    if (error && error.status !== 404 && error.status !== 410) return
    const left = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve())
    })
    for (;;) {
      const before = stream.lastEventId
      const missed = await askForMissed(address, stream, signal)
      signal.throwIfAborted()
      if (missed === undefined) return stream.finish({})
      takeMissed(missed, stream, signal)
      const { status, reason, result } = missed
      const settled = stream.settled()
      if (missed.isComplete) {
        if (status !== 'active') stream.finish({ state: status, reason, result })
        return
      }
      // It would be asked the same again, without end.
      if (stream.lastEventId === before) throw refused(200)
      const rested = new Promise((resolve) => setTimeout(resolve, pauseMs))
      await Promise.race([left, Promise.all([settled, rested])])
      signal.throwIfAborted()
    }
  }
}

/** @returns undefined when there is nothing to come. */
async function askForMissed(
  address: Parameters<typeof recoverFrom>[0],
  { options, lastEventId }: Recovering,
  signal: AbortSignal,
): Promise<Missed | undefined> {
  const abort = new AbortController()
  const stop = () => abort.abort()
  const timer = setTimeout(stop, options.silenceMs)
  signal.addEventListener('abort', stop, abort)
  const url = typeof address === 'function' ? () => address(lastEventId) : address
  const asGet = { ...options, method: 'GET', body: undefined }
  try {
    const response = await ask(
      { options: asGet, lastEventId },
      url,
      'application/json',
      abort.signal,
    )
    const { status } = response
    if (status === 204) return undefined
    if (status !== 200) throw refused(status)
    return JSON.parse(await textOf(response, Math.max(options.maxEventBytes, minAnswerBytes)))
  } finally {
    clearTimeout(timer)
    // Also what was not read of the answer, and the listener.
    stop()
  }
}

/** @throws EventSourceError `ERR_EVENT_TOO_LARGE`. */
async function textOf({ body }: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder()
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  let text = ''
  for (let left = maxBytes; ; ) {
    const { done, value } = await reader.read()
    if (done) return text
    left -= value.byteLength
    if (left < 0) {
      throw new EventSourceError(
        'ERR_EVENT_TOO_LARGE',
        `An answer has more than ${maxBytes} bytes.`,
      )
    }
    text += decoder.decode(value, { stream: true })
  }
}

function refused(status: number): EventSourceError {
  const message = `The recovery endpoint said ${status}, and nothing to go on with.`
  return new EventSourceError('ERR_STATUS', message, { status })
}

function takeMissed(missed: Missed, stream: Recovering, signal: AbortSignal): void {
  const { streamId, events, isReset, lastEventId } = missed
  stream.take({ event: 'stream-open', data: '{}' })
  if (isReset) {
    const reset = { channels: [streamId], reason: 'trimmed' }
    stream.take({ event: 'stream-reset', data: JSON.stringify(reset) })
  }
  for (const { data, ...event } of events) {
    // A listener may close the source.
    signal.throwIfAborted()
    stream.take({ ...event, data: JSON.stringify(data) })
  }
  signal.throwIfAborted()
  stream.lastEventId = lastEventId
}
