import { describe, expect, jest, test } from '@jest/globals'
import { EventSource } from 'eventsource'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { EventStreamError } from '../../src/core/errors.js'
import { type Block, encodeBlock, encodeComment } from '../../src/core/wire.js'
import { startServer } from '../support/server.js'
import {
  blocksOf,
  chunksOf,
  encode,
  eventName,
  fieldText,
  lastEvent,
  type Piece,
  received,
  serve,
  stream,
  text,
} from '../support/wire-blocks.js'

jest.setTimeout(60_000)

interface Parsed {
  readonly events: EventSourceMessage[]
  readonly comments: string[]
  readonly retries: number[]
  readonly errors: Error[]
}

function parse(encoded: string, chunkSizes: readonly number[]): Parsed {
  const parsed: Parsed = { events: [], comments: [], retries: [], errors: [] }
  const parser = createParser({
    onEvent: (event) => parsed.events.push(event),
    onComment: (comment) => parsed.comments.push(comment),
    onRetry: (retry) => parsed.retries.push(retry),
    onError: (error) => parsed.errors.push(error),
  })
  const decoder = new TextDecoder()
  for (const chunk of chunksOf(Buffer.from(encoded), chunkSizes)) {
    parser.feed(decoder.decode(chunk, { stream: true }))
  }
  return parsed
}

function expected({ event, data, id }: Block): EventSourceMessage {
  return { event: event?.toWellFormed(), data: received(data), id: id?.toWellFormed() }
}

describe('the encoder', () => {
  test('writes what an independent parser reads back, however its bytes are split', () => {
    fc.assert(
      fc.property(stream(30), ({ pieces, chunkSizes }) => {
        const comments = pieces.flatMap((piece) =>
          'comment' in piece ? received(piece.comment).split('\n') : [],
        )

        const parsed = parse(encode(pieces), chunkSizes)

        expect(parsed).toEqual({
          events: blocksOf(pieces).map(expected),
          comments,
          retries: [],
          errors: [],
        })
      }),
      { numRuns: 500 },
    )
  })

  test('writes one event per block, with any reconnect delay', () => {
    fc.assert(
      fc.property(eventName, text, fieldText, fc.maxSafeNat(), (event, data, id, retry) => {
        const encoded = encodeBlock({ event, data, id, retry })

        const { events, retries } = parse(encoded, [encoded.length * 4])
        expect(events).toEqual([expected({ event, data, id })])
        expect(retries).toEqual([retry])
        expect(encoded.indexOf('\n\n')).toBe(encoded.length - 2)
      }),
      { numRuns: 500 },
    )
  })

  test('writes an event whose data is empty so that clients deliver it', () => {
    const { events } = parse(encodeBlock({ data: '', id: '1-1' }), [1])

    expect(events).toEqual([{ event: undefined, data: '', id: '1-1' }])
  })

  test('writes comments that end in no blank line, and give no event', () => {
    fc.assert(
      fc.property(text, (comment) => {
        const encoded = encodeComment(comment)

        expect(encoded).toMatch(/[^\n]\n$/)
        expect(encoded).not.toContain('\n\n')
        expect(parse(encoded, [encoded.length * 4]).events).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test.each(['event', 'id'] as const)('refuses CR, LF and NUL in the %s', (field) => {
    fc.assert(
      fc.property(text, fc.constantFrom('\r', '\n', '\0'), text, (before, breaking, after) => {
        const block = { data: '', [field]: `${before}${breaking}${after}` }

        const refusal = thrownBy(() => encodeBlock(block))

        expect(refusal).toBeInstanceOf(EventStreamError)
        expect(refusal).toHaveProperty('code', 'ERR_FIELD')
      }),
      { numRuns: 500 },
    )
  })
})

describe('the eventsource client', () => {
  test('receives over HTTP what was encoded, in whatever chunks it comes', async () => {
    let served: { readonly pieces: Piece[]; readonly chunkSizes: number[] } | undefined
    const { url } = await startServer(async (_req, res) => {
      if (served !== undefined) await serve(res, served.pieces, served.chunkSizes)
    })

    await fc.assert(
      fc.asyncProperty(stream(300), async (generated) => {
        served = generated
        const blocks = blocksOf(generated.pieces)

        const heard = await listen(url, blocks)

        // This client gives an event without id none, where the standard wants the one before it.
        expect(heard).toEqual(
          blocks.map(expected).map(({ event = 'message', data, id = '' }) => ({ event, data, id })),
        )
      }),
      { numRuns: 4, interruptAfterTimeLimit: 40_000 },
    )
  })
})

/** All events up to the last one, or up to where the stream breaks off. */
function listen(url: string, blocks: readonly Block[]): Promise<EventSourceMessage[]> {
  return new Promise((resolve) => {
    const heard: EventSourceMessage[] = []
    const source = new EventSource(url)
    const finish = () => {
      source.close()
      resolve(heard)
    }
    source.addEventListener(lastEvent, finish)
    const names = blocks.map(({ event = 'message' }) => event.toWellFormed())
    for (const name of new Set([...names, 'error'])) {
      source.addEventListener(name, (event) => {
        // The client has an `open` and an `error` of its own, which carry no data.
        if (event instanceof MessageEvent) {
          const { type, data, lastEventId } = event
          heard.push({ event: type, data, id: lastEventId })
        } else if (name === 'error') finish()
      })
    }
  })
}

function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}
