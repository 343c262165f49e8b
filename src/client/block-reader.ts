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
  const parser = createParser({ onEvent: onBlock, onRetry })
  let isAfterCr = false
  let last = ''
  /** Of the block that has not ended. The parser would count its data, and an empty line costs more than that. */
  let length = 0
  return (chunk) => {
    let text = decoder.decode(chunk, { stream: true })
    if (text === '') return
    if (isAfterCr && text.startsWith('\n')) text = text.slice(1)
    isAfterCr = text.endsWith('\r')
    // Of a CR the parser would wait for what follows, and for each line look through all of the text.
    text = text.replace(/\r\n?/g, '\n')
    parser.feed(text)
    text = last + text
    const end = text.lastIndexOf('\n\n')
    length = end < 0 ? length + text.length - last.length : text.length - end - 2
    last = text.slice(-1)
    if (length > maxEventBytes) {
      throw new EventSourceError(
        'ERR_EVENT_TOO_LARGE',
        `An event has more than ${maxEventBytes} bytes.`,
      )
    }
  }
}
