import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRunning } from './is-running.js'
import { until } from './until.js'

export interface OwnProcessOptions {
  /**
   * For a program that starts others: the folder where it writes their process ids, as `*.pid`, until
   * they have ended. They end with the program, also when it had no time to see to it.
   */
  readonly pidFolder?: string | undefined
  /** Whom it runs as, for a program that refuses to be run by root. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

/** Enough for the program to end those that it started, and to kill the ones that do not end. */
const endTimeoutSeconds = 6

/**
 * A program that this process started, and that never outlives it: a guard waits for this process to
 * go, in whatever way, to kill the program and remove its folder. An `exit` listener would not do, as
 * nothing runs in a process that is killed, which is how Jest ends its workers.
 */
export class OwnProcess {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #outputFile: string
  readonly #pidFolder: string | undefined

  private constructor(child: ChildProcess, outputFile: string, pidFolder: string | undefined) {
    this.pid = child.pid as number
    this.#child = child
    this.#outputFile = outputFile
    this.#pidFolder = pidFolder
  }

  /** @param folder - Working directory, which also gets what the program prints, as `output.log`. */
  static async start(
    program: string,
    args: readonly string[],
    folder: string,
    options: OwnProcessOptions = {},
  ): Promise<OwnProcess> {
    const { pidFolder, user } = options
    const outputFile = join(folder, 'output.log')
    // A file, as a pipe would make the program wait for this process to read.
    const output = openSync(outputFile, 'w')
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', output, output], ...user })
    closeSync(output)
    await once(child, 'spawn')
    child.unref()
    guard(child, folder, pidFolder)
    return new OwnProcess(child, outputFile, pidFolder)
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Those of the processes that it has started, and that it has not seen end. */
  get startedPids(): readonly number[] {
    return pidsIn(this.#pidFolder)
  }

  /** What it has printed so far. */
  get output(): string {
    return readFileSync(this.#outputFile, 'utf8')
  }

  /** Does nothing once the process has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.hasExited) this.#child.kill(signal)
  }

  /** Asks it to end, and kills it if it does not. Waits until it has ended. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.signal('SIGKILL'), endTimeoutSeconds * 1000)
    this.signal('SIGTERM')
    await this.#exited()
    clearTimeout(timer)
  }

  /** Ends it at once, even while it is stopped by `SIGSTOP`, and waits until it has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exited()
  }

  async #exited(): Promise<void> {
    if (!this.hasExited) await once(this.#child, 'exit')
    await until(() => !this.startedPids.some(isRunning))
  }
}

// The guard's input ends with this process. It has a session of its own, so that a signal to all of
// the group, such as Ctrl+C, does not take it along.
function guard(child: ChildProcess, folder: string, pidFolder: string | undefined): void {
  const script = pidFolder === undefined ? guardScript : guardOfManyScript
  const args = [String(child.pid), folder, pidFolder ?? '']
  const watcher = spawn('sh', ['-c', script, 'guard', ...args], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.unref()
  child.once('exit', () => {
    for (const pid of pidsIn(pidFolder)) killNow(pid)
    // Before the id of the process may go to another one.
    watcher.kill('SIGKILL')
  })
}

// Those that it has forked would end by themselves, but for one that is stopped.
const guardScript = `
  read -r _
  children=$(grep -ls "^PPid:[[:space:]]$1$" /proc/[0-9]*/status | cut -d / -f 3)
  kill -9 "$1" $children
  rm -rf "$2"`

// The program may have started one just now whose id it has not written yet, so it is first asked to
// end them all.
const guardOfManyScript = `
  read -r _
  kill "$1"
  tries=0
  while [ $((tries += 1)) -le ${endTimeoutSeconds * 10} ] && kill -0 "$1"; do
    grep -q ') Z ' "/proc/$1/stat" && break
    sleep 0.1
  done
  kill -9 "$1" $(cat "$3"/*.pid)
  rm -rf "$2"`

function pidsIn(folder: string | undefined): number[] {
  if (folder === undefined || !existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.pid'))
    .map((name) => pidIn(join(folder, name)))
    .filter((pid) => pid > 0)
}

/** 0 when the file has gone meanwhile, or nothing is in it yet. */
function pidIn(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0
  } catch {
    return 0
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
