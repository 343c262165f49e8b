import { afterEach } from '@jest/globals'
import type { FetchOptions } from '../../src/fetch.js'
import { EventStream, type EventStreamOptions } from '../../src/index.js'
import { until } from './until.js'

const streams: EventStream[] = []

afterEach(async () => {
  for (const eventStream of streams.splice(0)) await eventStream.close({ graceMs: 0 })
})

/** An event stream that ends with the test, and what asks it by Web requests. */
export function setUpFetch(options: EventStreamOptions = {}) {
  const eventStream: EventStream = new EventStream(options)
  streams.push(eventStream)
  const get = (channels: string | readonly string[], own?: FetchOptions, init?: RequestInit) =>
    eventStream.fetch(requestOf(init), channels, own)
  return { eventStream, get }
}

export function requestOf({ headers: own, ...init }: RequestInit = {}): Request {
  const headers = new Headers(own)
  if (!headers.has('Accept')) headers.set('Accept', 'text/event-stream')
  return new Request('http://test.example/events', { ...init, headers })
}

/** What has come of a response's body. */
export function readBody({ body }: Response) {
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  const client = {
    text: '',
    isEnded: false,
    cancel: () => reader.cancel(),
    /** Waits for so many events, without the one that opens the stream. */
    async data(count: number): Promise<unknown[]> {
      const found = () => [...client.text.matchAll(/^data: (.*)\n(?:id: .*\n)?\n/gm)].slice(1)
      await until(() => found().length >= count)
      return found().map(([, data]) => JSON.parse(data as string))
    },
    lastEventId: () => [...client.text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? '',
  }
  void (async () => {
    for (;;) {
      const { value, done } = await reader.read()
      client.isEnded = done
      if (done) return
      client.text += decoder.decode(value, { stream: true })
    }
  })()
  return client
}
