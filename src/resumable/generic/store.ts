import { EventStreamError } from '../../core/errors.js'
import { Intake } from '../../log/intake.js'
import {
  adapted,
  connected,
  type IoredisClient,
  type Publisher,
  type Subscriber,
  topicPrefix,
} from './clients.js'

/** Where streams are kept, and how long it may take to answer. */
export interface StoreOptions {
  readonly publisher: Publisher | IoredisClient
  readonly subscriber: Subscriber | IoredisClient
  /**
   * Milliseconds after which a command that was not answered has failed.
   * @defaultValue 5000
   */
  readonly commandTimeoutMs?: number | undefined
}

type OnMessage = (message: string) => void

/** One pub/sub channel. */
interface Topic {
  readonly name: string
  readonly listeners: Set<OnMessage>
  readonly onMessage: OnMessage
  /** Whether messages may come. */
  isSubscribed: boolean
  /** What is under way, one after the other. */
  work: Promise<unknown>
}

/**
 * The few commands that any store has. Each rejects with EventStreamError `ERR_LOG_UNAVAILABLE` when it fails
 * or is not answered in time, and with `ERR_LOG_CLOSED` after `close`.
 */
export class Store {
  readonly intake = new Intake()
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #timeoutMs: number
  readonly #topicPrefix: string
  readonly #topics = new Map<string, Topic>()
  /** Fail what is under way. */
  readonly #aborts = new Set<(error: Error) => void>()
  readonly #ends: (() => Promise<void>)[] = []
  #connecting = new Map<object, Promise<void>>()
  #isClosed = false

  constructor({ publisher, subscriber, commandTimeoutMs = 5000 }: StoreOptions) {
    this.#topicPrefix = topicPrefix(publisher)
    this.#publisher = adapted<Publisher>(publisher)
    this.#subscriber = adapted<Subscriber>(subscriber)
    this.#timeoutMs = commandTimeoutMs
  }

  async get(key: string): Promise<string | undefined> {
    const value = await this.#run(this.#publisher, (client) => client.get(key))
    return value === null || value === undefined ? undefined : String(value)
  }

  async set(key: string, value: string, ageMs: number): Promise<void> {
    const EX = Math.max(1, Math.ceil(ageMs / 1000))
    await this.#run(this.#publisher, (client) => client.set(key, value, { EX }))
  }

  async incr(key: string): Promise<number> {
    return Number(await this.#run(this.#publisher, (client) => client.incr(key)))
  }

  /** @returns How many got it; undefined where the client does not tell. */
  async publish(channel: string, message: string): Promise<number | undefined> {
    const count = await this.#run(this.#publisher, (client) =>
      client.publish(this.#topicPrefix + channel, message),
    )
    return typeof count === 'number' ? count : undefined
  }

  /**
   * Gets the messages of a channel. Active before the promise resolves.
   *
   * @returns Ends it; may be called twice.
   */
  async listen(channel: string, onMessage: OnMessage): Promise<() => void> {
    const topic = this.#topic(channel)
    // One of its own, so that the same function may listen twice.
    const listener: OnMessage = (message) => onMessage(message)
    topic.listeners.add(listener)
    const leave = () => {
      if (!topic.listeners.delete(listener) || this.#isClosed) return
      // Messages that come all the same find nobody.
      this.#adjust(topic).catch(() => undefined)
    }
    try {
      await this.#adjust(topic)
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  checkOpen(): void {
    if (!this.#isClosed) return
    throw new EventStreamError(
      'ERR_LOG_CLOSED',
      'The event log is closed; publish and read before close().',
    )
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    const topics = [...this.#topics.values()]
    for (const { listeners } of topics) listeners.clear()
    // A store that is away has no subscriptions to end.
    const done = Promise.allSettled(topics.map((topic) => this.#adjust(topic)))
    await this.#within(done, Math.min(1000, this.#timeoutMs)).catch(() => undefined)
    this.#isClosed = true
    for (const abort of this.#aborts) abort(closedError())
    this.#topics.clear()
    await Promise.allSettled(this.#ends.map((end) => end()))
  }

  #topic(channel: string): Topic {
    const name = this.#topicPrefix + channel
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      const listeners = new Set<OnMessage>()
      const onMessage = this.intake.guard((message: unknown) => {
        for (const listener of [...listeners]) listener(String(message))
      })
      topic = { name, listeners, onMessage, isSubscribed: false, work: Promise.resolve() }
      this.#topics.set(name, topic)
    }
    return topic
  }

  /** Subscribes where somebody listens, and only there. */
  #adjust(topic: Topic): Promise<void> {
    const adjust = async () => {
      const { name, listeners, onMessage, isSubscribed } = topic
      const isWanted = listeners.size > 0
      if (isWanted && !isSubscribed) {
        try {
          await this.#run(this.#subscriber, (client) => client.subscribe(name, onMessage))
          topic.isSubscribed = true
        } catch (error) {
          // It may come to it yet; a store that is away does not answer this either.
          this.#subscriber.unsubscribe(name).catch(() => undefined)
          throw error
        }
      }
      if (!isWanted && isSubscribed) {
        topic.isSubscribed = false
        await this.#run(this.#subscriber, (client) => client.unsubscribe(name))
      }
      if (listeners.size === 0 && this.#topics.get(name) === topic) this.#topics.delete(name)
    }
    const done = topic.work.then(adjust)
    topic.work = done.catch(() => undefined)
    return done
  }

  async #run<Client extends Publisher | Subscriber, Result>(
    client: Client,
    command: (client: Client) => Promise<Result>,
  ): Promise<Result> {
    this.checkOpen()
    try {
      const answer = this.#connect(client).then(() => command(client))
      return await this.#within(answer, this.#timeoutMs)
    } catch (error) {
      if (error instanceof EventStreamError) throw error
      throw new EventStreamError('ERR_LOG_UNAVAILABLE', 'The store of streams cannot be reached.', {
        cause: error,
      })
    }
  }

  #connect(client: Publisher | Subscriber): Promise<void> {
    let connecting = this.#connecting.get(client)
    if (connecting === undefined) {
      connecting = connected(client).then((end) => void this.#ends.push(end))
      this.#connecting.set(client, connecting)
      // The next command tries again.
      connecting.catch(() => this.#connecting.delete(client))
    }
    return connecting
  }

  async #within<Result>(answer: Promise<Result>, timeoutMs: number): Promise<Result> {
    let abort: (error: Error) => void = () => undefined
    const failed = new Promise<never>((_, reject) => {
      abort = reject
    })
    const late = () => abort(new Error(`There was no answer within ${timeoutMs} ms.`))
    const timer = setTimeout(late, timeoutMs).unref()
    this.#aborts.add(abort)
    try {
      return await Promise.race([answer, failed])
    } finally {
      clearTimeout(timer)
      this.#aborts.delete(abort)
    }
  }
}

function closedError(): EventStreamError {
  return new EventStreamError('ERR_LOG_CLOSED', 'The event log was closed.')
}
