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
  return /^-?[A-Z]{2,}[A-Z0-9]*\b/.test(message) && !/^(?:ECONN|EPIPE|ETIMEDOUT|EAI)/.test(message)
    ? 'refused'
    : 'lost'
}

export function messageOf(error: unknown): string {
  // Where in a script it happened is nothing to anybody.
  return String(Object(error).message ?? error).replace(/\s*script: [0-9a-f]{40}, on @.*$/s, '')
}

/** Runs a script by its name, and by its text where Redis does not know the name. */
export async function runScript(
  { sha, source }: Script,
  run: (command: 'evalsha' | 'eval', script: string) => Promise<unknown>,
): Promise<unknown> {
  try {
    return await run('evalsha', sha)
  } catch (error) {
    if (!messageOf(error).startsWith('NOSCRIPT')) throw error
    return run('eval', source)
  }
}

/** Reconnect delay in milliseconds: soon at first, then every second or two, never all at once. */
export function reconnectDelayMs(attempt: number): number {
  return Math.round(Math.min(2000, 50 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2))
}
