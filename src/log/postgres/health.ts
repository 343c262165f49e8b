import type { LogHealth } from '../event-log.js'

/** What the log consists of: connections for statements, and one for notifications once it is wanted. */
export type Part = 'statements' | 'listener'

/** Whether all parts of the log work, told to the application when that changes. */
export class Health {
  readonly #onHealth: (health: LogHealth) => void
  readonly #isUp = { statements: false, listener: true }
  #current: LogHealth = { state: 'connecting', since: new Date() }
  #isClosed = false

  constructor(onHealth: (health: LogHealth) => void) {
    this.#onHealth = onHealth
  }

  get current(): LogHealth {
    return this.#current
  }

  up(part: Part): void {
    this.#isUp[part] = true
    const { state } = this.#current
    if (state === 'up' || !this.#isUp.statements || !this.#isUp.listener) return
    this.#set({ state: 'up', since: new Date() }, state === 'down')
  }

  down(part: Part, error: Error): void {
    this.#isUp[part] = false
    const { state, since } = this.#current
    // Away it was already: the newest reason is kept, and only the first one is told.
    const isNews = state !== 'down'
    this.#set({ state: 'down', since: isNews ? new Date() : since, error }, isNews)
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isClosed = true
  }

  #set(health: LogHealth, isNews: boolean): void {
    this.#current = health
    if (!isNews || this.#isClosed) return
    try {
      this.#onHealth(health)
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}
