import { EventStreamError, quote } from '../core/errors.js'
import type { Chunk } from './chunk.js'

/** Anything that gives chunks: an async generator, a Node `Readable`, a Web `ReadableStream`, an array. */
export type Source =
  | AsyncIterable<Chunk>
  | Iterable<Chunk>
  | ReadableStream<Chunk>
  | Promise<AsyncIterable<Chunk> | Iterable<Chunk> | ReadableStream<Chunk>>

export interface SourceContext {
  readonly id: string
  /** Aborts when somebody stops the stream, or it can no longer be its producer's. */
  readonly signal: AbortSignal
}

/** Makes the source of a stream, once it is known that this process produces it. */
export type MakeSource = (context: SourceContext) => Source

/** Pulls chunks one at a time. `return` lets the source clean up. */
export type ChunkIterator = Pick<AsyncIterator<unknown>, 'next' | 'return'>

/** @throws EventStreamError `ERR_EVENT` when it cannot be read from. */
export function iterate(source: unknown): ChunkIterator {
  // A string is iterable, and somebody who gives one means all of it.
  if (typeof source === 'string' || source instanceof Uint8Array) return iterate([source])
  const iterable = Object(source) as Partial<AsyncIterable<unknown> & Iterable<unknown>>
  if (typeof iterable[Symbol.asyncIterator] === 'function') {
    return (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  }
  if (typeof iterable[Symbol.iterator] === 'function') {
    const iterator = (iterable as Iterable<unknown>)[Symbol.iterator]()
    return {
      next: async () => iterator.next(),
      return: async () => iterator.return?.() ?? { done: true, value: undefined },
    }
  }
  throw new EventStreamError(
    'ERR_EVENT',
    `The source of a stream is ${quote(source)}; give an async iterable, a Readable or a ReadableStream.`,
  )
}
