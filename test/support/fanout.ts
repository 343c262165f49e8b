import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import { text } from 'node:stream/consumers'
import { Publisher } from '@fanoutio/grip'
import { buildFanoutGripConfig } from '@fanoutio/grip/fastly-fanout'
import { FanoutClient, type FanoutItem, type OriginAnswer, readHold } from './fanout-client.js'
import { signEs256, signHs256 } from './grip-signature.js'
import { startServer } from './server.js'

export interface FanoutOptions {
  /** Whether items with more than what is documented are refused. By default it is ignored. */
  readonly isStrict?: boolean
  /** A key that it shares with its origin, in place of the pair of its own. */
  readonly sharedKey?: string
}

const serviceId = 'SU1Z0isxPaozGVKXdv0eY'
const apiToken = 'api-token'
const publishPath = `/service/${serviceId}/publish/`
const itemKeys = ['channel', 'id', 'prev-id', 'formats']
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/**
 * A stand-in for Fanout, until the end of the test that started it: a proxy that does what Fanout's
 * documentation has of GRIP for HTTP streams, and no more. It announces no features.
 */
export class Fanout {
  /** Where clients connect. */
  url = ''
  /** Where requests go. */
  origin = ''
  /** What the origin has asked for that is not documented. */
  readonly faults: string[] = []
  /** Items that it has accepted. */
  readonly items: FanoutItem[] = []
  /** URLs by which it has asked for what was missed, with `Grip-Last`. */
  readonly links: { readonly url: string; readonly last: string }[] = []
  /** Runs when the origin has answered, and the client is not held yet. */
  beforeHold = async (): Promise<void> => undefined
  #toLose = 0
  readonly #options: FanoutOptions
  readonly #clients = new Set<FanoutClient>()

  private constructor(options: FanoutOptions) {
    this.#options = options
  }

  static async start(options: FanoutOptions = {}): Promise<Fanout> {
    const fanout = new Fanout(options)
    const { url } = await startServer((req, res) => void fanout.#serve(req, res))
    fanout.url = url
    return fanout
  }

  /** As an application configures it, but for the address that is published to. */
  publisher(): Publisher {
    const { sharedKey } = this.#options
    const jwk = publicKey.export({ format: 'jwk' })
    const verifyKey = sharedKey ?? JSON.stringify(jwk)
    const config = buildFanoutGripConfig({ serviceId, apiToken, verifyKey })
    const send: typeof fetch = (url, init) =>
      fetch(String(url).replace('https://api.fastly.com', this.url), init)
    return new Publisher(config, { fetch: send })
  }

  /** Lets so many items reach nobody. */
  lose(count: number): void {
    this.#toLose = count
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      if (req.url === publishPath) await this.#publish(req, res)
      else await this.#proxy(req, res)
    } catch (error) {
      this.faults.push(String(error))
      res.writeHead(502).end()
    }
  }

  async #publish(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { items } = JSON.parse(await text(req)) as { items: FanoutItem[] }
    if (req.headers.authorization !== `Bearer ${apiToken}`) {
      res.writeHead(401).end()
    } else if (this.#options.isStrict && !items.every(isDocumented)) {
      res.writeHead(400).end('Unknown fields.\n')
    } else {
      this.items.push(...items)
      for (const item of items) {
        if (this.#toLose > 0) this.#toLose -= 1
        else for (const client of this.#clients) client.deliver(item)
      }
      res.end('Published\n')
    }
  }

  async #proxy(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { url = '/', method = 'GET' } = req
    const { body, headers, status } = await this.#ask(method, url, withoutGrip(req.headers))
    const hold = readHold(headers)
    await this.beforeHold()
    res.writeHead(status, withoutGrip(headers)).write(body)
    if (hold === undefined || res.destroyed) {
      res.end()
      return
    }
    const { host = '' } = req.headers
    const ask = (link: string, last: string) => {
      this.links.push({ url: link, last })
      const { pathname, search } = new URL(link, this.url)
      return this.#ask('GET', pathname + search, { host, accept: '*/*', 'grip-last': last })
    }
    const client = new FanoutClient(res, hold, ask, (error) => this.faults.push(String(error)))
    this.#clients.add(client)
    res.on('close', () => this.#clients.delete(client))
  }

  async #ask(method: string, path: string, headers: IncomingHttpHeaders): Promise<OriginAnswer> {
    const { sharedKey } = this.#options
    const claims = { iss: `fastly:${serviceId}`, exp: Math.floor(Date.now() / 1000) + 60 }
    const signature =
      sharedKey === undefined ? signEs256(privateKey, claims) : signHs256(sharedKey, claims)
    const sent = request(this.origin + path, {
      method,
      headers: { ...headers, 'grip-sig': signature },
      agent: false,
    }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const { statusCode = 0, headers: answered } = response
    return { status: statusCode, headers: answered, body: await text(response) }
  }
}

function isDocumented(item: FanoutItem): boolean {
  const formats = Object.entries(item.formats)
  return (
    Object.keys(item).every((key) => itemKeys.includes(key)) &&
    formats.every(
      ([name, format]) => name === 'http-stream' && `${Object.keys(format)}` === 'content',
    )
  )
}

function withoutGrip(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const own = /^grip-|^(?:connection|keep-alive|transfer-encoding|content-length)$/
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !own.test(name)))
}
