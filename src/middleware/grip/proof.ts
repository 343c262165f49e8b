import { createHmac, timingSafeEqual } from 'node:crypto'
import { encodeChannelName } from '../../core/cursor.js'

/** What comes back with a proof. */
export interface ProofMark {
  /** See `FunctionKicks`: letters, digits and `._-`. */
  readonly generation: string
  /** See `AskTimes`. */
  readonly group: number
}

/**
 * Proves that a proxy was given a set of channels to hold a stream on. It says nothing of a single
 * client, nor of the time, so that all clients of the set are the same to the proxy.
 */
export class ChannelProof {
  readonly #secret: Buffer
  readonly #prefix: string

  constructor(secret: Buffer, prefix: string) {
    this.#secret = secret
    this.#prefix = prefix
  }

  /**
   * @param channels - Checked names, sorted.
   * @returns 22 characters, and behind a dot what else comes back with it, if there is any.
   */
  sign(channels: readonly string[], { generation, group }: ProofMark): string {
    const mark = group === 0 ? generation : `${generation}~${group}`
    const digest = this.#digest(channels, mark).toString('base64url')
    return mark === '' ? digest : `${digest}.${mark}`
  }

  /**
   * @returns What was signed with them; undefined unless this, or another process with the same secret, has
   *   signed the channels.
   */
  verify(channels: readonly string[], proof: string): ProofMark | undefined {
    const [digest = '', ...rest] = proof.split('.')
    const mark = rest.join('.')
    const expected = this.#digest(channels, mark)
    const given = Buffer.from(digest, 'base64url')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    const [generation = '', group = 0] = mark.split('~')
    return { generation, group: Number(group) }
  }

  #digest(channels: readonly string[], mark: string): Buffer {
    const names = channels.map(encodeChannelName).join('*')
    return createHmac('sha256', this.#secret)
      .update(`headwater held channels\n${this.#prefix}\n${names}\n${mark}`)
      .digest()
      .subarray(0, 16)
  }
}
