import { GripInstruct } from '@fanoutio/grip'
import { type EntryId, isEntryId } from '../../core/entry-id.js'
import {
  composedIdFormat,
  type GripForm,
  gripChannel,
  gripControlChannel,
  gripProofChannel,
  parseGripChannel,
} from '../../core/grip.js'
import type { RequestLike } from '../request.js'

/** What of a proxy's features concerns us. */
export interface GripFeatures {
  /** It writes ids of the positions in several channels. */
  readonly canCompose: boolean
  /** A message can be for those connections only that listen to another channel too. */
  readonly canRequireChannel: boolean
}

/** What the proxy that sent a request can do, as it announces in `Grip-Feature`. */
export function readFeatures({ headers }: Pick<RequestLike, 'headers'>): GripFeatures {
  const features = String(headers['grip-feature'] ?? '')
    .split(',')
    .map((feature) => feature.trim())
  return {
    canCompose: features.includes('filter:build-id'),
    canRequireChannel: features.includes('filter:require-sub'),
  }
}

/** What a proxy asks for: what came after these positions. */
export interface Asked {
  readonly form: GripForm
  /** Sorted. */
  readonly channels: readonly string[]
  /** One per channel. */
  readonly positions: readonly EntryId[]
  /** Undefined when it is not here, but in the link. */
  readonly proof: string | undefined
}

/**
 * Reads `Grip-Last`: `events-a; last-id=4-7781`, for each channel that was given with a `prev-id`.
 *
 * @returns undefined when it is nothing that a proxy of ours would send.
 */
export function readAsked(
  { headers }: Pick<RequestLike, 'headers'>,
  prefix: string,
): Asked | undefined {
  const positions = new Map<string, EntryId>()
  const forms = new Set<GripForm>()
  let proof: string | undefined
  for (const part of String(headers['grip-last'] ?? '').split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim())
    const last = parameters.find((text) => text.startsWith('last-id='))?.slice('last-id='.length)
    if (last === undefined) return undefined
    const parsed = parseGripChannel(prefix, name)
    if (name === gripProofChannel(prefix)) proof = last
    else if (parsed !== undefined && isEntryId(last)) {
      positions.set(parsed.channel, last)
      forms.add(parsed.form)
    } else return undefined
  }
  const [form, ...others] = forms
  if (form === undefined || others.length > 0) return undefined
  const channels = [...positions.keys()].sort()
  return {
    form,
    channels,
    positions: channels.map((name) => positions.get(name) as EntryId),
    proof,
  }
}

export interface HoldInstruction {
  readonly prefix: string
  readonly form: GripForm
  /** Checked names, sorted. */
  readonly channels: readonly string[]
  /** Where clients are behind the body, one per channel. */
  readonly positions: readonly EntryId[]
  /** Left out when there is no room for it: it is in the link then. */
  readonly proof: string | undefined
  /** Whether the connection hears what proxies are told beside events. */
  readonly isControlled: boolean
  readonly link: string
  /** Seconds after which the proxy asks the link. */
  readonly linkSeconds: number
  /** What the proxy writes after so many seconds of silence, by itself. */
  readonly keepAlive: { readonly text: string; readonly seconds: number } | undefined
}

/**
 * The headers by which a proxy keeps the response open, and publishes to it.
 *
 * @see https://pushpin.org/docs/protocols/grip/
 */
export function holdHeaders(hold: HoldInstruction): Record<string, string> {
  const { prefix, form, channels } = hold
  const instruct = new GripInstruct()
  instruct.setHoldStream()
  instruct.setNextLink(hold.link, hold.linkSeconds)
  if (hold.keepAlive !== undefined) {
    instruct.setKeepAlive(hold.keepAlive.text, hold.keepAlive.seconds)
  }
  if (form === 'composed') instruct.meta = { id_format: composedIdFormat(prefix, channels) }
  const filter = form === 'composed' ? '; filter=build-id' : ''
  const subscriptions = channels.map(
    (channel, i) => `${gripChannel(prefix, channel, form)}; prev-id=${hold.positions[i]}${filter}`,
  )
  if (hold.proof !== undefined) {
    subscriptions.push(`${gripProofChannel(prefix)}; prev-id=${hold.proof}`)
  }
  if (hold.isControlled) subscriptions.push(`${gripControlChannel(prefix)}; filter=require-sub`)
  // The package's own channels have no filters.
  return instruct.toHeaders({ 'Grip-Channel': subscriptions.join(', ') })
}
