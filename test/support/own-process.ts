import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A program that this process started, and that never outlives it: a guard waits for this process to
 * go, in whatever way, to kill the program and remove its folder. An `exit` listener would not do, as
 * nothing runs in a process that is killed, which is how Jest ends its workers.
 */
export class OwnProcess {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #outputFile: string

  private constructor(child: ChildProcess, outputFile: string) {
    this.pid = child.pid as number
    this.#child = child
    this.#outputFile = outputFile
  }

  /** @param folder - Working directory, which also gets what the program prints, as `output.log`. */
  static async start(program: string, args: readonly string[], folder: string) {
    const outputFile = join(folder, 'output.log')
    // A file, as a pipe would make the program wait for this process to read.
    const output = openSync(outputFile, 'w')
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', output, output] })
    closeSync(output)
    await once(child, 'spawn')
    child.unref()
    guard(child, folder)
    return new OwnProcess(child, outputFile)
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** What it has printed so far. */
  get output(): string {
    return readFileSync(this.#outputFile, 'utf8')
  }

  /** Does nothing once the process has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.hasExited) this.#child.kill(signal)
  }

  /** Ends it at once, even while it is stopped by `SIGSTOP`, and waits until it has ended. */
  async kill(): Promise<void> {
    if (this.hasExited) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

// The guard's input ends with this process. It has a session of its own, so that a signal to all of
// the group, such as Ctrl+C, does not take it along.
function guard(child: ChildProcess, folder: string): void {
  const script = 'read -r _; kill -9 "$1"; rm -rf "$2"'
  const watcher = spawn('sh', ['-c', script, 'guard', String(child.pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.unref()
  // Before the id of the process may go to another one.
  child.once('exit', () => watcher.kill('SIGKILL'))
}
