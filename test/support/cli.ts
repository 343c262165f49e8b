import { once } from 'node:events'
import { spawnTypeScriptIn } from './spawn-typescript.js'

export interface CliResult {
  /** What it printed, to stdout and stderr. */
  readonly text: string
  readonly code: number
}

/** As `npx headwater` would, with what it prints and how it ends. */
export function cli(...args: readonly string[]): Promise<CliResult> {
  return cliIn({}, ...args)
}

/** @param env - Beside the environment of this process. */
export async function cliIn(
  env: NodeJS.ProcessEnv,
  ...args: readonly string[]
): Promise<CliResult> {
  const script =
    "process.stderr.write = process.stdout.write.bind(process.stdout); import('../../src/cli.js')"
  const child = spawnTypeScriptIn(env, script, 'headwater', ...args)
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  const [code] = (await once(child, 'close')) as [number]
  return { text, code }
}
