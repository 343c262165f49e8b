import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
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
): ChildProcessByStdio<null, Readable, null> {
  const { outputFiles } = buildSync({
    stdin: { contents: script, loader: 'ts', resolveDir: __dirname },
    bundle: true,
    platform: 'node',
    packages: 'external',
    define: { __dirname: JSON.stringify(__dirname) },
    write: false,
  })
  const code = outputFiles[0]?.text ?? ''
  return spawn(process.execPath, ['-e', code, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}
