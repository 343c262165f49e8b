import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { until } from './until.js'

const script = join(__dirname, '../../node_modules/next/dist/bin/next')

/** A Next.js command, which may have processes of its own: a group that is ended as a whole. */
export class NextProcess {
  output = ''
  readonly #child: ChildProcess

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    const { NODE_ENV: _, ...env } = { ...process.env, ...environment }
    this.#child = spawn(process.execPath, [script, ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Nothing is downloaded, sent, or written to the lock file of this package.
      env: { ...env, NEXT_TELEMETRY_DISABLED: '1', NEXT_IGNORE_INCORRECT_LOCKFILE: '1' },
    })
    const print = (text: Buffer) => {
      this.output += text
    }
    this.#child.stdout?.on('data', print)
    this.#child.stderr?.on('data', print)
  }

  /** @returns The port of a server, once it has said that it is ready. */
  async port(): Promise<number> {
    await until(() => {
      if (this.#hasExited) throw new Error(`Next.js has ended:\n${this.output}`)
      return this.output.includes('Ready in')
    }, 30_000)
    return Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(this.output)?.[1])
  }

  get #hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async exitCode(): Promise<number | null> {
    if (!this.#hasExited) await once(this.#child, 'exit')
    return this.#child.exitCode
  }

  end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.#hasExited) process.kill(-(this.#child.pid as number), signal)
    return this.exitCode()
  }
}

/**
 * Copies an application, to build it in. The copy is beside the original, so that it still finds
 * `headwater`, Next.js, and what it imports from other folders.
 */
export async function copyNextApp(folder: string): Promise<string> {
  const copy = await mkdtemp(join(folder, '../.tmp-next-'))
  // Nothing that an earlier build or a development server has left behind.
  const filter = (path: string) => !basename(path).startsWith('.')
  await cp(folder, copy, { recursive: true, filter })
  return copy
}

/** @throws Error that says what Next.js has said, when it does not build. */
export async function buildNextApp(
  folder: string,
  { args = [], env }: { readonly args?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  const build = new NextProcess(['build', folder, ...args], env)
  if ((await build.exitCode()) !== 0) throw new Error(`It does not build:\n${build.output}`)
}

export interface NextServerOptions {
  /** By default a free one. */
  readonly port?: number | undefined
  /** What its environment has beside that of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/** Serves what was built. */
export function startNextApp(folder: string, options: NextServerOptions = {}): NextProcess {
  return serve('start', folder, options)
}

export function developNextApp(folder: string, options: NextServerOptions = {}): NextProcess {
  return serve('dev', folder, options)
}

function serve(command: string, folder: string, { port = 0, env }: NextServerOptions): NextProcess {
  return new NextProcess([command, folder, '-p', String(port), '-H', '127.0.0.1'], env)
}
