import type { Publisher } from '@fanoutio/grip'
import { EventStreamError } from '../../core/errors.js'
import { parseJson } from '../../core/json.js'
import type { RequestHead } from '../request.js'

export interface GateOptions {
  readonly validateSignature: Publisher['validateGripSig']
  /** Whether a request that did not come through a proxy is refused. */
  readonly required: boolean
  /** Whether a signature must have a time at which it expires. */
  readonly requiresExpiry: boolean
}

/** That a request has passed the gate. The class is not exported, so that nothing else can say so. */
class EnteredRequest {
  protected readonly hasPassed = true
  /** Whether a proxy of the configuration has sent it, and will hold its response. */
  readonly isProxied: boolean

  constructor(isProxied: boolean) {
    this.isProxied = isProxied
  }
}

export type Entered = EnteredRequest

/**
 * The gate in front of every entrance: whatever answers a request for events, or for what became of a stream, asks it
 * first. It is open where there are no proxies.
 */
export class Gate {
  readonly #options: GateOptions | undefined

  /** @param options - Undefined where there are no proxies. */
  constructor(options: GateOptions | undefined) {
    this.#options = options
  }

  /**
   * @throws EventStreamError `ERR_GRIP_SIGNATURE` for a signature that is not from a proxy of the
   *   configuration; `ERR_GRIP_REQUIRED` without any, if it must have one.
   */
  async enter({ headers }: Pick<RequestHead, 'headers'>): Promise<Entered> {
    const signature = headers['grip-sig']
    if (this.#options === undefined) return new EnteredRequest(false)
    const { required, requiresExpiry, validateSignature } = this.#options
    if (signature === undefined) {
      if (!required) return new EnteredRequest(false)
      throw new EventStreamError(
        'ERR_GRIP_REQUIRED',
        'This event stream is served through a GRIP proxy; send the request to the proxy.',
      )
    }
    // Not `req.grip`: there are releases of @fanoutio/serve-grip that take any signature.
    const { isSigned } = await validateSignature(String(signature))
    if (!isSigned) {
      throw refusal(
        'is not from a proxy of this configuration: it is too old, or of another key than the one in grip',
      )
    }
    if (requiresExpiry && !hasExpiry(String(signature))) {
      throw refusal('never expires, so that whoever has seen it could use it for ever')
    }
    return new EnteredRequest(true)
  }
}

/** @param signature - One that was validated, so its expiry was too, where it has one. */
function hasExpiry(signature: string): boolean {
  const [, claims = ''] = signature.split('.')
  const { exp } = Object(parseJson(Buffer.from(claims, 'base64url').toString()))
  return Number.isFinite(exp)
}

function refusal(why: string): EventStreamError {
  return new EventStreamError('ERR_GRIP_SIGNATURE', `The signature in Grip-Sig ${why}.`)
}
