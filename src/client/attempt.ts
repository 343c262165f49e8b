import { type Block, blockReader } from './block-reader.js'
import { EventSourceError, toError } from './errors.js'
import type { SourceNews } from './events.js'
import type { Address, PerRequest, Settings } from './options.js'
import { ask } from './request.js'
import { checkResponse } from './response.js'

/** What an attempt is for. */
export interface AttemptHost {
  readonly address: PerRequest<Address>
  readonly options: Settings
  /** The position to resume after. */
  readonly lastEventId: string
  /** Where the stream comes from. */
  origin: string
  tell(event: SourceNews): void
  /** Whether an answer of another type may be a service worker's, in place of the server's. */
  mayBeOffline(): boolean
  /** What it throws ends this attempt. */
  take(block: Block): void
  /** All blocks of one read have been taken. @returns When there is room for more. */
  settled(): Promise<void>
  /** The server has said that there is nothing more to come. */
  finish(): void
}

/** One request, and its answer for as long as it comes. */
export interface Attempt {
  /** Rejects with what it has ended by. */
  readonly over: Promise<never>
  stop(): void
  /** Looks whether it still hears something. */
  wake(): void
}

/**
 * @param setTimer - Sets the one timer that is used until the attempt is over.
 * @param onProgress - Called when something comes.
 * @param onRetry - Called with what the server's `retry` says.
 */
export function attempt(
  host: AttemptHost,
  setTimer: (ms: number, run: () => void) => void,
  onProgress: () => void,
  onRetry: (ms: number) => void,
): Attempt {
  const { silenceMs, maxEventBytes } = host.options
  const abort = new AbortController()
  const { signal } = abort
  /** To come, while nobody wants to hear more. */
  let heardAt = Date.now()

  // A clock that was set back says nothing.
  const silentForMs = () => Math.max(Date.now() - heardAt, 0)
  /** @returns Milliseconds until it will be. */
  const endIfSilentFor = (ms: number) => {
    const leftMs = ms - silentForMs()
    if (leftMs <= 0) abort.abort(new EventSourceError('ERR_SILENCE', `Silent for ${ms} ms.`))
    return leftMs
  }
  const watch = () => {
    const leftMs = endIfSilentFor(silenceMs)
    if (leftMs > 0) setTimer(leftMs, watch)
  }
  const read = async () => {
    const response = await ask(host, host.address, 'text/event-stream', signal)
    signal.throwIfAborted()
    const isStream = await checkResponse(response, host)
    signal.throwIfAborted()
    if (!isStream) return host.finish()
    if (response.url) host.origin = new URL(response.url).origin
    host.tell({ type: 'open' })
    const onBlock = (block: Block) => {
      // A listener may have closed the source, and more was read already.
      if (signal.aborted) return
      onProgress()
      host.take(block)
    }
    const feed = blockReader(maxEventBytes, onBlock, onRetry)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) throw toError('The stream has ended.')
      feed(value)
      heardAt = Infinity
      await host.settled()
      heardAt = Date.now()
    }
  }

  watch()
  const over = new Promise<never>((_, reject) => {
    // What the application's functions and `fetch` do about the signal is theirs.
    signal.onabort = () => reject(signal.reason)
    read().catch(reject)
  })
  return {
    over,
    stop: () => abort.abort(),
    // When the page wakes, a shorter silence is enough.
    wake: () => endIfSilentFor(silenceMs / 3),
  }
}
