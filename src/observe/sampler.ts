import { inBackground } from '../background.js'
import type { EventStream } from '../event-stream.js'
import { observed } from './observed.js'

/** Counters at a time, from which rates are made. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly connections: number
  readonly published: number
  readonly deliveries: number
  readonly bytes: number
  readonly resets: number
}

/** What is shown of the last minutes: one number per step. Rates are per second. */
export interface History {
  readonly stepMs: number
  /** End of each step, in milliseconds since 1970. */
  readonly at: readonly number[]
  readonly published: readonly number[]
  readonly deliveries: readonly number[]
  readonly bytes: readonly number[]
  readonly connections: readonly number[]
  /** In the step, not per second. */
  readonly resets: readonly number[]
}

/** Samples that are kept: of 5 s each, those of ten minutes. */
const maxSamples = 121

/** Keeps samples of the last minutes, by one timer that ends with the event stream. */
export class Sampler {
  readonly stepMs: number
  readonly #eventStream: EventStream
  readonly #samples: Sample[] = []

  /** @param stepMs - Milliseconds between two samples. */
  constructor(eventStream: EventStream, stepMs: number) {
    this.#eventStream = eventStream
    this.stepMs = stepMs
    this.#samples.push(this.#sample())
    const timer = inBackground(() => setInterval(() => this.#keep(), stepMs).unref())
    observed.of(eventStream).observer.onClose(() => clearInterval(timer))
  }

  history(): History {
    const steps = this.#samples.slice(1)
    const perSecond = (field: 'published' | 'deliveries' | 'bytes') =>
      steps.map((sample, i) => {
        const before = this.#samples[i] as Sample
        const seconds = Math.max(1, sample.at - before.at) / 1000
        return Math.round(((sample[field] - before[field]) / seconds) * 100) / 100
      })
    return {
      stepMs: this.stepMs,
      at: steps.map(({ at }) => at),
      published: perSecond('published'),
      deliveries: perSecond('deliveries'),
      bytes: perSecond('bytes'),
      connections: steps.map(({ connections }) => connections),
      resets: steps.map(({ resets }, i) => resets - (this.#samples[i] as Sample).resets),
    }
  }

  #keep(): void {
    this.#samples.push(this.#sample())
    if (this.#samples.length > maxSamples) this.#samples.shift()
  }

  #sample(): Sample {
    const { counters } = observed.of(this.#eventStream).observer
    const { trimmed, unknown, invalid } = counters.resets
    return {
      at: Date.now(),
      connections: this.#eventStream.health().connections,
      published: counters.publishedEvents,
      deliveries: counters.deliveries,
      bytes: counters.writtenBytes,
      resets: trimmed + unknown + invalid,
    }
  }
}
