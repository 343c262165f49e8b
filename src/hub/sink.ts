/** Text on its way to many connections: made bytes once, for whoever is the first to need them. */
export class Frame {
  readonly #text: string
  #length: number | undefined
  #bytes: Buffer | undefined
  #chunk: Buffer | undefined

  constructor(text: string) {
    this.#text = text
  }

  /** Bytes of the text itself. */
  get length(): number {
    this.#length ??= Buffer.byteLength(this.#text)
    return this.#length
  }

  get bytes(): Buffer {
    this.#bytes ??= Buffer.from(this.#text)
    return this.#bytes
  }

  /** The bytes as one chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1). */
  get chunk(): Buffer {
    this.#chunk ??= Buffer.from(`${this.length.toString(16)}\r\n${this.#text}\r\n`)
    return this.#chunk
  }
}

/**
 * How bytes get to the client: `socket`, framed once for all connections and written past the
 * response, which is what makes many connections cheap; or `response`, by `res.write`, where
 * something stands in between.
 */
export type Transport = 'socket' | 'response'

/**
 * Where a connection's bytes go: the one seam between the hub and HTTP. The other side calls
 * `Connection.drained` when a sink that was full is empty again, and `Connection.closed` once when
 * nothing more can be written, whoever ended it.
 */
export interface Sink {
  /** @returns False when bytes wait in memory, so that `drained` will be called. */
  write(frame: Frame): boolean
  readonly transport: Transport
  /** Bytes that wait in this process's memory. */
  readonly queuedBytes: number
  /** Whether nothing waits in this process, whatever a write was answered. */
  readonly isEmpty: boolean
  /** A number that changes whenever some bytes have left this process. */
  readonly progress: number
  /** Ends the stream behind what was written. */
  end(last: Frame): void
  /** Ends the stream at once; what waits is dropped. */
  destroy(): void
}
