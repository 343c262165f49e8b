import { AsyncResource } from 'node:async_hooks'
import { inBackground, keepInBackground } from './background.js'
import { EventStreamError } from './core/errors.js'
import type { GripSettings } from './grip-options.js'
import { Notices } from './hub/notices.js'
import { type EventLog, isRemoteLog } from './log/event-log.js'
import { GripFront } from './middleware/grip/front.js'
import { FunctionKicks, type HeldStream, heldStream } from './middleware/grip/function-kicks.js'
import { GripHold } from './middleware/grip/hold.js'
import { RecoveryLinks } from './middleware/grip/link.js'
import { ChannelProof } from './middleware/grip/proof.js'
import type { Observer } from './observe/observer.js'
import type { ResolvedOptions } from './options.js'
import { Chains } from './publishers/grip/chains.js'
import { ComposedDemand } from './publishers/grip/demand.js'
import { GripRelay } from './publishers/grip/relay.js'

export interface GripHost {
  readonly keepAliveText: string
  readonly observer: Observer
  isClosing(): boolean
  hearKicks(): Promise<void>
  isKicked(channels: readonly string[], since: number): boolean
  retryMs(): number
  /** Clients of a proxy still listen to these. */
  onAsked(channels: readonly string[]): void
  onError(error: unknown): void
}

/** Milliseconds that an answer may be on its way to the proxy, which then begins to hold it. */
const answerMs = 1000

/** Milliseconds in which proxies have asked, once they are told to. */
const hintedMs = 5000

/** What an event stream has for clients of GRIP proxies: both ends, which know the same names. */
export class Grip {
  readonly front: GripFront
  readonly relay: GripRelay
  readonly #host: GripHost
  readonly #kicks: FunctionKicks
  readonly #pollMs: number
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(settings: GripSettings, options: ResolvedOptions, host: GripHost) {
    const { log, keepAliveMs, maxChannelsPerConnection } = options
    const { keepAliveText, observer } = host
    const onError = (error: unknown) => host.onError(error)
    this.#host = host
    this.#kicks = new FunctionKicks(onError)
    this.#pollMs = settings.pollMs
    const proof = new ChannelProof(settings.secret, settings.prefix)
    const links = new RecoveryLinks(settings)
    const demand = maxChannelsPerConnection > 1 ? this.#makeDemand(log) : undefined
    this.front = new GripFront({
      ...settings,
      hold: new GripHold({
        ...settings,
        log,
        proof,
        links,
        kicks: this.#kicks,
        onComposed: async () => demand?.note(),
        keepAliveMs,
        keepAliveText,
        hearKicks: () => host.hearKicks(),
        isKicked: (channels, since) => host.isKicked(channels, since),
        onError,
      }),
      links,
      proof,
      kicks: this.#kicks,
      isClosing: () => host.isClosing(),
      retryMs: () => host.retryMs(),
      onAsked: (channels) => host.onAsked(channels),
      onError,
    })
    const chains = isRemoteLog(log) ? new Chains() : undefined
    this.relay = keepInBackground(new GripRelay({ ...settings, demand, chains, observer, onError }))
  }

  /**
   * @param which - A name in the log, or a function.
   * @throws EventStreamError `ERR_PUBLISH_PARTIAL`.
   */
  async kick(which: string | ((stream: HeldStream) => boolean)): Promise<void> {
    try {
      if (typeof which === 'string') await this.#closeStreams(which)
      else {
        // It is asked in the request of a proxy, and is of whoever kicks.
        this.#endWhenAsked(
          AsyncResource.bind((names: readonly string[]) => which(heldStream(names))),
        )
        await this.relay.hint()
      }
    } catch (cause) {
      const message = `Streams at a GRIP proxy are still open. ${(cause as Error).message}`
      throw new EventStreamError('ERR_PUBLISH_PARTIAL', message, { cause })
    }
  }

  /** Waits until nothing is on its way to proxies, at most `graceMs`; leaves nothing behind. */
  async close(graceMs: number): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    await this.relay.close(graceMs)
  }

  /** Twice, for those whose answer was on its way to the proxy the first time. */
  async #closeStreams(channel: string): Promise<void> {
    if (this.relay.hasStrict) this.#endWhenAsked((names) => names.includes(channel))
    await this.relay.closeStreams(channel)
    if (this.#host.isClosing()) return
    const again = () => {
      this.#timers.delete(timer)
      this.relay.closeStreams(channel).catch((error) => this.#host.onError(error))
    }
    const timer = inBackground(() => setTimeout(again, answerMs).unref())
    this.#timers.add(timer)
  }

  #endWhenAsked(isMeant: (names: readonly string[]) => boolean): void {
    this.#kicks.add(isMeant, this.relay.hasStrict ? 2 * this.#pollMs : hintedMs)
  }

  #makeDemand(log: EventLog): ComposedDemand {
    const notices = new Notices({
      log,
      topic: 'composed',
      onNotice: () => demand.heard(),
      onError: (error) => this.#host.onError(error),
    })
    const demand = new ComposedDemand(isRemoteLog(log) ? notices : undefined, this.#pollMs)
    return keepInBackground(demand)
  }
}
