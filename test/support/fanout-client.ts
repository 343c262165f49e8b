import type { IncomingHttpHeaders, ServerResponse } from 'node:http'

/** An item as Fanout's publishing API documents it. */
export interface FanoutItem {
  readonly channel: string
  readonly id?: string
  readonly 'prev-id'?: string
  readonly formats: { readonly 'http-stream'?: { readonly content?: string } }
}

export interface OriginAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What an origin instructs Fanout to do. */
interface Hold {
  /** Where the client is in each channel, by its name at the proxy. */
  readonly channels: Map<string, string | undefined>
  readonly link: string
  readonly linkMs: number
  /** What breaks a silence, and after how long. */
  readonly keepAlive: { readonly text: string; readonly ms: number } | undefined
}

/** Asks an origin by a link, with `Grip-Last`. */
export type AskLink = (link: string, last: string) => Promise<OriginAnswer>

const retryMs = 200
const maxAttempts = 5

/**
 * @returns undefined when the response is none to hold.
 * @throws Error for what Fanout's documentation does not have.
 */
export function readHold(headers: IncomingHttpHeaders): Hold | undefined {
  if (headers['grip-hold'] === undefined) return undefined
  if (headers['grip-hold'] !== 'stream') throw new Error(`Grip-Hold: ${headers['grip-hold']}`)
  if (headers['grip-set-meta'] !== undefined) throw new Error('There is Grip-Set-Meta.')
  const channels = String(headers['grip-channel'])
    .split(', ')
    .map((channel): [string, string | undefined] => {
      const [name = '', ...parameters] = channel.split('; ')
      const [prevId] = parameters.map((text) => /^prev-id=(.+)$/.exec(text)?.[1])
      if (parameters.length > 1 || (parameters.length === 1 && prevId === undefined)) {
        throw new Error(`Grip-Channel: ${channel}`)
      }
      return [name, prevId]
    })
  const link = match(/^<([^<>,;]+)>; rel=next; timeout=(\d+)$/, headers['grip-link'])
  return {
    channels: new Map(channels),
    link: link[0],
    linkMs: Number(link[1]) * 1000,
    keepAlive: readKeepAlive(headers['grip-keep-alive']),
  }
}

function readKeepAlive(header: unknown): Hold['keepAlive'] {
  if (header === undefined) return undefined
  const [text, seconds] = match(/^(.*); format=cstring; timeout=(\d+)$/, header)
  return { text: text.replaceAll('\\n', '\n'), ms: Number(seconds) * 1000 }
}

/** A client whose response Fanout holds. */
export class FanoutClient {
  readonly #res: ServerResponse
  readonly #ask: AskLink
  readonly #onFault: (error: unknown) => void
  #hold: Hold
  /** What is published while it asks. */
  #waiting: FanoutItem[] | undefined
  #linkTimer: NodeJS.Timeout | undefined
  #keepAliveTimer: NodeJS.Timeout | undefined

  constructor(res: ServerResponse, hold: Hold, ask: AskLink, onFault: (error: unknown) => void) {
    this.#res = res
    this.#hold = hold
    this.#ask = ask
    this.#onFault = onFault
    res.on('close', () => this.#stop())
    this.#rest()
  }

  deliver(item: FanoutItem): void {
    const { channels } = this.#hold
    if (!channels.has(item.channel)) return
    if (this.#waiting !== undefined) {
      this.#waiting.push(item)
      return
    }
    const at = channels.get(item.channel)
    if (at !== undefined && at !== item['prev-id']) {
      this.#recover()
      return
    }
    if (at !== undefined) channels.set(item.channel, item.id)
    this.#write(item.formats['http-stream']?.content ?? '')
  }

  #recover(): void {
    this.#follow().catch((error: unknown) => {
      this.#onFault(error)
      this.#res.destroy()
    })
  }

  async #follow(): Promise<void> {
    this.#stop()
    this.#waiting = []
    const last = [...this.#hold.channels]
      .filter(([, id]) => id !== undefined)
      .map(([name, id]) => `${name}; last-id=${id}`)
    const answer = await this.#askUntilAnswered(last.join(', '))
    if (this.#res.destroyed) return
    const hold = answer && readHold(answer.headers)
    this.#res.write(answer?.body ?? '')
    if (hold === undefined) {
      this.#res.end()
      return
    }
    this.#hold = hold
    this.#rest()
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const item of waiting) this.deliver(item)
  }

  async #askUntilAnswered(last: string): Promise<OriginAnswer | undefined> {
    for (let attempt = 1; attempt <= maxAttempts && !this.#res.destroyed; attempt++) {
      const answer = await this.#ask(this.#hold.link, last)
      if (answer.status === 200) return answer
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
    return undefined
  }

  #write(text: string): void {
    this.#res.write(text)
    this.#rest()
  }

  /** From now on there is silence. */
  #rest(): void {
    this.#stop()
    const { linkMs, keepAlive } = this.#hold
    this.#linkTimer = setTimeout(() => this.#recover(), linkMs)
    if (keepAlive === undefined) return
    this.#keepAliveTimer = setInterval(() => this.#res.write(keepAlive.text), keepAlive.ms)
  }

  #stop(): void {
    clearTimeout(this.#linkTimer)
    clearInterval(this.#keepAliveTimer)
  }
}

function match(pattern: RegExp, value: unknown): [string, string] {
  const found = pattern.exec(String(value))
  if (found === null) throw new Error(`${value} is not ${pattern}`)
  return [String(found[1]), String(found[2])]
}
