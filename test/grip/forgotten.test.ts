import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { openSource } from '../client/open-source.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { until } from '../support/until.js'

/** As the defaults of both sides are to each other: the client waits for three keep-alives. */
const [keepAliveMs, silenceMs] = [3000, 9000]

describeWithPushpin('a client whose question Pushpin has forgotten', () => {
  const grip = usePushpin()

  test('hears nothing, comes back and has what it missed, while others stay', async () => {
    const { eventStream, app } = grip.setUp({ keepAliveMs })
    const [forgotten, other] = [randomUUID(), randomUUID()]
    let forgets = false
    let isForgotten = false
    app.use(({ headers }, _res, next) => {
      // For Pushpin it is the same as one that was lost on its way: it is never answered.
      if (forgets && `${headers['grip-last']}`.includes(forgotten)) isForgotten = true
      else next()
    })
    app.get('/events/:id', eventStream('{id}'))
    const [one, two] = [forgotten, other].map((id) =>
      openSource(`${grip.pushpin.url}/events/${id}`, { silenceMs }),
    )
    const opened = (source: typeof one) => () =>
      source?.told.some(({ type }) => type === 'open') ?? false
    await until(opened(one))
    await until(opened(two))
    forgets = true
    await until(() => isForgotten)
    const startedAt = performance.now()
    forgets = false
    for (const id of [forgotten, other]) await eventStream.publishEvent(id, { data: 'missed' })
    await until(() => one?.data.length === 1, 2 * silenceMs)
    const backMs = performance.now() - startedAt
    await eventStream.publishEvent(forgotten, { data: 'live' })
    await until(() => one?.data.length === 2)

    expect([one?.data, one?.errors.map(({ code }) => code)]).toEqual([
      ['"missed"', '"live"'],
      ['ERR_SILENCE'],
    ])
    expect([two?.data, two?.errors]).toEqual([['"missed"'], []])
    expect(backMs).toBeLessThan(silenceMs + 3000)
    expect(eventStream.connections()).toEqual([])
  })
})
