import type { ServerResponse } from 'node:http'
import fc from 'fast-check'
import { type Block, encodeBlock, encodeComment } from '../../src/core/wire.js'

/** One thing that a server writes into a stream. */
export type Piece = { readonly block: Block } | { readonly comment: string }

/** The event that tells a client that it has all. No other event has this name. */
export const lastEvent = 'the-end'

// What a parser of lines, fields or bytes could stumble over, among all of Unicode.
const unit = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
  fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\0', ' ', '\t', ':', '\v', '\f', '\x85', '\u2028'),
  fc.constantFrom('\ufeff', '\ufffe', '\uffff', '\ufffd', '\ud800', '\udbff', '\udc00', '\udfff'),
  fc.constantFrom('data: ', 'event: x', 'id: 1', 'retry: 9', ': comment', '{"n":1}', '__proto__'),
)

export const text = fc.string({ unit, maxLength: 24 })

/** Text that may stand in the `event` or `id` field. */
export const fieldText = text.map((value) => value.replace(/[\r\n\0]/g, ''))

export const eventName = fc.oneof(
  { weight: 4, arbitrary: fieldText.filter((name) => name !== '' && name !== lastEvent) },
  // Clients use these names themselves, or have something else of that name.
  {
    weight: 1,
    arbitrary: fc.constantFrom('message', 'open', 'error', 'close', 'constructor', '__proto__'),
  },
)

const block: fc.Arbitrary<Block> = fc.record({
  event: fc.option(eventName, { nil: undefined }),
  data: text,
  id: fc.option(fieldText, { nil: undefined }),
})

const piece: fc.Arbitrary<Piece> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ block }) },
  { weight: 1, arbitrary: fc.record({ comment: text }) },
)

/** A stream of about this many events, and the sizes of the chunks that its bytes come in. */
export function stream(length: number): fc.Arbitrary<{ pieces: Piece[]; chunkSizes: number[] }> {
  return fc.record({
    pieces: fc.array(piece, { minLength: length / 2, maxLength: length, size: 'max' }),
    chunkSizes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
  })
}

export function encode(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => ('block' in piece ? encodeBlock(piece.block) : encodeComment(piece.comment)))
    .join('')
}

/** Cuts bytes wherever the sizes say, over and over again: through lines and characters too. */
export function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + (sizes[i % sizes.length] as number)
    yield bytes.subarray(start, end)
    start = end
  }
}

/** Writes a stream of pieces, and {@link lastEvent} behind it, in chunks of these sizes. */
export async function serve(
  res: ServerResponse,
  pieces: readonly Piece[],
  chunkSizes: readonly number[],
): Promise<void> {
  const last: Piece = { block: { event: lastEvent, data: '' } }
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  for (const chunk of chunksOf(Buffer.from(encode([...pieces, last])), chunkSizes)) {
    // Each in a packet of its own, as far as that is ours to say.
    await new Promise((resolve) => res.write(chunk, resolve))
  }
  res.end()
}

export function blocksOf(pieces: readonly Piece[]): Block[] {
  return pieces.flatMap((piece) => ('block' in piece ? [piece.block] : []))
}

/** Text as clients get it: line breaks are `\n`, and half a surrogate pair has no bytes. */
export function received(value: string): string {
  return value.toWellFormed().replace(/\r\n?/g, '\n')
}
