// What a model gives, token by token, and how late it is at whoever reads it.

import { setTimeout as delay } from 'node:timers/promises'

/** By a clock that all processes of a machine share. */
const nowUs = () => Number(process.hrtime.bigint() / 1000n)

/** At a rate; each tells when it was given. They begin at any place between two timers. */
export async function* tokens({ perSecond, seconds }) {
  const start = performance.now() + (Math.random() * 1000) / perSecond
  for (let i = 0; i < perSecond * seconds; i++) {
    const ms = start + (i * 1000) / perSecond - performance.now()
    if (ms > 0) await delay(ms)
    yield `@${String(nowUs()).padStart(16, '0')} and`
  }
}

/** So many bytes in all, in chunks as long as that: ASCII, so that a byte is a character. */
export function* chunks({ bytes, chunkBytes }) {
  const line = 'What a model says has 4 bytes or so in each token, and a line has 80 characters.\n'
  const text = line.repeat(Math.ceil(chunkBytes / line.length) + 1)
  for (let i = 0; i < bytes / chunkBytes; i++) {
    const start = i % line.length
    yield text.slice(start, start + chunkBytes)
  }
}

/** Times from when tokens were given until they were got. */
export class Latencies {
  #values = []
  #sinceUs

  /** @param warmUpMs - What is given before that is not counted: code that has just started is slow. */
  constructor(warmUpMs) {
    this.#sinceUs = nowUs() + warmUpMs * 1000
  }

  got(token) {
    const now = nowUs()
    const at = Number(token.slice(1, 17))
    if (at >= this.#sinceUs) this.#values.push(now - at)
  }

  quantiles() {
    const sorted = this.#values.sort((a, b) => a - b)
    const quantile = (part) => sorted[Math.floor(part * (sorted.length - 1))]
    return { p50Us: quantile(0.5), p99Us: quantile(0.99), tokens: sorted.length }
  }
}
