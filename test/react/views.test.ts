import { describe, expect, jest, test } from '@jest/globals'
import { EventsView } from '../../src/react/events-view.js'
import { keyOf } from '../../src/react/options.js'
import { countTimers } from '../support/count-timers.js'
import { until } from '../support/until.js'

const url = 'http://127.0.0.1/'

type View = EventsView<unknown>

/** A server of one stream, which ends when nobody reads it. */
function streamOf(text: string) {
  const requests: AbortSignal[] = []
  const fetch = async (_url: unknown, init?: RequestInit) => {
    requests.push(init?.signal as AbortSignal)
    const start = (stream: ReadableStreamDefaultController) => {
      stream.enqueue(new TextEncoder().encode(text))
    }
    const headers = { 'Content-Type': 'text/event-stream' }
    return new Response(new ReadableStream({ start }), { headers })
  }
  return { fetch, requests }
}

describe('the key of a connection', () => {
  const form = (text: string) => {
    const data = new FormData()
    data.set('q', text)
    return data
  }

  test.each([
    ['a string', (text: string) => text],
    ['bytes', (text: string) => new TextEncoder().encode(text)],
    ['parameters', (text: string) => new URLSearchParams({ q: text })],
    ['a form', form],
  ])('tells bodies apart by what they have: %s', (_name, bodyOf) => {
    const [one, same, other] = ['a', 'a', 'b'].map((text) => keyOf(url, { body: bodyOf(text) }))

    expect(same).toBe(one)
    expect(other).not.toBe(one)
  })
})

describe('a view of a stream', () => {
  test('leaves nothing behind when the last one has gone', async () => {
    const { fetch, requests } = streamOf('data: 1\n\ndata: 2\n\n')
    const [one, two] = [1, 2].map(() => new EventsView('left', url, { fetch }))
    const timers = countTimers()
    try {
      const leave = [one, two].map((view) => view?.subscribe(() => undefined))
      await until(() => two?.getSnapshot().events.length === 2)
      expect([requests.length, requests[0]?.aborted]).toEqual([1, false])

      for (const left of leave) left?.()
      await timers.fallsTo(0)

      expect([timers.alive, requests.length, requests[0]?.aborted]).toEqual([0, 1, true])
    } finally {
      timers.stop()
    }
  })

  test('has one snapshot until something differs, and tells once for what comes together', async () => {
    const { fetch } = streamOf('data: 1\n\n'.repeat(1000))
    const view = new EventsView('same', url, { fetch, keep: 2 })
    const before = view.getSnapshot()
    let changes = 0
    const leave = view.subscribe(() => {
      changes += 1
    })
    const atFirst = view.getSnapshot()
    await until(() => view.getSnapshot().events.length > 0)
    leave()

    expect([before === atFirst, before === view.getServerSnapshot()]).toEqual([true, true])
    expect(view.getSnapshot()).toBe(view.getSnapshot())
    expect(view.getSnapshot().events).toHaveLength(2)
    expect(changes).toBeLessThanOrEqual(2)
  })

  test('does not hear what comes after it has left, and has it once when it is back', async () => {
    const { fetch } = streamOf('data: 1\n\ndata: 2\n\n')
    let leaveTwo: (() => void) | undefined
    const one = new EventsView('apart', url, { fetch, onEvent: () => leaveTwo?.() })
    const two = new EventsView('apart', url, { fetch })
    const leaveOne = one.subscribe(() => undefined)
    leaveTwo = two.subscribe(() => undefined)
    await until(() => one.getSnapshot().events.length === 2)
    const before = two.getSnapshot().events.length

    const leave = two.subscribe(() => undefined)
    const { events } = two.getSnapshot()
    for (const left of [leaveOne, leave]) left()

    expect([before, events.map(({ data }) => data)]).toEqual([0, ['1', '2']])
  })

  test('has each event once when it comes back after another one has begun anew', async () => {
    const { fetch, requests } = streamOf('data: 1\n\ndata: 2\n\n')
    const [one, two] = [1, 2].map(() => new EventsView('anew', url, { fetch })) as [View, View]
    const leaveOne = one.subscribe(() => undefined)
    const leaveTwo = two.subscribe(() => undefined)
    await until(() => two.getSnapshot().events.length === 2)
    leaveTwo()
    one.restart()
    await until(() => requests.length === 2 && one.getSnapshot().events.length === 2)

    const leave = two.subscribe(() => undefined)
    const { events } = two.getSnapshot()
    for (const left of [leaveOne, leave]) left()

    expect(events.map(({ data }) => data)).toEqual(['1', '2'])
  })

  test('goes on after an event that reduce cannot take, and reports it', async () => {
    const { fetch } = streamOf('data: 1\n\ndata: none\n\ndata: 2\n\n')
    const reported: unknown[] = []
    const report = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((run) => {
      try {
        run()
      } catch (error) {
        reported.push(error)
      }
    })
    const reduce = (sum: number, { json }: { readonly json: number }) => sum + json
    const view = new EventsView<number>('sum', url, { fetch, initial: 0, reduce })
    const leave = view.subscribe(() => undefined)
    try {
      await until(() => view.getSnapshot().state === 3)
    } finally {
      leave()
      report.mockRestore()
    }

    expect(view.getSnapshot().events).toHaveLength(3)
    expect(reported).toEqual([expect.objectContaining({ name: 'SyntaxError' })])
  })
})
