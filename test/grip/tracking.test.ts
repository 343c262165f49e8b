import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { resilience } from '../../src/resilience.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { until } from '../support/until.js'

const userOf = ({ headers }: { headers: NodeJS.Dict<string | string[]> }) =>
  headers['x-user'] as string

describeWithPushpin('a route with track behind Pushpin', () => {
  const grip = usePushpin()

  function setUpTracked() {
    const registry = { heartbeatMs: 100, lifetimeMs: 60_000, orphanAfterMs: 60_000 }
    const { eventStream, app, connect } = grip.setUp({ gripPollMs: 1000, registry })
    const track = { type: 'page', user: userOf }
    app.get(
      '/events/:ids',
      eventStream((req) => String(Object(req.params).ids).split(','), { track }),
    )
    const open = async (ids: string, user: string) =>
      (await connect(`/events/${ids}`, { headers: { 'x-user': user } })).opened()
    const answers = eventStream.streams.handler('{id}', () => ['of a stranger'], {
      track: { type: 'answer', user: 'stranger' },
    })
    app.get('/answers/:id', answers)
    const parts = resilience(eventStream, { intervalMs: 100, thresholdMs: 3000 })
    return { ...parts, eventStream, connect, open }
  }

  test('registers what is held for a set of channels, which lives as long as it is asked for', async () => {
    const { registry, guardian, open } = setUpTracked()
    const [a, b, user] = [randomUUID(), randomUUID(), randomUUID()]
    const client = await open(`${a},${b}`, user)
    const again = await open(`${b},${a}`, user)
    await until(async () => (await registry.getUserStreams(user)).length === 1)
    const [held] = await registry.getUserStreams(user)
    expect(held).toMatchObject({
      kind: 'connection',
      streamType: 'page',
      state: 'active',
      metadata: { channels: expect.arrayContaining([a, b]) },
    })
    const heard = held?.lastHeartbeat ?? 0
    await until(async () => {
      const stream = await registry.getStream(held?.streamId ?? '')
      return (stream?.lastHeartbeat ?? 0) > heard
    }, 20_000)
    client.destroy()
    again.destroy()
    guardian.start()
    await until(async () => {
      const stream = await registry.getStream(held?.streamId ?? '')
      return stream?.state === 'orphaned'
    }, 20_000)
    await guardian.stop()
  })

  test('does not share its place in the registry with a stream of the same id', async () => {
    const { eventStream, registry, connect, open } = setUpTracked()
    const [channel, ann] = [randomUUID(), randomUUID()]
    await open(channel, ann)
    await until(async () => (await registry.getUserStreams(ann)).length === 1)
    const [{ streamId } = { streamId: '' }] = await registry.getUserStreams(ann)
    expect((await connect(`/answers/${streamId}`)).status).toBe(400)
    const refused = { code: 'ERR_CHANNEL' }
    await expect(registry.register({ streamId })).rejects.toMatchObject(refused)
    await expect(eventStream.streams.create(streamId, ['x'])).rejects.toMatchObject(refused)
    expect(await registry.getStream(streamId)).toMatchObject({ kind: 'connection', userId: ann })
    expect(await registry.register({ streamId: 'held-7' })).toBe(true)
  })

  test('says whose it is while all are the same user', async () => {
    const { registry, open } = setUpTracked()
    const [channel, ann, bob] = [randomUUID(), randomUUID(), randomUUID()]
    await open(channel, ann)
    await until(async () => (await registry.getUserStreams(ann)).length === 1)
    const [held] = await registry.getUserStreams(ann)
    await open(channel, bob)
    await until(async () => (await registry.getUserStreams(ann)).length === 0)
    expect(await registry.getUserStreams(bob)).toEqual([])
    const shared = await registry.getStream(held?.streamId ?? '')
    expect(shared).toMatchObject({ state: 'active', userId: undefined })
  })
})
