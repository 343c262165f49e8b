import type { ServerResponse } from 'node:http'

/** What goes to a stream at once. */
const sliceBytes = 16_384

/**
 * Writes to an HTTP/2 response slice by slice, each when the one before has gone. Node tells of a
 * write over HTTP/2 only when all of it has gone, so that a client which takes a long event little
 * by little would look like one that takes nothing.
 */
export class SlicedWriter {
  readonly #res: ServerResponse
  readonly #onEmpty: () => void
  #slices: Buffer[] = []
  #waitingBytes = 0
  #isWriting = false

  /** @param onEmpty - Called when all that had to wait has gone. */
  constructor(res: ServerResponse, onEmpty: () => void) {
    this.#res = res
    this.#onEmpty = onEmpty
  }

  /** Bytes that have not gone yet. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** @returns False when some of it has to wait. */
  write(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; at += sliceBytes) {
      this.#slices.push(bytes.subarray(at, at + sliceBytes))
    }
    this.#waitingBytes += bytes.length
    const wasWriting = this.#isWriting
    if (!wasWriting) this.#writeNext()
    return !wasWriting && this.#slices.length === 0
  }

  /** Hands over what waits, since nothing follows. */
  flush(): void {
    for (const slice of this.#slices.splice(0)) {
      this.#res.write(slice, () => {
        this.#waitingBytes -= slice.length
      })
    }
  }

  #writeNext(): void {
    const slice = this.#slices.shift()
    this.#isWriting = slice !== undefined
    if (slice === undefined) return
    this.#res.write(slice, () => {
      this.#waitingBytes -= slice.length
      if (this.#slices.length > 0) this.#writeNext()
      else {
        this.#isWriting = false
        this.#onEmpty()
      }
    })
  }
}
