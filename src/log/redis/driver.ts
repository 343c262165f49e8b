import type { Script } from './scripts.js'

/** What a driver tells its owner. None of it may throw. */
export interface DriverEvents {
  /** A message came on a channel that is subscribed to. */
  message(live: string, text: string): void
  /** Whether commands can be sent; `error` is why not. */
  commands(isUp: boolean, error?: Error): void
  /**
   * Whether messages come. Subscriptions are lost with the connection, and up means that it is
   * there again, without them.
   */
  subscriber(isUp: boolean, error?: Error): void
}

/**
 * Two connections to Redis, one for commands and one for messages, whoever makes them: they come
 * back by themselves until `close`. The driver must not send a command again by itself, since it
 * cannot know whether Redis has run it.
 */
export interface RedisDriver {
  readonly isCluster: boolean
  /** Begins to connect. What comes of it is told by the events. */
  open(events: DriverEvents): void
  /** Runs a script by its name, and by its text where the name is not known. */
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown>
  command(name: string, ...args: readonly string[]): Promise<unknown>
  /** Resolves when messages come. */
  subscribe(live: readonly string[]): Promise<unknown>
  unsubscribe(live: readonly string[]): Promise<unknown>
  /** Gives up connections that do not answer, for new ones. */
  reconnect(): void
  /** As `reconnect`, where only commands come to nothing. */
  reconnectCommands(): void
  close(): void
}

/**
 * What became of a command that failed: `lost`, its connection broke, and nobody knows; `busy`, Redis
 * or this node of it cannot run it now, and has not; `refused`, it was answered.
 */
export type Failure = 'lost' | 'busy' | 'refused'

const busy =
  /^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|NOREPLICAS|UNBLOCKED)\b/

/** Every error that is an answer begins with a word in capitals. */
export function whyFailed(error: unknown): Failure {
  const message = messageOf(error)
  if (busy.test(message)) return 'busy'
  return /^-?[A-Z]{2}[A-Z0-9]*\b/.test(message) && !/^(?:ECONN|EPIPE|ETIMEDOUT|EAI)/.test(message)
    ? 'refused'
    : 'lost'
}

export function messageOf(error: unknown): string {
  // Where in a script it happened is nothing to anybody. Before Redis 7, that comes first.
  const message = String(Object(error).message ?? error)
  const place = message.search(/script: [0-9a-f]{40}, on @/)
  return (place === -1 ? message : message.slice(0, place).trimEnd()).replace(
    /^ERR Error running script \(call to \w+\): (?:@\w+: ?\d+: )+-/,
    '',
  )
}

/**
 * Runs a script by its name, and by its text where Redis does not know the name. For clusters, where a call that
 * waits for one node must hold up no other one.
 */
export async function runScript({ sha, source }: Script, send: SendScript): Promise<unknown> {
  try {
    return await send('evalsha', sha)
  } catch (error) {
    if (!messageOf(error).startsWith('NOSCRIPT')) throw error
    return send('eval', source)
  }
}

/** Sends one call of a script. */
type SendScript = (command: 'evalsha' | 'eval', script: string) => Promise<unknown>

interface Call {
  readonly place: number
  readonly send: SendScript
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Calls of one script. */
class Calls {
  readonly #script: Script
  #count = 0
  #underWay = 0
  /** What is sent again, or not yet, since Redis does not know the name. */
  #held: Call[] | undefined

  constructor(script: Script) {
    this.#script = script
  }

  run(send: SendScript): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = { place: ++this.#count, send, resolve, reject }
      if (this.#held === undefined) this.#send(call, 'evalsha')
      else this.#held.push(call)
    })
  }

  #send(call: Call, command: 'evalsha' | 'eval'): void {
    const { sha, source } = this.#script
    this.#underWay += 1
    call.send(command, command === 'eval' ? source : sha).then(
      (result) => {
        call.resolve(result)
        this.#answered()
      },
      (error) => {
        if (messageOf(error).startsWith('NOSCRIPT')) this.#hold(call)
        else call.reject(error)
        this.#answered()
      },
    )
  }

  #hold(call: Call): void {
    this.#held ??= []
    this.#held.push(call)
  }

  /** Once nothing is under way that might not be known either, the first one makes it known. */
  #answered(): void {
    this.#underWay -= 1
    if (this.#underWay > 0 || this.#held === undefined) return
    const [first, ...others] = this.#held.sort((a, b) => a.place - b.place)
    this.#held = undefined
    this.#send(first as Call, 'eval')
    for (const call of others) this.#send(call, 'evalsha')
  }
}

/**
 * As {@link runScript}, on one connection. Calls of a script keep their order also then: none is sent that would
 * overtake one that is sent again.
 */
export class ScriptRunner {
  readonly #callsOf = new Map<string, Calls>()

  run(script: Script, send: SendScript): Promise<unknown> {
    let calls = this.#callsOf.get(script.sha)
    if (calls === undefined) {
      calls = new Calls(script)
      this.#callsOf.set(script.sha, calls)
    }
    return calls.run(send)
  }
}

/** Reconnect delay in milliseconds: soon at first, then every second or two, never all at once. */
export function reconnectDelayMs(attempt: number): number {
  return Math.round(Math.min(2000, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2))
}
