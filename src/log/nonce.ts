import { randomFillSync } from 'node:crypto'

const nonces = new Uint32Array(256)
let next = nonces.length

/**
 * A random 32-bit number that cannot be guessed, and is not 0, which ends streams; drawn in bulk, since one
 * draw costs a system call.
 */
export function randomNonce(): number {
  if (next === nonces.length) {
    randomFillSync(nonces)
    next = 0
  }
  return (nonces[next++] as number) || randomNonce()
}
