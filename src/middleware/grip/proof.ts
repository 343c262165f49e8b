import { createHmac, timingSafeEqual } from 'node:crypto'
import { encodeChannelName } from '../../core/cursor.js'

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
   * @param generation - What else comes back with it: letters, digits and `._-`.
   * @returns 22 characters, and the generation behind a dot, if there is one.
   */
  sign(channels: readonly string[], generation = ''): string {
    const digest = this.#digest(channels, generation).toString('base64url')
    return generation === '' ? digest : `${digest}.${generation}`
  }

  /**
   * @returns The generation; undefined unless this, or another process with the same secret, has
   *   signed the channels.
   */
  verify(channels: readonly string[], proof: string): string | undefined {
    const [digest = '', ...rest] = proof.split('.')
    const generation = rest.join('.')
    const expected = this.#digest(channels, generation)
    const given = Buffer.from(digest, 'base64url')
    const isRight = given.length === expected.length && timingSafeEqual(given, expected)
    return isRight ? generation : undefined
  }

  #digest(channels: readonly string[], generation: string): Buffer {
    const names = channels.map(encodeChannelName).join('*')
    return createHmac('sha256', this.#secret)
      .update(`headwater held channels\n${this.#prefix}\n${names}\n${generation}`)
      .digest()
      .subarray(0, 16)
  }
}
