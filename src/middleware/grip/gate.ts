import type { Publisher } from '@fanoutio/grip'
import { EventStreamError } from '../../core/errors.js'
import type { RequestLike } from '../request.js'

export interface GateOptions {
  readonly validateSignature: Publisher['validateGripSig']
  /** Whether a request that did not come through a proxy is refused. */
  readonly required: boolean
}

/** Tells requests that came through a proxy from others. */
export class GripGate {
  readonly #options: GateOptions

  constructor(options: GateOptions) {
    this.#options = options
  }

  /**
   * Whether a proxy of the configuration has sent this request, and will hold its response. Where no
   * proxy of the configuration has a key, that is whoever says so.
   *
   * @throws EventStreamError `ERR_GRIP_SIGNATURE` for a signature that is not from a proxy of the
   *   configuration; `ERR_GRIP_REQUIRED` without any, if it must have one.
   */
  async isProxied({ headers }: RequestLike): Promise<boolean> {
    const signature = headers['grip-sig']
    if (signature !== undefined) {
      // Not `req.grip`: there are releases of @fanoutio/serve-grip that take any signature.
      const { isProxied } = await this.#options.validateSignature(String(signature))
      if (isProxied) return true
      throw new EventStreamError(
        'ERR_GRIP_SIGNATURE',
        'The signature in Grip-Sig is not from a proxy of this configuration: it is too old, or of ' +
          'another key than the one in grip.',
      )
    }
    if (!this.#options.required) return false
    throw new EventStreamError(
      'ERR_GRIP_REQUIRED',
      'This event stream is served through a GRIP proxy; send the request to the proxy.',
    )
  }
}
