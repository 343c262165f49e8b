import type { RequestListener, ServerResponse } from 'node:http'
import { afterEach } from '@jest/globals'
import type { EventSourceError, EventSourceOptions } from '../../src/client.js'
import { createEventSource, type EventSourceClient } from '../../src/client-node.js'
import { until } from '../support/until.js'

/** What an event of a source has of its own. */
type Told =
  | { readonly type: 'open' | 'reset' | 'end' }
  | { readonly type: 'error'; readonly error: EventSourceError; readonly retryInMs?: number }

/** A source, and what it has told so far. */
export interface OpenSource {
  readonly source: EventSourceClient
  readonly told: Told[]
  readonly errors: EventSourceError[]
  /** The data of events of the server, of whatever name. */
  readonly data: string[]
  /** Waits until so many events of the server have come. */
  receives(count: number): Promise<string[]>
  /** Waits until it has closed. */
  closes(): Promise<void>
}

const sources: EventSourceClient[] = []

/** Comes back soon, unless the options say otherwise. The source is closed at the end of the test. */
export function openSource(
  url: Parameters<typeof createEventSource>[0],
  options: EventSourceOptions = {},
): OpenSource {
  const source = createEventSource(url, { minRetryMs: 20, ...options })
  sources.push(source)
  return record(source)
}

function record(source: EventSourceClient): OpenSource {
  const told: Told[] = []
  const errors: EventSourceError[] = []
  const data: string[] = []
  for (const type of ['open', 'error', 'reset', 'end'] as const) {
    source.addEventListener(type, (event: Event) => told.push(toldBy(event)))
  }
  source.addEventListener('error', ({ error }) => errors.push(error))
  source.addEventListener('*', (event) => data.push(event.data))
  return {
    source,
    told,
    errors,
    data,
    receives: async (count) => {
      await until(() => data.length >= count)
      return data
    },
    closes: () => until(() => source.readyState === source.CLOSED),
  }
}

function toldBy(event: Event): Told {
  const { isTrusted: _, message, code, ...own } = Object.fromEntries(Object.entries(event))
  return { type: event.type, ...own } as Told
}

afterEach(() => {
  for (const source of sources.splice(0)) source.close()
})

/** Answers each request in turn, and the last way again and again. */
export function inTurn(...answers: readonly RequestListener[]): RequestListener {
  let count = 0
  return (req, res) => {
    const answer = answers[Math.min(count, answers.length - 1)]
    count += 1
    answer?.(req, res)
  }
}

export function streamHead(res: ServerResponse): ServerResponse {
  return res.writeHead(200, { 'Content-Type': 'text/event-stream' })
}

/** A stream with this text in it, which stays open. */
export function stream(text: string): RequestListener {
  return (_req, res) => {
    streamHead(res).write(text)
  }
}
