// Checked by the compiler, not run: event streams that know their channels.

import type { StandardSchemaV1 } from '@standard-schema/spec'
import { expectTypeOf } from 'expect-type'
import * as v from 'valibot'
import { z } from 'zod'
import { errorResponse, type FetchHandler, fetchHandler } from '../../src/fetch.js'
import {
  type ChannelEvents,
  type ChannelPublisher,
  type ChannelsOf,
  channelName,
  EventStream,
  type EventsOf,
  getEventStreamSingleton,
  type NewEvent,
  type StandardSchema,
} from '../../src/index.js'
import { statusPage } from '../../src/observe.js'

interface Message {
  readonly text: string
}

interface Channels {
  'room-{id}': { message: Message; left: { user: string } }
  'room-{id}-staff': { note: string }
  'room-lobby': { hello: number }
  news: { headline: string; ping: null; maybe: number | undefined }
}

declare const id: string
declare const number: number
const eventStream = new EventStream<Channels>()

// Names, by what `{token}` stands for; events, and their data. Without a name it is a `message`.
void eventStream.publishEvent('room-7', { event: 'message', data: { text: 'a' } })
void eventStream.publishEvent('room-7', { data: { text: 'a' }, idempotencyKey: 'k' })
void eventStream.publishEvent(`room-${id}`, { event: 'left', data: { user: 'ann' } })
void eventStream.publishEvent(`room-${number}`, { event: 'left', data: { user: 'ann' } })
void eventStream.publishEvent('news', { event: 'ping' })
void eventStream.publishEvent('news', { event: 'maybe' })
void eventStream.getChannelPublisher('news').publishEvent({ event: 'headline', data: 'a' })
eventStream.createChannelWritable(`room-${id}`).end()
void eventStream.publishEvent(channelName('room-{id}', { id: number }), { data: { text: 'a' } })
expectTypeOf(
  channelName('dm-{me}-{peer}', { me: id, peer: 7n }),
).toEqualTypeOf<`dm-${string}-${string}`>()
expectTypeOf(channelName('news', {})).toEqualTypeOf<'news'>()
expectTypeOf(channelName(id, { any: 'value' })).toEqualTypeOf<string>()

// @ts-expect-error: a value is missing
channelName('dm-{me}-{peer}', { me: id })
// @ts-expect-error: no such token
channelName('room-{id}', { id, room: id })
// @ts-expect-error: no text
channelName('room-{id}', { id: undefined })
// @ts-expect-error: no such channel
void eventStream.publishEvent(channelName('rooms', {}), { data: { text: 'a' } })
expectTypeOf(eventStream.publish('news', { event: 'headline', data: 'a' })).toEqualTypeOf<void>()
expectTypeOf(
  eventStream.getChannelPublisher('news').publish({ event: 'ping' }),
).toEqualTypeOf<void>()

// @ts-expect-error: no such channel
void eventStream.publishEvent('rooms', { data: { text: 'a' } })
// @ts-expect-error: it may be any
void eventStream.publishEvent(id, { data: { text: 'a' } })
// @ts-expect-error: no such event
void eventStream.publishEvent('room-7', { event: 'gone', data: {} })
// @ts-expect-error: it has no `message`
void eventStream.publishEvent('news', { data: 'a' })
// @ts-expect-error: data of another event
void eventStream.publishEvent('room-7', { event: 'left', data: { text: 'a' } })
// @ts-expect-error: it has data
void eventStream.publishEvent('room-7', { event: 'left' })
// @ts-expect-error: text is no data
void eventStream.publishEvent('news', { raw: 'a' })
// @ts-expect-error: no such field
void eventStream.publishEvent('news', { event: 'ping', retry: 1 })
// @ts-expect-error: no such channel
eventStream.getChannelPublisher('rooms')
// @ts-expect-error: no such event
void eventStream.getChannelPublisher('news').publishEvent({ event: 'gone' })
// @ts-expect-error: no such event
eventStream.publish('news', { event: 'gone' })
// @ts-expect-error: no such channel
eventStream.publish('rooms', { data: 1 })
// @ts-expect-error: no such channel
eventStream.createChannelWritable('rooms')

// The most specific one of several that a name fits.
void eventStream.publishEvent('room-lobby', { event: 'hello', data: 1 })
void eventStream.publishEvent('room-7-staff', { event: 'note', data: 'a' })
// @ts-expect-error: that is of other rooms
void eventStream.publishEvent('room-lobby', { data: { text: 'a' } })
// @ts-expect-error: that is of other rooms
void eventStream.publishEvent(`room-${id}-staff`, { data: { text: 'a' } })

// Where none is, the events of all.
declare const either: EventStream<{ 'a-{x}': { a: 1 }; '{x}-b': { b: 2 } }>
void either.publishEvent('a-b', { event: 'a', data: 1 })
void either.publishEvent('a-b', { event: 'b', data: 2 })

// What clients receive.
expectTypeOf<EventsOf<Channels, 'room-7'>>().toEqualTypeOf<{
  readonly message: Message
  readonly left: { user: string }
}>()
expectTypeOf<EventsOf<ChannelsOf<typeof eventStream>, 'room-lobby'>>().toEqualTypeOf<{
  readonly hello: number
}>()

// Whoever takes an event stream takes one that knows its channels, and one that does not knows nothing.
statusPage(eventStream)
const any: EventStream = eventStream
expectTypeOf(any.getChannelPublisher('a')).toEqualTypeOf<ChannelPublisher<NewEvent>>()
expectTypeOf(getEventStreamSingleton<Channels>()).toEqualTypeOf<EventStream<Channels>>()
expectTypeOf<EventsOf<ChannelsOf<EventStream>, 'a'>>().toEqualTypeOf<
  Readonly<Record<string, unknown>>
>()

// Channels by schemas, of any library: what is published is what they take, what is received what they give.
const schemas = {
  'room-{id}': {
    message: z.object({ at: z.string().transform(Number) }),
    left: v.object({ user: v.optional(v.string(), 'nobody') }),
  },
}
const checked = new EventStream({ schemas })
void checked.publishEvent('room-7', { data: { at: '1' } })
void checked.publishEvent('room-7', { event: 'left', data: {} })
expectTypeOf<ChannelEvents<typeof schemas>['room-{id}']>().toEqualTypeOf<{
  readonly message: { at: number }
  readonly left: { user: string }
}>()
// @ts-expect-error: that is what it gives
void checked.publishEvent('room-7', { data: { at: 1 } })
// @ts-expect-error: channels without schemas are declared
void checked.publishEvent('news', { data: 1 })
expectTypeOf(getEventStreamSingleton({ schemas })).toEqualTypeOf<typeof checked>()

// Some with schemas, and some without.
const both = new EventStream<typeof schemas & Pick<Channels, 'news'>>({ schemas })
void both.publishEvent('room-7', { data: { at: '1' } })
void both.publishEvent('news', { event: 'headline', data: 'a' })
new EventStream<Channels>({ schemas: { 'room-lobby': { hello: z.number() } } })
// @ts-expect-error: a schema of something else
new EventStream<Channels>({ schemas: { 'room-lobby': { hello: z.string() } } })
// @ts-expect-error: no such channel
new EventStream<Channels>({ schemas: { lobby: { hello: z.number() } } })

// Their interface is the standard's.
declare const standard: StandardSchemaV1<string, number>
expectTypeOf(standard).toExtend<StandardSchema<string, number>>()
declare const ours: StandardSchema<string, number>
expectTypeOf(ours).toExtend<StandardSchemaV1<string, number>>()

// Web requests: app routes of Next.js, Hono's context, and any other one.
declare const request: Request
expectTypeOf(eventStream.fetch(request, 'a')).resolves.toEqualTypeOf<Response>()
expectTypeOf(fetchHandler(eventStream, 'room-{id}')).toEqualTypeOf<FetchHandler>()
expectTypeOf(fetchHandler(eventStream, 'room-{id}')).toExtend<
  (request: Request, context: { params: Promise<{ id: string }> }) => Promise<Response>
>()
void fetchHandler(eventStream, (_request, { env }: { readonly env: string }) => env, {
  authorize: (req, channel) => req.headers.get('authorization') === channel,
  connectionKey: (req) => req.headers.get('x-user') ?? undefined,
  track: { type: 'page', user: (req) => req.headers.get('x-user') ?? undefined },
})
void eventStream.fetch(request, ['a', 'b']).catch(errorResponse)
void eventStream.streams
  .fetch(request, 'a', undefined, { authorize: (req) => req.bodyUsed })
  .catch(errorResponse)
// @ts-expect-error: streams have a beginning
void eventStream.streams.fetch(request, 'a', undefined, { startFrom: 'now' })
