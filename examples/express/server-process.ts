import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('server.js', import.meta.url))
const restartDelayMs = 500

/** A server in a process of its own, which is started again whenever it ends before `stop`. */
export class ServerProcess {
  readonly #name: string
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  #isStopping = false
  #port: number | undefined

  /** @param env - Of the environment, what it does not have in common with this process. */
  constructor(name: string, env: NodeJS.ProcessEnv) {
    this.#name = name
    this.#env = env
  }

  /** Undefined while nothing listens. */
  get port(): number | undefined {
    return this.#port
  }

  /** @throws Error when it ends before it listens. It has said why. */
  async start(): Promise<void> {
    const child = fork(script, {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child = child
    const ended = once(child, 'exit').then(([code, signal]) => {
      this.#port = undefined
      return new Error(`${this.#name} has ended (${signal ?? code})`)
    })
    const listening = once(child, 'message').then(([port]) => port as number)
    const result = await Promise.race([listening, ended])
    if (result instanceof Error) throw result
    this.#port = result
    console.log(`${this.#name} is pid ${child.pid}`)
    void ended.then((reason) => this.#restart(reason))
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }

  async #restart(reason: Error): Promise<void> {
    while (!this.#isStopping) {
      console.log(`${reason.message}, and is started again`)
      try {
        await this.start()
        return
      } catch (error) {
        // Such as a Redis that is away: not as often as this machine can.
        reason = error as Error
        await delay(restartDelayMs)
      }
    }
  }
}
