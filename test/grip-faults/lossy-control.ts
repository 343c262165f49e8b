import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { seededRandom } from './random.js'

/** What happened to publish requests. */
export interface LossyCounts {
  requests: number
  /** Not passed on, and not answered. */
  cut: number
  /** Not passed on, and answered as if they were. */
  swallowed: number
  duplicated: number
  /** Passed on late, and answered then. */
  delayed: number
  /** Answered at once, and passed on late: behind later ones. */
  overtaken: number
}

type Fate = 'passed' | 'lost' | 'duplicated' | 'delayed'

/** Of each 20 requests. */
const fates: readonly Fate[] = [
  'lost',
  'duplicated',
  ...Array.from({ length: 3 }, () => 'delayed' as const),
  ...Array.from({ length: 15 }, () => 'passed' as const),
]

const maxDelayMs = 300

const accepted = 'Published\n'

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Stands before the control port of a Pushpin, and loses 5 % of what is published, duplicates 5 %, and
 * delays 15 %; which ones, the seed says.
 */
export class LossyControl {
  readonly counts: LossyCounts = {
    requests: 0,
    cut: 0,
    swallowed: 0,
    duplicated: 0,
    delayed: 0,
    overtaken: 0,
  }
  readonly #controlUrl: string
  readonly #random: () => number
  readonly #server: Server
  readonly #underWay = new Set<Promise<unknown>>()
  #fates: Fate[] = []
  #losesNext = false
  #forgetsIds = false

  private constructor(controlUrl: string, seed: number, server: Server) {
    this.#controlUrl = controlUrl
    this.#random = seededRandom(seed)
    this.#server = server
    server.on('request', (req, res) => this.#track(this.#take(req, res)))
  }

  static async start(controlUrl: string, seed: number): Promise<LossyControl> {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new LossyControl(controlUrl, seed, server)
  }

  get gripUrl(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}/?iss=pushpin&key=changeme`
  }

  /** Answers the next request as if it were passed on, and loses it. */
  loseNext(): void {
    this.#losesNext = true
  }

  /** Takes the ids from all that is published, so that nobody can tell what is missing. */
  forgetIds(): void {
    this.#forgetsIds = true
  }

  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await Promise.all(this.#underWay)
  }

  #track(work: Promise<unknown>): void {
    this.#underWay.add(work)
    void work.finally(() => this.#underWay.delete(work))
  }

  async #take(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { counts } = this
    const body = this.#forgetsIds ? withoutIds(await text(req)) : await text(req)
    const fate = this.#losesNext ? 'lost' : this.#nextFate()
    const lateMs = maxDelayMs * this.#random()
    counts.requests += 1
    if (fate === 'passed') {
      await this.#answer(req, res, body)
    } else if (fate === 'duplicated') {
      counts.duplicated += 1
      await this.#answer(req, res, body)
      await delay(lateMs)
      await this.#passOn(req, body)
    } else if (fate === 'lost' && !this.#losesNext && counts.cut <= counts.swallowed) {
      counts.cut += 1
      res.destroy()
    } else if (fate === 'lost') {
      this.#losesNext = false
      counts.swallowed += 1
      res.end(accepted)
    } else if (counts.delayed <= counts.overtaken) {
      counts.delayed += 1
      await delay(lateMs)
      await this.#answer(req, res, body)
    } else {
      counts.overtaken += 1
      res.end(accepted)
      await delay(lateMs)
      await this.#passOn(req, body)
    }
  }

  #nextFate(): Fate {
    if (this.#fates.length === 0) this.#fates = [...fates]
    return this.#fates.splice(Math.floor(this.#random() * this.#fates.length), 1)[0] as Fate
  }

  async #answer(req: IncomingMessage, res: ServerResponse, body: string): Promise<void> {
    const answer = await this.#passOn(req, body)
    if (answer === undefined) res.destroy()
    else res.writeHead(answer.status).end(answer.text)
  }

  /** @returns undefined when Pushpin is not there. */
  async #passOn({ url }: IncomingMessage, body: string) {
    try {
      const response = await fetch(`${this.#controlUrl}${url}`, { method: 'POST', body })
      return { status: response.status, text: await response.text() }
    } catch {
      return undefined
    }
  }
}

function withoutIds(body: string): string {
  const { items } = JSON.parse(body) as { items: { id?: string; 'prev-id'?: string }[] }
  return JSON.stringify({ items: items.map(({ id: _, 'prev-id': _prevId, ...rest }) => rest) })
}
