import type { Store } from './store.js'
import { encodeAsk, type Question, type Tell, TellReader } from './volatile-protocol.js'

export interface QuestionOptions {
  readonly store: Store
  /** The pub/sub channel of this process. */
  readonly replies: string
  readonly replyTimeoutMs: number
  readonly askOf: (channel: string) => string
  readonly onLive: (tell: Tell & { readonly kind: 'live' }) => void
}

type Answer = Tell | undefined

interface Waiting {
  readonly kind: Tell['kind']
  readonly settle: (answer: Answer) => void
}

/** How often nobody may have got a question, while a connection comes back. */
const maxAttempts = 3
const againMs = 300

/** Asks other processes, and gets what they say. All answers come by one subscription. */
export class Questions {
  readonly #options: QuestionOptions
  readonly #reader = new TellReader()
  readonly #pending = new Map<number, Waiting>()
  #listening: Promise<() => void> | undefined
  #lastId = 0

  constructor(options: QuestionOptions) {
    this.#options = options
  }

  /** @returns undefined when nobody answers. */
  async ask(channel: string, question: Question): Promise<Answer> {
    const { store, replies, askOf } = this.#options
    await this.#listen()
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, againMs))
      const id = ++this.#lastId
      const { answer, cancel } = this.#wait(id, question.kind === 'read' ? 'page' : 'info')
      try {
        const receivers = await store.publish(
          askOf(channel),
          encodeAsk({ to: replies, id, question }),
        )
        if (receivers === 0) continue
        const told = await answer
        // Nobody may be taken for gone because this process stops.
        store.checkOpen()
        return told
      } finally {
        cancel()
      }
    }
    return undefined
  }

  /** Tells a producer that nobody follows here, if it was ever told otherwise. */
  async leave(channel: string): Promise<void> {
    const { store, replies, askOf } = this.#options
    if (this.#listening === undefined) return
    const question = { kind: 'leave' } as const
    await store.publish(askOf(channel), encodeAsk({ to: replies, id: 0, question }))
  }

  /** Ends what is under way, once the store is closed. */
  close(): void {
    for (const { settle } of this.#pending.values()) settle(undefined)
    this.#pending.clear()
  }

  #listen(): Promise<unknown> {
    const { store, replies } = this.#options
    if (this.#listening === undefined) {
      this.#listening = store.listen(replies, (text) => this.#message(text))
      // Whoever asks next tries again.
      this.#listening.catch(() => {
        this.#listening = undefined
      })
    }
    return this.#listening
  }

  #wait(
    id: number,
    kind: Tell['kind'],
  ): { readonly answer: Promise<Answer>; readonly cancel: () => void } {
    let settle: (answer: Answer) => void = () => undefined
    const answer = new Promise<Answer>((resolve) => {
      settle = resolve
    })
    const timer = setTimeout(() => settle(undefined), this.#options.replyTimeoutMs).unref()
    this.#pending.set(id, { kind, settle })
    const cancel = () => {
      clearTimeout(timer)
      this.#pending.delete(id)
    }
    return { answer, cancel }
  }

  #message(text: string): void {
    const tell = this.#reader.read(text)
    if (tell === 'part') return
    if (tell?.kind === 'live') {
      this.#options.onLive(tell)
      return
    }
    const waiting = tell && this.#pending.get(tell.id)
    // Who has waited for too long asks again, or for something else.
    if (waiting?.kind === tell?.kind) waiting?.settle(tell)
    if (tell === undefined) {
      this.#options.store.intake.drop('A message of a process that has streams', 'it is ignored')
    }
  }
}
