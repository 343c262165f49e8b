import type { ServerResponse } from 'node:http'
import { EventStreamError, type EventStreamErrorCode } from '../../core/errors.js'
import type { RequestLike } from '../request.js'
import { refuse, sendAway } from '../response.js'
import type { FunctionKicks } from './function-kicks.js'
import { readAsked } from './headers.js'
import type { GripHold, HeldRequest } from './hold.js'
import { type RecoveryLinks, readLink } from './link.js'
import type { ChannelProof } from './proof.js'

export interface GripFrontOptions {
  readonly hold: GripHold
  readonly links: RecoveryLinks
  readonly proof: ChannelProof
  readonly prefix: string
  readonly kicks: FunctionKicks
  isClosing(): boolean
  /** Clients of a proxy still listen to these. */
  onAsked(channels: readonly string[]): void
  /** A random reconnect delay. */
  retryMs(): number
  onError(error: unknown): void
}

/** All that an endpoint needs for clients of GRIP proxies. */
export class GripFront {
  readonly #options: GripFrontOptions
  readonly #reported = new Set<EventStreamErrorCode>()

  constructor(options: GripFrontOptions) {
    this.#options = options
  }

  /** Whether a client may be held: where not, it is served through the proxy as it is without one. */
  canHold(req: RequestLike, names: readonly string[]): boolean {
    const { hold, links } = this.#options
    if (links.take(req, hold.proofInLink(names))) return true
    if (req.method === 'GET') {
      this.#reportOnce(
        'ERR_GRIP_NOT_HELD',
        'Clients that come through a GRIP proxy have more recovery links than gripMaxLinks, so some of them are not ' +
          'held there, but served through it. Give gripLinkPath, so that all have the same; if they have, name the ' +
          'hosts that the proxy serves in its routes.',
      )
    }
    return false
  }

  /**
   * See {@link GripHold.open}.
   *
   * @returns Whether the proxy holds the stream now.
   */
  open(req: RequestLike, res: ServerResponse, request: HeldRequest): Promise<boolean> {
    return this.#options.hold.open(req, res, request)
  }

  /**
   * Answers if it is a proxy's request for what its clients missed. The proxy comes back after an
   * error, so that must not become a page of the application's.
   *
   * @returns False when it is another request.
   * @throws EventStreamError `ERR_GRIP_LINK` when somebody else has sent it.
   */
  async answerLink(req: RequestLike, res: ServerResponse): Promise<boolean> {
    const proof = readLink(req)
    if (proof === undefined) return false
    // What clients send by this name, the proxy takes away.
    if (req.headers['grip-last'] === undefined) {
      throw new EventStreamError('ERR_GRIP_LINK', 'Only a GRIP proxy may use this link.')
    }
    try {
      await this.#follow(req, res, proof)
    } catch (error) {
      this.#options.onError(error)
      refuse(res, error)
    }
    return true
  }

  async #follow(req: RequestLike, res: ServerResponse, linkProof: string): Promise<void> {
    const { hold, kicks, links, prefix, proof } = this.#options
    const asked = readAsked(req, prefix)
    const mark = asked && proof.verify(asked.channels, asked.proof ?? linkProof)
    if (this.#options.isClosing()) {
      refuse(res, new EventStreamError('ERR_UNAVAILABLE', 'This process is closing.'))
    } else if (asked === undefined || mark === undefined) {
      this.#reportOnce(
        'ERR_GRIP_LINK',
        'A proxy asked for missed events of channels that this process cannot check, so the stream was ' +
          'ended and its client comes back. Give all processes the same key in grip, or the same ' +
          'gripSecret; one that has neither makes a new secret at each start.',
      )
      this.#end(res)
    } else if (kicks.has(asked.channels, mark.generation)) this.#end(res)
    else {
      this.#options.onAsked(asked.channels)
      links.take(req, linkProof)
      await hold.follow(req, res, asked, mark.group)
    }
  }

  /** Without an instruction to hold it, the proxy ends the stream, and its client comes back. */
  #end(res: ServerResponse): void {
    sendAway(res, this.#options.retryMs(), false)
  }

  /** Once, as there are as many as there are clients. */
  #reportOnce(code: EventStreamErrorCode, message: string): void {
    if (this.#reported.has(code)) return
    this.#reported.add(code)
    this.#options.onError(new EventStreamError(code, message))
  }
}
