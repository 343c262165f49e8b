import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { buildSync } from 'esbuild'

/**
 * Runs a script in a process of its own, where it is not under Jest.
 *
 * @param script - May import what is in this folder.
 * @param args - Its `process.argv`, from the second one on.
 */
export function spawnTypeScript(
  script: string,
  ...args: readonly string[]
): ChildProcessByStdio<Writable, Readable, null> {
  return spawnTypeScriptIn({}, script, ...args)
}

/** @param env - Beside the environment of this process. */
export function spawnTypeScriptIn(
  env: NodeJS.ProcessEnv,
  script: string,
  ...args: readonly string[]
): ChildProcessByStdio<Writable, Readable, null> {
  const { outputFiles } = buildSync({
    stdin: { contents: script, loader: 'ts', resolveDir: __dirname },
    bundle: true,
    platform: 'node',
    packages: 'external',
    define: { __dirname: JSON.stringify(__dirname) },
    write: false,
  })
  const child = spawn(process.execPath, ['-', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  // One that ends at once leaves some of it unread.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`process.argv.splice(1, 1)\n${outputFiles[0]?.text}`)
  return child
}
