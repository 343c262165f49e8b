/** One block that was dispatched, as far as the checks look at it. */
export interface SeenBlock {
  /** Event name; `message` without one. */
  readonly event: string
  readonly id: string | undefined
  /** Its first characters. */
  readonly data: string
}

interface Listener {
  onBlock(block: SeenBlock): void
  onComment(): void
  onRetry(ms: number): void
}

/** Enough for the longest cursor. A line's rest is skipped, so that no server fills the memory. */
const maxLineLength = 5000

/** Reads `text/event-stream` in pieces, and tells where a piece has ended. */
export class BlockParser {
  readonly #listener: Listener
  #line = ''
  #isAfterCr = false
  #isBlockOpen = false
  #event = ''
  #id: string | undefined
  #data: string | undefined

  constructor(listener: Listener) {
    this.#listener = listener
  }

  /** Whether a block has begun and not ended. */
  get isMidBlock(): boolean {
    return this.#isBlockOpen || this.#line !== ''
  }

  push(text: string): void {
    // The CR of a pair has ended the line.
    const rest = this.#isAfterCr && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') this.#isAfterCr = text.endsWith('\r')
    const lines = rest.split(/\r\n|\r|\n/)
    for (const [i, line] of lines.entries()) {
      if (this.#line.length < maxLineLength) this.#line += line.slice(0, maxLineLength)
      if (i === lines.length - 1) return
      this.#take(this.#line)
      this.#line = ''
    }
  }

  #take(line: string): void {
    if (line === '') this.#dispatch()
    else if (line.startsWith(':')) this.#listener.onComment()
    else this.#field(line)
  }

  #field(line: string): void {
    this.#isBlockOpen = true
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#event = value
    else if (name === 'data') this.#data ??= value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^\d+$/.test(value)) this.#listener.onRetry(Number(value))
  }

  #dispatch(): void {
    const [event, id, data] = [this.#event || 'message', this.#id, this.#data]
    this.#isBlockOpen = false
    this.#event = ''
    this.#id = undefined
    this.#data = undefined
    // Clients skip a block without data.
    if (data !== undefined) this.#listener.onBlock({ event, id, data })
  }
}
