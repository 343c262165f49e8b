import { expect, test } from '@jest/globals'
import express from 'express'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { PageEventSource, readyStates } from './page-event-source.js'
import { streamApp } from './stream-app.js'

describeWithChromium('EventSource in Chromium, in a page of another origin', (browser) => {
  test('receives and resumes when the application lets that origin in', async () => {
    const site = await startServer(streamApp('unused').app)
    const { app: streams, eventStream, sockets } = streamApp('a')
    const app = express()
    app.use((_req, res, next) => {
      res.setHeader('Access-Control-Allow-Origin', site.url)
      res.setHeader('Access-Control-Allow-Credentials', 'true')
      next()
    })
    app.use(streams)
    const api = await startServer(app)
    const page = await browser.openPage(site.url)
    const source = await PageEventSource.open(
      page,
      `${api.url}/events`,
      ['stream-open', 'message'],
      { withCredentials: true },
    )
    await source.hears(1, 'stream-open')

    await eventStream.publishEvent('a', { data: 1 })
    await source.hears(1, 'message')
    sockets[0]?.destroy()
    await eventStream.publishEvent('a', { data: 2 })
    const heard = await source.hears(2, 'message')

    expect(heard.map(({ type, data }) => `${type} ${data}`)).toEqual([
      ...['stream-open {}', 'message 1'],
      ...['stream-open {}', 'message 2'],
    ])
  })

  test('is kept out when the application says nothing about it', async () => {
    const site = await startServer(streamApp('unused').app)
    const api = await startServer(streamApp('a').app)
    const page = await browser.openPage(site.url)
    const source = await PageEventSource.open(page, `${api.url}/events`, ['stream-open'])

    const lost = await source.loses()

    expect(lost).toMatchObject({ readyState: readyStates.closed })
    expect(await source.heard()).toEqual([])
  })
})
