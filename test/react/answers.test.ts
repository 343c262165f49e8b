import { expect, test } from '@jest/globals'
import type { Request } from 'express'
import { recoveryHandler } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import type { Subject } from './components.js'
import { LabPage, labPage, labScript } from './lab-page.js'

type Options = NonNullable<Parameters<typeof setUp>[0]>
type Chunk = string | Uint8Array | { readonly event: string; readonly data: unknown }

/** Answers at `/answers/:id`, whose chunks tests give; and a page. */
function answerApp(options: Options = {}) {
  const { app, eventStream } = setUp(options)
  const chunks: Chunk[] = []
  const says: { isOver: boolean; fails: boolean } = { isOver: false, fails: false }
  const seen = { sources: 0, opened: 0, stoppedBy: [] as (string | undefined)[] }
  app.get('/', labPage())
  app.get('/lab.js', labScript())
  app.post('/answers/:id/stop', async (req, res) => {
    seen.stoppedBy.push(req.headers.authorization)
    await eventStream.streams.stop(req.params.id, 'enough')
    res.status(204).end()
  })
  app.get('/recover/:streamId', recoveryHandler(eventStream))
  app.get(
    '/answers/:id',
    (req: Request, res, next) => {
      if (req.query.gone === undefined) next()
      else res.status(410).end()
    },
    eventStream.streams.handler(
      '{id}',
      async function* (_req, { signal }) {
        seen.sources += 1
        for (let i = 0; !signal.aborted; ) {
          const chunk = chunks[i]
          if (chunk !== undefined) {
            i += 1
            yield chunk
          } else if (says.fails) throw new Error('The model is gone.')
          else if (says.isOver) return
          else await new Promise((resolve) => setTimeout(resolve, 5))
        }
      },
      { retryMs: 100, onOpen: () => (seen.opened += 1) },
    ),
  )
  return { app, eventStream, chunks, says, seen }
}

const answer: Subject = {
  hook: 'answer',
  name: 'answer',
  url: '/answers/1',
  stopUrl: '/answers/1/stop',
}

/** Makes the answer begin. */
async function connectOnce(url: string): Promise<void> {
  const client = await (await connect(url)).opened()
  client.destroy()
}

describeWithChromium('useResumableStream', (browser) => {
  test('shows the text as it comes, what else came, and how it has ended', async () => {
    const { app, chunks, says, seen } = answerApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)

    await lab.render(answer, { ...answer, name: 'other' })
    chunks.push('A ri', 'ver ')
    const first = await lab.shows('answer', ({ text }) => text === 'A river ')
    chunks.push({ event: 'tool', data: { name: 'map' } }, 'begins.')
    await lab.shows('answer', ({ text }) => text === 'A river begins.')
    says.isOver = true
    const last = await lab.shows('answer', ({ status }) => status === 'ended')
    const other = await lab.shows('other', ({ status }) => status === 'ended')

    expect([first.status, first.end]).toEqual(['open', undefined])
    expect(last.heard).toEqual(['"A ri"', '"ver "', '{"name":"map"}', '"begins."'])
    for (const { text, events, end, ends } of [last, other]) {
      expect([text, events]).toEqual(['A river begins.', ['tool {"name":"map"}']])
      expect([end, ends]).toEqual([{ state: 'completed' }, ['completed']])
    }
    expect(seen).toMatchObject({ sources: 1, opened: 1 })
  })

  test('shows the text of a source of bytes, also where a chunk ends within a character', async () => {
    const { app, chunks, says } = answerApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    const bytes = Buffer.from('grüße 😀')

    await lab.render(answer)
    chunks.push(bytes.subarray(0, 3), bytes.subarray(3, 10), bytes.subarray(10), ' and text')
    await lab.shows('answer', ({ text }) => text === 'grüße 😀 and text')
    await lab.page.reload()
    await lab.render(answer)
    says.isOver = true
    const last = await lab.shows('answer', ({ status }) => status === 'ended')

    expect([last.text, last.events]).toEqual(['grüße 😀 and text', []])
  })

  test('shows the whole text once after a reload, in another tab, and when it is mounted later', async () => {
    const { app, chunks, says, seen } = answerApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(answer)
    chunks.push('one ')
    await lab.shows('answer', ({ text }) => text === 'one ')

    await lab.page.reload()
    await lab.render(answer)
    await lab.shows('answer', ({ text }) => text === 'one ')
    chunks.push('two ')
    await lab.shows('answer', ({ text }) => text === 'one two ')
    const tab = await lab.openTab()
    await tab.render(answer)
    await tab.shows('answer', ({ text }) => text === 'one two ')
    await lab.render(answer, { ...answer, name: 'late' })
    await lab.shows('late', ({ text }) => text === 'one two ')
    chunks.push('three')
    says.isOver = true

    for (const [page, name] of [
      [lab, 'answer'] as const,
      [lab, 'late'] as const,
      [tab, 'answer'] as const,
    ]) {
      const shown = await page.shows(name, ({ status }) => status === 'ended')
      expect(shown.text).toBe('one two three')
    }
    expect(seen).toMatchObject({ sources: 1, opened: 3 })
  })

  test('goes on where it was after a lost connection', async () => {
    const { app, chunks, seen } = answerApp()
    const server = await startServer(app)
    const lab = await LabPage.open(browser, server.url)
    await lab.render(answer)
    chunks.push('one ')
    await lab.shows('answer', ({ text }) => text === 'one ')

    server.server.closeAllConnections()
    chunks.push('two')
    const shown = await lab.shows('answer', ({ text }) => text === 'one two')

    expect([shown.heard, shown.resets]).toEqual([['"one "', '"two"'], 0])
    expect(seen).toMatchObject({ sources: 1, opened: 2 })
  })

  test('stops the stream for all, with its own rights', async () => {
    const { app, chunks, seen } = answerApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(answer)
    const tab = await lab.openTab()
    await tab.render(answer)
    chunks.push('one')
    for (const page of [lab, tab]) await page.shows('answer', ({ text }) => text === 'one')

    await tab.call('answer', 'stop')

    for (const page of [lab, tab]) {
      const { end, text } = await page.shows('answer', ({ status }) => status === 'ended')
      expect([text, end]).toEqual(['one', { state: 'aborted', reason: 'enough' }])
    }
    expect(seen.stoppedBy).toEqual(['mine'])
  })

  test('says that the source has failed', async () => {
    const errors: unknown[] = []
    const { app, chunks, says } = answerApp({ onError: (error) => errors.push(error) })
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(answer)
    chunks.push('half')
    says.fails = true

    const { text, end, error } = await lab.shows('answer', ({ status }) => status === 'ended')

    expect([text, end, error]).toEqual(['half', { state: 'failed' }, undefined])
    expect(errors).toMatchObject([{ cause: { message: 'The model is gone.' } }])
  })

  test('begins anew after a reset, and has the whole text once', async () => {
    const old = answerApp()
    const server = await startServer(old.app)
    const lab = await LabPage.open(browser, server.url)
    await lab.render(answer)
    old.chunks.push('one ', 'two ')
    await lab.shows('answer', ({ text }) => text === 'one two ')
    await server.close()
    await lab.shows('answer', ({ status }) => status === 'waiting')

    // Another server, whose answer of this id is not the one that the page knows.
    const next = answerApp()
    next.chunks.push('uno ', 'due ')
    await connectOnce(`${(await startServer(next.app)).url}/answers/1`)
    await startServer(next.app, Number(new URL(server.url).port))
    await lab.shows('answer', ({ text }) => text === 'uno due ')
    next.says.isOver = true
    const { text, missing, end } = await lab.shows('answer', ({ status }) => status === 'ended')

    expect([text, missing, end]).toEqual(['uno due ', undefined, { state: 'completed' }])
    expect(next.seen).toMatchObject({ sources: 1, opened: 3 })
  })

  test('says what is missing when the beginning is gone, and that its process is', async () => {
    const { app } = answerApp()
    let requests = 0
    app.get('/gone', (_req, res) => {
      requests += 1
      res
        .type('text/event-stream')
        .end(
          [
            'event: stream-open\ndata: {}\n\n',
            'event: stream-reset\ndata: {"channels":["1"],"reason":"trimmed"}\nid: 7-70\n\n',
            'data: "the rest"\nid: 8-80\n\n',
            'event: stream-end\ndata: {"state":"orphaned"}\nid: 9-0\n\n',
          ].join(''),
        )
    })
    const lab = await LabPage.open(browser, (await startServer(app)).url)

    await lab.render({ ...answer, url: '/gone' })
    const { text, missing, end } = await lab.shows('answer', ({ status }) => status === 'ended')

    expect([text, missing, end]).toEqual(['the rest', 'trimmed', { state: 'orphaned' }])
    expect(requests).toBe(2)
  })

  test('asks the recovery endpoint for a stream that is gone', async () => {
    const { app, eventStream } = answerApp()
    const track = { type: 'chat' }
    await eventStream.streams.create('1', ['one ', 'two'], { track })
    const lab = await LabPage.open(browser, (await startServer(app)).url)

    await lab.render({ ...answer, url: '/answers/1?gone', recoverUrl: '/recover/1' })
    const { text, end } = await lab.shows('answer', ({ status }) => status === 'ended')

    expect([text, end]).toEqual(['one two', { state: 'completed' }])
  })

  test('says that there is nothing, or that it cannot be had or stopped', async () => {
    const { app } = answerApp()
    app.get('/over', (_req, res) => {
      res.status(204).end()
    })
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render({ ...answer, url: '/over', stopUrl: '/unknown' })
    const over = await lab.shows('answer', ({ status }) => status === 'ended')

    const stopping = lab.call('answer', 'stop')
    await expect(stopping).rejects.toThrow('Stopping was answered 404.')
    await lab.render({ ...answer, url: '/answers/1?gone' })
    const gone = await lab.shows('answer', ({ status }) => status === 'failed')

    expect([over.text, over.end]).toEqual(['', {}])
    expect(gone.error).toEqual({ code: 'ERR_STATUS', status: 410 })
  })

  test('reads the stream from its beginning when it is told to', async () => {
    const { app, chunks, seen } = answerApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(answer)
    chunks.push('one ')
    await lab.shows('answer', ({ text }) => text === 'one ')

    await lab.call('answer', 'restart')
    chunks.push('two')
    const { heard } = await lab.shows('answer', ({ text }) => text === 'one two')

    expect(heard).toEqual(['"one "', '"one "', '"two"'])
    expect(seen).toMatchObject({ sources: 1, opened: 2 })
  })
})
