import { BlockParser, type SeenBlock } from './block-parser.js'

/** What arrived together. Times are milliseconds since the request was sent. */
export interface Burst {
  readonly atMs: number
  lastMs: number
  events: number
  comments: number
  /** Whether it ended within a block. */
  endsMidBlock: boolean
}

/** Pieces that come closer than this are one. */
const burstGapMs = 20
/** Of a stream with more, the first ones are looked at. */
const maxBursts = 10_000
const maxBlocks = 1000

/** What came of one stream, and when. */
export class StreamRecord {
  readonly bursts: Burst[] = []
  /** The first ones. */
  readonly blocks: SeenBlock[] = []
  firstEventMs: number | undefined
  lastByteMs: number | undefined
  retryMs: number | undefined
  events = 0
  /** Comments and events named `keep-alive`. */
  keepAlives = 0
  readonly #decoder = new TextDecoder()
  readonly #parser: BlockParser
  #nowMs = 0

  constructor() {
    this.#parser = new BlockParser({
      onBlock: (block) => this.#onBlock(block),
      onComment: () => {
        this.keepAlives += 1
        const burst = this.bursts.at(-1)
        if (burst !== undefined) burst.comments += 1
      },
      onRetry: (ms) => {
        this.retryMs = ms
      },
    })
  }

  /** The first block. */
  get opening(): SeenBlock | undefined {
    return this.blocks[0]
  }

  push(bytes: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs
    this.lastByteMs = nowMs
    const last = this.bursts.at(-1)
    const isNew = last === undefined || nowMs - last.lastMs > burstGapMs
    if (isNew && this.bursts.length < maxBursts) {
      this.bursts.push({ atMs: nowMs, lastMs: nowMs, events: 0, comments: 0, endsMidBlock: false })
    }
    this.#parser.push(this.#decoder.decode(bytes, { stream: true }))
    const burst = this.bursts.at(-1)
    if (burst === undefined) return
    burst.lastMs = nowMs
    burst.endsMidBlock = this.#parser.isMidBlock
  }

  #onBlock(block: SeenBlock): void {
    this.events += 1
    this.firstEventMs ??= this.#nowMs
    if (block.event === 'keep-alive') this.keepAlives += 1
    if (this.blocks.length < maxBlocks) this.blocks.push(block)
    const burst = this.bursts.at(-1)
    if (burst !== undefined) burst.events += 1
  }
}
