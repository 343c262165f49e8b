import { describe, expect, test } from '@jest/globals'
import { fetchHandler } from '../../src/fetch.js'
import { EventStream } from '../../src/index.js'
import { recoveryHandler, resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'

const eventStream: EventStream = new EventStream()
const { registry } = resilience(eventStream)
const schema = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
}
const source = async function* () {
  yield 'text'
}

/** Where a name is a template. */
const routes: Record<string, (channel: string) => unknown> = {
  'a route': (channel) => eventStream(channel),
  'a route of two channels': (channel) => eventStream('a', [channel]),
  'a route of streams': (channel) => eventStream.streams.handler(channel, source),
  fetchHandler: (channel) => fetchHandler(eventStream, channel),
  recoveryHandler: (channel) => recoveryHandler(eventStream, { id: channel }),
  schemas: (channel) => new EventStream({ schemas: { [channel]: { message: schema } } as never }),
}

/** Where a name is meant as it is. */
const names: Record<string, (channel: string) => unknown> = {
  publishEvent: (channel) => eventStream.publishEvent(channel, { data: 1 }),
  getChannelPublisher: (channel) => eventStream.getChannelPublisher(channel),
  createChannelWritable: (channel) => eventStream.createChannelWritable(channel),
  kick: (channel) => eventStream.kick(channel),
  count: (channel) => eventStream.count(channel),
  fetch: (channel) =>
    eventStream.fetch(
      new Request('http://a/', { headers: { Accept: 'text/event-stream' } }),
      channel,
    ),
  'streams.create': (channel) => eventStream.streams.create(channel, ['text']),
  'streams.stop': (channel) => eventStream.streams.stop(channel),
  register: (channel) => registry.register({ streamId: channel }),
}

async function refusal(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CHANNEL' })
    return (error as Error).message
  }
  return 'not refused'
}

describe.each(Object.entries(routes))('the channels of %s', (_where, route) => {
  test.each([
    ['room-:id', '"room-:id" has ":id": give {id} for a value of the request'],
    [':id', '":id" has ":id": give {id} for a value of the request'],
    ['rooms/:roomId/chat', '{roomId}'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: which is the mistake.
    ['room-${id}', 'has "${id}": leave out the "$", or put the name in backticks'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: which is the mistake.
    ['room-${req.params.id}', 'has "${req.params.id}": leave out'],
    ['room-{user-id}', 'has "{user-id}": a token has letters, digits'],
    ['room-{req.params.id}', 'a token has letters, digits'],
    ['room-{ id }', 'a token has letters, digits'],
    ['room-{}', 'a token has letters, digits'],
    ['room-{id', 'a token has letters, digits'],
  ])('cannot be %s', async (channel, message) => {
    expect(await refusal(() => route(channel))).toContain(message)
  })

  test.each([
    'urn:isbn',
    'user:7',
    'user:alice',
    'App::Models::User',
    '{tenant}:{room}',
    'user:{name}:inbox',
    'chat: all',
    'a:-b',
    'at-12:30',
  ])('can be %s', (channel) => {
    expect(() => route(channel)).not.toThrow()
  })
})

describe.each(Object.entries(names))('the name that is given to %s', (_where, use) => {
  test.each([
    ['room-{id}', '"room-{id}" is no channel name: fill in "{id}", as in'],
    ['{id}', 'fill in "{id}"'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: which is the mistake.
    ['room-${id}', 'fill in "${"'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: which is the mistake.
    ['room-${req.params.id}', 'fill in "${"'],
    ['room-:id', 'fill in ":id"'],
    ['rooms/:roomId/chat', 'fill in ":roomId"'],
    ['user_:user_id', 'fill in ":user_id"'],
  ])('cannot be %s', async (channel, message) => {
    expect(await refusal(() => use(channel))).toContain(message)
  })
})

describe('names with a colon or a brace that mean themselves', () => {
  test.each([
    'urn:isbn',
    'user:7',
    'user:john_:inbox',
    'john-:inbox',
    'reactions-:smile:',
    'chat-:D',
    'a/:android',
    'App::Models::User',
    ':lobby',
    '{7}',
    '{user 7}',
    '{"a":1}',
    'a}{b',
  ])('can be published to: %s', async (channel) => {
    await eventStream.publishEvent(channel, { data: 1 })
  })
})

describe('a value of a request', () => {
  test('that looks like a place to be filled in is answered 400, as it could not be published to', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/rooms/:id', eventStream('room-{id}'))
    app.get('/run/:id', (req, res, next) => {
      eventStream.run(req, res, `room-${req.params.id}`).catch(next)
    })
    const request = await serve()
    for (const path of ['/rooms/{id}', '/rooms/:id', '/run/{id}', '/run/:id']) {
      expect((await request(path)).status).toBe(400)
    }
    for (const path of ['/rooms/:smile:', '/rooms/{7}', '/rooms/a:b', '/run/:D']) {
      expect((await request(path)).status).toBe(200)
    }
  })
})

describe('what needs a channel', () => {
  test.each<[string, (...args: never[]) => unknown]>([
    ['a route', eventStream],
    ['a route of an empty list', () => eventStream([])],
    ['a route of options only', () => eventStream({ startFrom: 'earliest' })],
    ['fetchHandler', () => fetchHandler(eventStream, [])],
  ])('is refused without: %s', (_name, make) => {
    expect(() => (make as () => unknown)()).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/needs a channel, such as .*'room-\{id\}'/),
      }),
    )
  })

  test('is refused without: kick and count', async () => {
    const { eventStream } = setUp()
    for (const which of [undefined, null, 7, {}, ['a']]) {
      await expect(eventStream.kick(which as never)).rejects.toMatchObject({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/kick needs a channel, or a function .* got /),
      })
    }
    expect(() => eventStream.count(undefined as never)).toThrow(/undefined is no channel name/)
  })
})
