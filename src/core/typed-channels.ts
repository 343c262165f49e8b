import type { NewEvent } from './event.js'
import type { StandardSchema } from './standard-schema.js'

// Types only: a client may import them from where the server's channels are declared.

/** Channels of which nothing is known: any name, any event, any data. */
// biome-ignore lint/suspicious/noExplicitAny: an event stream of any channels is to be one of these.
export type AnyChannels = any

/** The names that `'room-{id}'` stands for: `` `room-${string}` ``. */
export type NamesOf<Template extends string> =
  Template extends `${infer Head}{${string}}${infer Tail}`
    ? `${Head}${string}${NamesOf<Tail>}`
    : Template

type TokensOf<Template extends string> = string extends Template
  ? string
  : Template extends `${string}{${infer Token}}${infer Tail}`
    ? Token | TokensOf<Tail>
    : never

/** A value for each `{token}` of a template. */
export type ChannelValues<Template extends string> = {
  readonly [Token in TokensOf<Template>]: string | number | bigint
}

/** All names of channels that may be published to. */
export type ChannelName<Channels> = string extends keyof Channels
  ? string
  : NamesOf<keyof Channels & string>

/** A name as it was given, where it is one of the channels; or else what it might have been. */
export type NamedChannel<Channels, Name extends string> = string extends keyof Channels
  ? string
  : Name extends ChannelName<Channels>
    ? Name
    : ChannelName<Channels>

/**
 * The events of one channel and their data, as clients receive it: `{ message: Message }`. Of templates that the
 * name fits, the most specific one counts; where none is, the events of all of them.
 */
export type EventsOf<Channels, Name extends string> = string extends keyof Channels
  ? Readonly<Record<string, unknown>>
  : ReceivedEvents<Declared<Channels, Name>>

/** All channels with their events and data, as clients receive it: nothing of schemas is left. */
export type ChannelEvents<Channels> = {
  readonly [Key in keyof Channels]: ReceivedEvents<Channels[Key]>
}

/** What may be published to a channel. */
export type EventOn<Channels, Name extends string> = string extends keyof Channels
  ? NewEvent
  : // The compiler cannot tell that it is one, while the name is not known.
    Extract<PublishedEvent<Declared<Channels, Name>>, NewEvent>

/** Schemas of channels: what was declared as a schema, or one for what was declared. */
export type SchemasOf<Channels> =
  // As it is, for what is declared nowhere else.
  | Channels
  | {
      readonly [Key in keyof Channels]?: {
        readonly [Event in keyof Channels[Key]]: SchemaFor<Channels[Key][Event]>
      }
    }

type SchemaFor<Data> = Data extends StandardSchema ? Data : StandardSchema<Data>

type Matching<Channels, Name extends string> = {
  [Key in keyof Channels & string]: Name extends NamesOf<Key> ? Key : never
}[keyof Channels & string]

/** Those that no other one is a part of. */
type MostSpecific<Keys extends string, All extends string = Keys> = Keys extends unknown
  ? true extends IsNarrower<Exclude<All, Keys>, Keys>
    ? never
    : Keys
  : never

type IsNarrower<Others extends string, Key extends string> = Others extends unknown
  ? NamesOf<Others> extends NamesOf<Key>
    ? true
    : never
  : never

type Declared<Channels, Name extends string> = Channels[MostSpecific<Matching<Channels, Name>> &
  keyof Channels]

type ReceivedEvents<Events> = Events extends unknown
  ? { readonly [Event in keyof Events]: OutputOf<Events[Event]> }
  : never

type OutputOf<Data> = Data extends StandardSchema<unknown, infer Output> ? Output : Data

type InputOf<Data> = Data extends StandardSchema<infer Input, unknown> ? Input : Data

type PublishedEvent<Events> = Events extends unknown
  ? {
      [Event in keyof Events & string]: NamedEvent<Event> & WithData<InputOf<Events[Event]>>
    }[keyof Events & string]
  : never

/** Without a name, an event is a `message`. */
type NamedEvent<Event extends string> = Pick<NewEvent, 'idempotencyKey'> & {
  readonly raw?: undefined
} & ('message' extends Event ? { readonly event?: Event | undefined } : { readonly event: Event })

/** Without data, `null` is sent. */
type WithData<Data> = [null] extends [Data]
  ? { readonly data?: Data | undefined }
  : [undefined] extends [Data]
    ? { readonly data?: Data | undefined }
    : { readonly data: Data }
