import { expect, test } from '@jest/globals'
import { setUp } from '../support/app.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import type { Subject } from './components.js'
import { LabPage, labPage, labScript } from './lab-page.js'

const react18 = { react: 'react-18', 'react-dom': 'react-dom-18' }

/** A room at `/room`, an answer of two chunks at `/answer`, and a page with React 18 that may be rendered already. */
function labApp(rendered: readonly Subject[] = []) {
  const { app, eventStream } = setUp()
  app.get('/', labPage(rendered))
  app.get('/lab.js', labScript(react18))
  app.get('/room', eventStream('room', { retryMs: 100 }))
  app.get(
    '/answer',
    eventStream.streams.handler('answer', async function* () {
      yield 'Hello, '
      yield 'world.'
    }),
  )
  return { app, eventStream }
}

const one: Subject = { hook: 'events', name: 'one', url: '/room' }
const two: Subject = { ...one, name: 'two' }
const answer: Subject = { hook: 'answer', name: 'answer', url: '/answer' }

describeWithChromium('with React 18, a hook', (browser) => {
  test('has one connection for all components, and each event once when it comes back', async () => {
    const { app, eventStream } = labApp([one])
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.hydrate(one)
    await lab.shows('one', ({ status }) => status === 'open')
    await lab.render(one, two)
    await lab.shows('two', ({ status }) => status === 'open')
    expect(eventStream.count('room')).toBe(1)

    for (let data = 1; data <= 3; data++) await eventStream.publishEvent('room', { data })
    eventStream.connections()[0]?.end(1)
    await until(() => eventStream.count('room') === 0)
    for (let data = 4; data <= 6; data++) await eventStream.publishEvent('room', { data })

    for (const name of ['one', 'two']) {
      expect((await lab.shows(name, ({ sum }) => sum === 21)).heard).toEqual([...'123456'])
    }
    await lab.render()
    await until(() => eventStream.count('room') === 0)
  })

  test('shows a whole answer, also after a reload', async () => {
    const { app } = labApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    for (let load = 1; load <= 2; load++) {
      await lab.render(answer)
      const { text, end } = await lab.shows('answer', ({ status }) => status === 'ended')
      expect([text, end?.state]).toEqual(['Hello, world.', 'completed'])
      await lab.page.reload()
    }
  })
})
