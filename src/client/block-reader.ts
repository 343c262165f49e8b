import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { EventSourceError } from './errors.js'

/** One block of the stream that has data. */
export type Block = Pick<EventSourceMessage, 'event' | 'data' | 'id'>

/**
 * Reads one response, in whatever chunks it comes.
 *
 * @returns What takes the next chunk. It throws EventSourceError `ERR_EVENT_TOO_LARGE`, and what `onBlock` throws.
 */
export function blockReader(
  maxEventBytes: number,
  onBlock: (block: Block) => void,
  onRetry: (ms: number) => void,
): (chunk: Uint8Array) => void {
  const decoder = new TextDecoder()
  const parser = createParser({
    maxBufferSize: maxEventBytes,
    onEvent: onBlock,
    onRetry,
    onError: ({ type, message }) => {
      // The other types are of lines that are to be ignored.
      if (type.startsWith('max')) throw new EventSourceError('ERR_EVENT_TOO_LARGE', message)
    },
  })
  let hasLineEnd = false
  return (chunk) => {
    let text = decoder.decode(chunk, { stream: true })
    if (text === '') return
    if (hasLineEnd && text.startsWith('\n')) text = text.slice(1)
    // The parser would wait for what follows, and a server that ends lines with CR may be silent for long.
    hasLineEnd = text.endsWith('\r')
    parser.feed(hasLineEnd ? `${text}\n` : text)
  }
}
