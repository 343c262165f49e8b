import { composedId, escapeComposed, gripChannel } from '../../core/grip.js'
import { endBlock } from '../../core/wire.js'
import { entryFields } from '../../hub/reset.js'
import type { StoredEvent } from '../../log/event-log.js'

/** One item for a proxy's control endpoint, as JSON. */
export interface GripItem {
  /** Name at the proxy. */
  readonly channel: string
  readonly json: string
  readonly bytes: number
}

/** Bytes of the items of one request. Pushpin refuses 1,000,000, with what is around them. */
export const maxRequestBytes = 900_000

export interface ItemOptions {
  readonly prefix: string
  /** Whether somebody may listen to several channels on one connection. */
  readonly composes: boolean
  /**
   * Only this process publishes its channels, so nothing can be on its way from elsewhere: the proxy
   * need not wait for it before it lets clients ask for what is missing.
   */
  readonly isOnlyPublisher: boolean
}

/** What the proxy is sent of one event: an item for each form that its clients may be held in. */
export function encodeItems(
  channel: string,
  event: StoredEvent,
  options: ItemOptions,
): readonly GripItem[] {
  // Of what was in the log already, somebody else may have written it, and readers of the log are told.
  const fields = entryFields(channel, event, () => undefined)
  const { id, prevId } = event
  const item = (name: string, content: string) => {
    const order = options.isOnlyPublisher
      ? { id, 'prev-id': prevId, 'no-seq': true }
      : { id, 'prev-id': prevId }
    const made = makeItem({ channel: name, ...order, formats: { 'http-stream': { content } } })
    return made.bytes <= maxRequestBytes ? made : hintItem(name)
  }
  const plain = item(gripChannel(options.prefix, channel, 'plain'), endBlock(fields, id))
  if (!options.composes) return [plain]
  const composed = endBlock(escapeComposed(fields), composedId)
  return [plain, item(gripChannel(options.prefix, channel, 'composed'), composed)]
}

/**
 * Makes the clients of a channel ask for what they have not got: an item without id is none that they
 * can have, so the proxy drops it and asks its origin.
 */
export function hintItem(channel: string): GripItem {
  return makeItem({ channel, formats: { 'http-stream': { content: ':\n' } } })
}

interface ControlItem {
  readonly channel: string
  readonly action: 'close' | 'hint'
  /** Only connections that listen to this channel too. */
  readonly requiredChannel?: string | undefined
}

/** Tells the proxy to do something with connections that listen to a channel. */
export function controlItem({ channel, action, requiredChannel }: ControlItem): GripItem {
  const meta = requiredChannel === undefined ? {} : { meta: { require_sub: requiredChannel } }
  return makeItem({ channel, ...meta, formats: { 'http-stream': { action } } })
}

function makeItem(content: { readonly channel: string; readonly formats: object }): GripItem {
  const json = JSON.stringify(content)
  return { channel: content.channel, json, bytes: Buffer.byteLength(json) }
}
