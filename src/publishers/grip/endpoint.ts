import type { IItem, IPublisherClient } from '@fanoutio/grip'
import { EventStreamError } from '../../core/errors.js'
import type { GripItem } from './item.js'
import { type PostAnswer, post } from './post.js'

/** What of a `PublisherClient` its interface does not have. */
interface HttpClient {
  readonly publishUri: string
  readonly options?: { readonly fetch?: typeof fetch | undefined }
}

/** Where items for one proxy go. */
export interface ControlEndpoint {
  /** For people: its URL without credentials. */
  readonly name: string
  /** Whether it takes of events only what its documentation has: their channel, ids and content. */
  readonly isStrict: boolean
  /**
   * @throws EventStreamError `ERR_PROXY_UNAVAILABLE`: whether it has them is not known, and they may be
   *   sent again. `ERR_PROXY_REFUSED`: it does not want them.
   */
  publish(items: readonly GripItem[], signal: AbortSignal): Promise<void>
}

const signatureAgeMs = 60_000

/** Statuses that pass. */
const passing = new Set([408, 425, 429])

/** The control endpoint that a client of `@fanoutio/grip` publishes to. */
export function controlEndpoint(client: IPublisherClient, index: number): ControlEndpoint {
  return isHttp(client) ? httpEndpoint(client) : customEndpoint(client, `proxy ${index + 1}`)
}

function isHttp(client: IPublisherClient): client is IPublisherClient & HttpClient {
  return typeof (client as Partial<HttpClient>).publishUri === 'string'
}

function httpEndpoint(client: IPublisherClient & HttpClient): ControlEndpoint {
  const url = new URL(client.publishUri)
  const name = `${url.origin}${url.pathname}`.replace(/\/publish\/?$/, '')
  const signature = new Signature(() => sign(client, name))
  const own = client.options?.fetch
  return {
    name,
    // Fanout.
    isStrict: url.hostname === 'api.fastly.com',
    async publish(items, signal) {
      const headers: Record<string, string> = { 'Content-Type': 'application/json' }
      const authorization = await signature.get()
      if (authorization) headers.Authorization = authorization
      const body = `{"items":[${items.map(({ json }) => json).join(',')}]}`
      let answer: PostAnswer
      try {
        answer =
          own === undefined
            ? await post(client.publishUri, headers, body, signal)
            : await postBy(own, client.publishUri, headers, body, signal)
      } catch (cause) {
        throw unavailable(name, reason(cause), cause)
      }
      const { status, text } = answer
      if (status >= 200 && status < 300) return
      const said = `it answered ${status} ${text.trim().slice(0, 200)}`
      if (status >= 500 || passing.has(status)) throw unavailable(name, said)
      throw new EventStreamError(
        'ERR_PROXY_REFUSED',
        `The GRIP proxy ${name} takes no events: ${said}. Check its URL and key in grip.`,
      )
    },
  }
}

/** By a `fetch` that the application gave to its `Publisher`. */
async function postBy(
  own: typeof fetch,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
): Promise<PostAnswer> {
  const answer = await own(url, { method: 'POST', headers, body, redirect: 'manual', signal })
  return { status: answer.status, text: await answer.text() }
}

/** What a proxy knows us by: the same for a while, as the package signs for ten minutes. */
class Signature {
  readonly #sign: () => Promise<string | undefined>
  #value: Promise<string | undefined> | undefined
  #madeAt = 0

  constructor(make: () => Promise<string | undefined>) {
    this.#sign = make
  }

  get(): Promise<string | undefined> {
    const now = Date.now()
    if (this.#value === undefined || Math.abs(now - this.#madeAt) > signatureAgeMs) {
      this.#madeAt = now
      this.#value = this.#sign()
      this.#value.catch(() => {
        this.#value = undefined
      })
    }
    return this.#value
  }
}

async function sign(client: IPublisherClient, name: string): Promise<string | undefined> {
  try {
    return await client.getAuth?.()?.buildHeader()
  } catch (cause) {
    throw new EventStreamError(
      'ERR_PROXY_REFUSED',
      `What is sent to the GRIP proxy ${name} cannot be signed: ${reason(cause)}. Check its key in grip.`,
      { cause },
    )
  }
}

/** One that the application wrote: all that is known of it is that it publishes one item. */
function customEndpoint(client: IPublisherClient, name: string): ControlEndpoint {
  return {
    name,
    isStrict: false,
    async publish(items) {
      try {
        for (const { channel, json } of items) {
          const { channel: _name, ...content } = JSON.parse(json)
          await client.publish(channel, { export: () => content } satisfies IItem)
        }
      } catch (cause) {
        throw unavailable(name, reason(cause), cause)
      }
    },
  }
}

function unavailable(name: string, why: string, cause?: unknown): EventStreamError {
  return new EventStreamError(
    'ERR_PROXY_UNAVAILABLE',
    `The GRIP proxy ${name} cannot be reached: ${why}.`,
    { cause },
  )
}

/** `fetch` hides what happened behind "fetch failed". */
function reason(error: unknown): string {
  const { message, cause } = Object(error) as { message?: unknown; cause?: unknown }
  const { message: inner, code } = Object(cause) as { message?: unknown; code?: unknown }
  return String(inner || code || message || error)
}
