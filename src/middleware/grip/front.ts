import type { ServerResponse } from 'node:http'
import { EventStreamError } from '../../core/errors.js'
import type { RequestLike } from '../request.js'
import { refuse, sendAway } from '../response.js'
import type { FunctionKicks } from './function-kicks.js'
import { readAsked } from './headers.js'
import type { GripHold, HeldRequest } from './hold.js'
import { type LinkOptions, RecoveryLink, readLink } from './link.js'
import type { ChannelProof } from './proof.js'

export interface GripFrontOptions extends LinkOptions {
  readonly hold: GripHold
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
  #hasReported = false

  constructor(options: GripFrontOptions) {
    this.#options = options
  }

  /** A link for the clients of one handler. */
  makeLink(): RecoveryLink {
    return new RecoveryLink(this.#options)
  }

  /**
   * See {@link GripHold.open}.
   *
   * @returns Whether the proxy holds the stream now.
   */
  open(
    req: RequestLike,
    res: ServerResponse,
    link: RecoveryLink,
    request: HeldRequest,
  ): Promise<boolean> {
    return this.#options.hold.open(req, res, link, request)
  }

  /**
   * Answers if it is a proxy's request for what its clients missed. The proxy comes back after an
   * error, so that must not become a page of the application's.
   *
   * @returns False when it is another request.
   * @throws EventStreamError `ERR_GRIP_LINK` when somebody else has sent it.
   */
  async answerLink(req: RequestLike, res: ServerResponse, link: RecoveryLink): Promise<boolean> {
    const proof = readLink(req)
    if (proof === undefined) return false
    // What clients send by this name, the proxy takes away.
    if (req.headers['grip-last'] === undefined) {
      throw new EventStreamError('ERR_GRIP_LINK', 'Only a GRIP proxy may use this link.')
    }
    try {
      await this.#follow(req, res, link, proof)
    } catch (error) {
      this.#options.onError(error)
      refuse(res, error)
    }
    return true
  }

  async #follow(
    req: RequestLike,
    res: ServerResponse,
    link: RecoveryLink,
    linkProof: string,
  ): Promise<void> {
    const { hold, kicks, prefix, proof } = this.#options
    const asked = readAsked(req, prefix)
    const generation = asked && proof.verify(asked.channels, asked.proof ?? linkProof)
    if (this.#options.isClosing()) {
      refuse(res, new EventStreamError('ERR_UNAVAILABLE', 'This process is closing.'))
    } else if (asked === undefined || generation === undefined) {
      this.#report()
      this.#end(res)
    } else if (kicks.has(asked.channels, generation)) this.#end(res)
    else {
      this.#options.onAsked(asked.channels)
      await hold.follow(req, res, link, asked)
    }
  }

  /** Without an instruction to hold it, the proxy ends the stream, and its client comes back. */
  #end(res: ServerResponse): void {
    sendAway(res, this.#options.retryMs(), false)
  }

  /** Once, as there are as many as there are clients. */
  #report(): void {
    if (this.#hasReported) return
    this.#hasReported = true
    this.#options.onError(
      new EventStreamError(
        'ERR_GRIP_LINK',
        'A proxy asked for missed events of channels that this process cannot check, so the stream was ' +
          'ended and its client comes back. Give all processes the same key in grip, or the same ' +
          'gripSecret; one that has neither makes a new secret at each start.',
      ),
    )
  }
}
