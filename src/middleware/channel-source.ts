import { type ChannelTemplate, checkChannel, compileTemplate } from '../core/channels.js'
import { cursorFits, encodeChannelName } from '../core/cursor.js'
import { EventStreamError, quote } from '../core/errors.js'
import type { RequestLike } from './request.js'

/** Chooses the channels of a request, which must not be left to the client. */
export type ChannelsBuilder<Req = RequestLike> = (
  req: Req,
) => string | readonly string[] | Promise<string | readonly string[]>

/**
 * Channel names, with `{token}` for a value of the route's parameters; or a function that gives
 * names as they are.
 */
export type ChannelSource<Req = RequestLike> = string | readonly string[] | ChannelsBuilder<Req>

/** Gives the channels of one request: checked, without repetition. */
export type ChannelResolver<Req> = (req: Req) => Promise<readonly string[]>

/**
 * @throws EventStreamError `ERR_CHANNEL` when a name can never be one; `ERR_OPTION` when a source is something else,
 *   or there is none.
 */
export function channelResolver<Req extends RequestLike>(
  sources: readonly ChannelSource<Req>[],
  maxChannels: number,
): ChannelResolver<Req> {
  const builders: ChannelsBuilder<Req>[] = []
  const templates: ChannelTemplate[] = []
  for (const source of sources.flat() as (string | ChannelsBuilder<Req>)[]) {
    if (typeof source === 'function') builders.push(source)
    else if (typeof source === 'string') templates.push(compileTemplate(source))
    else {
      throw new EventStreamError(
        'ERR_OPTION',
        `A channel is ${quote(source)}; give names, or a function from the request to names.`,
      )
    }
  }
  if (builders.length + templates.length === 0)
    throw noChannel('A route', "eventStream('room-{id}')")
  return async (req) => {
    const values = routeValues(req)
    const names = templates.map((template) => template(values))
    const built = await Promise.all(builders.map((builder) => builder(req)))
    return checkChannels([...names, ...built.flat()], maxChannels)
  }
}

/** @param example - How it is given one. */
export function noChannel(what: string, example: string): EventStreamError {
  return new EventStreamError('ERR_OPTION', `${what} needs a channel, such as ${example}.`)
}

/**
 * @returns The names without repetition.
 * @throws EventStreamError `ERR_NO_CHANNEL`, `ERR_CHANNEL`, `ERR_TOO_MANY_CHANNELS`.
 */
export function checkChannels(names: readonly string[], maxChannels: number): readonly string[] {
  const distinct = new Set<string>()
  for (const name of names) {
    distinct.add(checkChannel(name))
    if (distinct.size <= maxChannels) continue
    // The rest of a long list is not looked at.
    throw new EventStreamError(
      'ERR_TOO_MANY_CHANNELS',
      `The request names more channels than maxChannelsPerConnection allows, which is ${maxChannels}.`,
    )
  }
  const channels = [...distinct]
  if (channels.length === 0) {
    throw new EventStreamError('ERR_NO_CHANNEL', 'The request names no channel to listen to.')
  }
  if (!cursorFits(channels.map(encodeChannelName))) {
    throw new EventStreamError(
      'ERR_TOO_MANY_CHANNELS',
      `The names of ${channels.length} channels are too long together for a Last-Event-ID.`,
    )
  }
  return channels
}

/** `req.query` is the client's own choice wherever there are route parameters. */
function routeValues({ params, query }: RequestLike): Readonly<Record<string, unknown>> {
  return Object((params === undefined ? query : params) ?? {}) as Record<string, unknown>
}
