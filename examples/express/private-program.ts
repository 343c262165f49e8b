import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { platform } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** A program that is not part of Node. */
export interface Program {
  /** On PATH, as Debian's package, and for Homebrew. */
  readonly name: string
  /** What needs it, and which version will do: `The cluster needs redis-server (6.2 or later)`. */
  readonly need: string
  /** The environment variable that names one in another place. */
  readonly variable: string
  /** What will do in its place, after `and`. */
  readonly orElse?: string
}

/**
 * @returns Where it is, and what it says of its version.
 * @throws Error that says how to get it, where there is none.
 */
export function findProgram(program: Program): { readonly path: string; readonly version: string } {
  const path = process.env[program.variable] || program.name
  const { error, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  if (error !== undefined) throw new Error(howToGet(program))
  return { path, version: stdout }
}

function howToGet({ name, need, variable, orElse }: Program): string {
  const named = process.env[variable]
  if (named) return `${variable} is ${named}, where no program is. Correct it, or unset it.`
  const elsewhere = existsSync('/etc/debian_version')
    ? `apt-get install ${name}, as root`
    : 'your package manager'
  const command = platform() === 'darwin' ? `brew install ${name}` : elsewhere
  const others = `One in another place is used when ${variable} names it`
  return (
    `${need}, and there is none. Get it by: ${command}. ` +
    `${orElse === undefined ? others : `${others}, and ${orElse}`}.`
  )
}

/** Runs in a folder of its own, and never outlives this process. */
export class PrivateProgram {
  /** Resolves when it has ended, by itself or by `stop`, and its folder is removed. */
  readonly ended: Promise<unknown>
  readonly #child: ChildProcess
  #output = ''

  /** @param folder - Removed at the end. What the program starts, it notes in there as `run/*.pid`. */
  constructor(path: string, args: readonly string[], folder: string) {
    // In a group of its own: at Ctrl+C the servers end first.
    this.#child = spawn(path, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
    })
    this.ended = guard(this.#child, folder)
  }

  /** @throws Error with what it has printed, when it ends, or is not ready after 10 seconds. */
  async ready(isReady: (output: string) => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!(await isReady(this.#output))) {
      const { exitCode, signalCode, spawnfile } = this.#child
      const hasEnded = exitCode !== null || signalCode !== null
      if (hasEnded || performance.now() > deadline) {
        if (!hasEnded) await this.stop()
        throw new Error(
          `${spawnfile} ${hasEnded ? 'has ended' : 'does not start'}:\n${this.#output}`,
        )
      }
      await delay(20)
    }
    // From here on it is read, and not kept.
    this.#child.stdout?.removeAllListeners('data').resume()
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.ended
  }
}

/**
 * Sees to it that nothing remains when the program has ended, and ends the program when this process
 * has gone in whatever way: the guard's input ends with it.
 */
async function guard(child: ChildProcess, folder: string): Promise<void> {
  const args = ['-c', guardScript, 'guard', String(child.pid), folder]
  const watcher = spawn('sh', args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const done = once(watcher, 'exit')
  await once(child, 'exit')
  watcher.stdin.end('ended\n')
  await done
  await rm(folder, { recursive: true, force: true })
}

// A program that has ended is not signalled, as its id may be another one's. One that gets time to end
// takes along what it has started just now.
const guardScript = `
  if ! read -r _; then
    kill "$1"
    tries=0
    while [ $((tries += 1)) -le 50 ] && kill -0 "$1"; do
      grep -q ') Z ' "/proc/$1/stat" && break
      sleep 0.1
    done
    kill -9 "$1"
  fi
  kill -9 $(cat "$2"/run/*.pid)
  rm -rf "$2"`
