import { decodeChannelName, encodeChannelName } from './cursor.js'

/**
 * How a proxy writes the ids of events. `plain`: as they were published, the entry id alone, which
 * says where its client is in one channel. `composed`: put together by the proxy's filter `build-id`
 * of the positions in all channels of the connection. Each has channels of its own at the proxy, as a
 * filter applies to whatever comes over a channel.
 */
export type GripForm = 'plain' | 'composed'

/** Channels that Pushpin subscribes one connection to; it ignores any more without a word. */
export const maxGripChannels = 20

/** No encoded channel name has these, so that nothing below is taken for a channel. */
const marks = { composed: '*', proof: '~' } as const

/** The name of a channel at the proxy, where `,` and `;` cannot be part of one. */
export function gripChannel(prefix: string, channel: string, form: GripForm): string {
  return `${prefix}${encodeChannelName(channel)}${form === 'composed' ? marks.composed : ''}`
}

/** @returns undefined unless it is as {@link gripChannel} writes it. */
export function parseGripChannel(
  prefix: string,
  name: string,
): { readonly channel: string; readonly form: GripForm } | undefined {
  if (!name.startsWith(prefix)) return undefined
  const form = name.endsWith(marks.composed) ? 'composed' : 'plain'
  const end = form === 'composed' ? -marks.composed.length : undefined
  const channel = decodeChannelName(name.slice(prefix.length, end))
  return channel === undefined ? undefined : { channel, form }
}

/** What the proxy is told over, beside events: to close streams, or to ask for them again. */
export function gripControlChannel(prefix: string): string {
  return `${prefix}${marks.composed}`
}

/**
 * Nothing is ever published here. Its `prev-id` comes back with whatever the proxy asks, and proves
 * that the channels which it asks for are those that it was given.
 */
export function gripProofChannel(prefix: string): string {
  return `${prefix}${marks.proof}`
}

/** Text as the filter `build-id` wants it. A `%` that is not doubled ends the connection. */
export function escapeComposed(text: string): string {
  return text.replaceAll('%', '%%')
}

/** What the filter `build-id` replaces by the id. */
export const composedId = '%I'

/**
 * The meta value `id_format` that makes the filter `build-id` write a cursor, as `encodeCursor` does.
 *
 * @param channels - Checked names in the order of the cursor.
 */
export function composedIdFormat(prefix: string, channels: readonly string[]): string {
  return channels
    .map((channel) => {
      const name = gripChannel(prefix, channel, 'composed')
      return `${escapeComposed(encodeChannelName(channel))}~%(${name})s`
    })
    .join('*')
}
